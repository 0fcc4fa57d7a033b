"""The commands that the contract is tried with: real on a real engine, Programs on the fake."""

from __future__ import annotations

from keelman.runtime.fake import Program
from keelman.seen import Refused
from keelman.task import Reason


def script(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


TRUE = ("true",)
EXIT_3 = script("exit 3")
# As the first process of a container, what handles no signal ignores it.
SLEEP = ("sleep", "300")
# Obeys TERM, and says when it can: before that, TERM would find no handler.
OBEDIENT = script("trap 'echo bye; exit 143' TERM; echo ready; sleep 300 & wait")
STUBBORN = script("trap '' TERM; echo ready; while :; do sleep 1; done")
TALK = script("echo one; echo two >&2; echo three; echo four >&2")
MEMORY_HOG = ("tail", "/dev/zero")
NO_COMMAND = ("no-such-command",)
NO_PROGRAM = ("/etc",)

PROGRAMS: dict[tuple[str, ...], Program] = {
    TRUE: Program(seconds=0),
    EXIT_3: Program(seconds=0, exit_code=3),
    SLEEP: Program(ignores=frozenset({"SIGTERM"})),
    OBEDIENT: Program(output=(("stdout", b"ready\n"),), last_words=(("stdout", b"bye\n"),)),
    STUBBORN: Program(output=(("stdout", b"ready\n"),), ignores=frozenset({"TERM"})),
    TALK: Program(
        seconds=0,
        output=(
            ("stdout", b"one\n"),
            ("stderr", b"two\n"),
            ("stdout", b"three\n"),
            ("stderr", b"four\n"),
        ),
    ),
    MEMORY_HOG: Program(seconds=0, hog=True),
    NO_COMMAND: Program(
        refuse=Refused(reason=Reason.COMMAND_NOT_FOUND, message="not found in $PATH")
    ),
    NO_PROGRAM: Program(
        refuse=Refused(reason=Reason.COMMAND_NOT_EXECUTABLE, message="permission denied")
    ),
}
