"""What the containers of the simulation do: said in their command, so that it outlives a worker."""

from __future__ import annotations

from keelman.runtime.fake import Program
from keelman.seen import Refused
from keelman.task import Reason

FLAKY_ATTEMPTS = 3

PROGRAMS: dict[str, Program] = {
    "serves": Program(),
    "succeeds": Program(seconds=4.0),
    "succeeds at once": Program(seconds=0.0),
    "succeeds late": Program(seconds=40.0),
    "fails": Program(seconds=3.0, exit_code=3, output=(("stderr", b"no luck\n"),)),
    "fails at once": Program(seconds=0.0, exit_code=3),
    "hogs": Program(seconds=3.0, hog=True),
    "is deaf": Program(ignores=frozenset({"SIGTERM"})),
    "is stuck": Program(ignores=frozenset({"SIGTERM", "SIGKILL"})),
    "is not found": Program(
        refuse=Refused(reason=Reason.COMMAND_NOT_FOUND, message="no such file", exit_code=127)
    ),
    "wants a taken port": Program(refuse=Refused(reason=Reason.PORT_TAKEN, message="in use")),
}
KINDS = (*PROGRAMS, "is flaky")


def program_of(command: tuple[str, ...], name: str) -> Program:
    """The program of one container: a flaky one fails in its first attempts."""
    kind = command[0] if command else "serves"
    if kind != "is flaky":
        return PROGRAMS.get(kind, Program())
    attempt = int(name.rpartition("-")[2])
    return PROGRAMS["fails at once" if attempt < FLAKY_ATTEMPTS else "serves"]


def outlives_kill(kind: str) -> bool:
    return kind == "is stuck"
