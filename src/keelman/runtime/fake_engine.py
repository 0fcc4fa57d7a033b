"""A container engine in memory: containers, images and events, which survive a worker.

It keeps the rules of a real engine where a worker can see them: names are unique, a refused start
leaves `created` with an error, a start of an exited container runs it again. Time comes from a
`clock` and from the running loop's timers; there are no threads, no I/O and no chance, so that a
loop with a clock of its own makes a simulation of it.
"""

from __future__ import annotations

import asyncio
import re
import signal as signals
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Any, TypeVar

from keelman.errors import (
    ContainerGone,
    EngineAway,
    EngineError,
    EngineFailed,
    EngineRefused,
    ImageNotFound,
)
from keelman.runtime.container import tagged
from keelman.runtime.fake_container import FakeContainer, Ports, Program, Stream
from keelman.runtime.marks import TASK_LABEL, WORKER_LABEL
from keelman.seen import Refused
from keelman.task import Reason

T = TypeVar("T")
FIRST_FREE_PORT = 32768
OOM_CODE = 137
ANY_HOST = "0.0.0.0"  # noqa: S104 - what an engine tells; nothing is bound


class FakeEngine:
    """The engine. `programs` says what commands do: an unknown one runs until a signal ends it.

    `images` are here, `registry` has those that can be pulled, a pull of the `spoilt` fails with
    their error; `held_ports` (`8080/tcp`) belong to others on the machine. `latency` is in seconds
    by verb: look, outlook, rows, containers, rebuild, identity, create, start, rename, signal,
    kill, remove, pull, logs and changes.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        programs: Mapping[tuple[str, ...], Program] | None = None,
        images: Iterable[str] = (),
        registry: Iterable[str] = (),
        identity: str = "FAKE",
    ) -> None:
        self.clock = clock
        self.programs = dict(programs or {})
        self.images = {tagged(image) for image in images}
        self.registry = {tagged(image) for image in registry}
        self.spoilt: dict[str, EngineError] = {}
        self.identity = identity
        self.containers: dict[str, FakeContainer] = {}
        self.held_ports: set[str] = set()
        self.latency: dict[str, float] = {}
        self.events: list[tuple[str, str]] = []  # worker and task of every move
        self.exec_codes: dict[tuple[str, ...], int | None] = {}
        self.execs: list[tuple[str, ...]] = []
        self.outages = 0
        self.is_down = False
        self._numbers = count(1)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._bell = asyncio.Event()
        self._errors: defaultdict[str, deque[EngineError]] = defaultdict(deque)
        self._losses: defaultdict[str, int] = defaultdict(int)

    # -- what tests do to it ---------------------------------------------------------------------

    def down(self) -> None:
        """It answers no more; what runs goes on."""
        self.is_down = True
        self.outages += 1
        self._ring()

    def up(self) -> None:
        """It answers again."""
        self.is_down = False

    def fail_next(self, verb: str, error: EngineError) -> None:
        """The next call of a verb (after those that are to fail already) does nothing but raise."""
        self._errors[verb].append(error)

    def lose_next(self, verb: str) -> None:
        """The next call of a verb is carried out, and its answer never arrives."""
        self._losses[verb] += 1

    def exit(self, container_id: str, code: int) -> None:
        """A container's process ends by itself."""
        self._end(self.containers[container_id], code)

    def vanish(self, container_id: str) -> None:
        """Somebody else removes a container by force."""
        self.remove(container_id)

    def write(self, container_id: str, stream: Stream, text: bytes) -> None:
        """A container's process writes a line."""
        self.containers[container_id].wrote(self.clock(), [(stream, text)])
        self._ring()

    def copy(self, container_id: str, name: str) -> str:
        """A container of an image made by `docker commit`, which copies labels; its id."""
        return self.add(name, self.containers[container_id].body).id

    def rename(self, container_id: str, name: str) -> None:
        """`docker rename`."""
        self.containers[container_id].name = name

    def stranger(self, name: str) -> str:
        """A container that no label claims; its id."""
        return self.add(name, {}).id

    def exec_start(self, container_id: str, command: tuple[str, ...]) -> str:
        """`exec_codes` says what a command in a container ends with: 0 when it says nothing."""
        one = self.containers.get(container_id)
        if one is None or one.state["Status"] != "running":
            raise ContainerGone(f"container {container_id} is not running")
        self.execs.append(command)
        return str(len(self.execs) - 1)

    def exec_code(self, exec_id: str) -> int | None:
        if int(exec_id) >= len(self.execs):
            raise ContainerGone(f"no such exec: {exec_id}")
        return self.exec_codes.get(self.execs[int(exec_id)], 0)

    # -- being asked -----------------------------------------------------------------------------

    async def ask(self, verb: str, effect: Callable[[], T]) -> T:
        """One request: half of its latency passes before the effect, half before the answer.

        Cancelled in the first half, nothing was done; in the second it was, and nobody was told.
        """
        half = self.latency.get(verb, 0.0) / 2
        await asyncio.sleep(half)
        self._check_up()
        if self._errors[verb]:
            raise self._errors[verb].popleft()
        answer = effect()
        await asyncio.sleep(half)
        if self._losses[verb]:
            self._losses[verb] -= 1
            raise EngineAway(f"the answer to {verb} was lost")
        self._check_up()
        return answer

    async def moved(self) -> None:
        """Return when something has moved since this was called."""
        await self._bell.wait()

    def _check_up(self) -> None:
        if self.is_down:
            raise EngineAway("no answer from the engine")

    # -- what it does ----------------------------------------------------------------------------

    def find(self, key: str) -> FakeContainer | None:
        """A container by its id or its name."""
        return next((one for one in self.containers.values() if key in (one.id, one.name)), None)

    def add(self, name: str, body: Mapping[str, Any]) -> FakeContainer:
        """A container made from a create body, under a name that is free."""
        command = (*(body.get("Entrypoint") or ()), *(body.get("Cmd") or ()))
        one = FakeContainer(
            id=sha256(f"{self.identity}/{next(self._numbers)}".encode()).hexdigest(),
            name=name,
            body=body,
            program=self.programs.get(command, Program()),
        )
        self.containers[one.id] = one
        self._tell(one)
        return one

    def start(self, container_id: str) -> None:
        """Run it. Raises: EngineRefused, EngineFailed when a port is taken."""
        one = self.find(container_id)
        if one is None:
            raise EngineRefused(f"no such container: {container_id}")
        if one.live:
            return
        if (no := self._refusal(one)) is not None:
            one.refused(no)
            raise (EngineFailed if no.reason is Reason.PORT_TAKEN else EngineRefused)(no.message)
        one.started(self.clock(), self._published(one))
        self._tell(one)
        if one.program.hog or one.program.seconds is not None:
            self._set_timer(one)

    def signal(self, container_id: str, name: str) -> None:
        """Send a signal; to a process that is gone it is nothing. Raises: EngineRefused."""
        number = _number(name)
        one = self.find(container_id)
        if one is None or not one.live or number in map(_number, one.program.ignores):
            return
        if number != signals.SIGKILL:
            one.wrote(self.clock(), one.program.last_words)
        self._end(one, 128 + number)

    def remove(self, container_id: str) -> None:
        """Remove by force what is still there. Raises: EngineFailed when it outlives KILL."""
        one = self.find(container_id)
        if one is None:
            return
        self.signal(one.id, "SIGKILL")
        if one.live:
            raise EngineFailed(f"cannot kill container {one.id}")
        del self.containers[one.id]
        self._tell(one)

    def pull(self, image: str) -> None:
        """Raises: ImageNotFound when the registry does not have it, or what spoils it."""
        if image in self.spoilt:
            raise self.spoilt[image]
        if tagged(image) not in self.registry:
            raise ImageNotFound(f"{image} is not in the registry, or not for us")
        self.images.add(tagged(image))

    def taken(self, one: FakeContainer) -> list[str]:
        """Which of the host ports that it wants somebody else holds."""
        if one.program.refuse is not None and one.program.refuse.reason is Reason.PORT_TAKEN:
            return ["a port"]
        return [port for port in _host_ports(one.wanted_ports) if port in self.held(but=one)]

    def _refusal(self, one: FakeContainer) -> Refused | None:
        if one.program.refuse is not None:
            return one.program.refuse
        if taken := self.taken(one):
            return Refused(reason=Reason.PORT_TAKEN, message=f"{', '.join(taken)} is in use")
        return None

    def held(self, but: FakeContainer | None = None) -> set[str]:
        """The host ports that are in use, as `8080/tcp`."""
        running = [one for one in self.containers.values() if one is not but]
        return self.held_ports.union(*(_host_ports(one.ports) for one in running))

    def _published(self, one: FakeContainer) -> Ports:
        """Its ports with the engine's choice where it has no wish."""
        published: Ports = {}
        held = self.held() | set(_host_ports(one.wanted_ports))
        for port, wanted in one.wanted_ports.items():
            protocol = port.rpartition("/")[2]
            free = (str(n) for n in count(FIRST_FREE_PORT) if f"{n}/{protocol}" not in held)
            numbers = [at["HostPort"] or next(free) for at in wanted]
            published[port] = [{"HostIp": ANY_HOST, "HostPort": number} for number in numbers]
            held |= set(_host_ports(published))
        return published

    def _set_timer(self, one: FakeContainer) -> None:
        program = one.program
        code = OOM_CODE if program.hog else program.exit_code
        end = partial(self._end, one, code, oom=program.hog)
        loop = asyncio.get_running_loop()
        self._timers[one.id] = loop.call_later(program.seconds or 0.0, end)

    def _end(self, one: FakeContainer, code: int, *, oom: bool = False) -> None:
        if timer := self._timers.pop(one.id, None):
            timer.cancel()
        one.ended(self.clock(), code, oom=oom)
        self._tell(one)

    def _tell(self, one: FakeContainer) -> None:
        """An event, for those whose label it has."""
        if WORKER_LABEL in one.labels:
            self.events.append((one.labels[WORKER_LABEL], one.labels[TASK_LABEL]))
        self._ring()

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


def _host_ports(ports: Ports) -> list[str]:
    """The host ports in a map of ports, as `8080/tcp`; those left to the engine are none."""
    return [
        f"{at['HostPort']}/{port.rpartition('/')[2]}"
        for port, bindings in ports.items()
        for at in bindings
        if at["HostPort"]
    ]


def _number(name: str) -> int:
    """The number of a signal, named as the engine allows: SIGTERM, TERM, 15, RTMIN+1."""
    if name.isdecimal():
        return int(name)
    match = re.fullmatch(r"(?:SIG)?([A-Z]+[12]?)([+-]\d+)?", name)
    if match is None or f"SIG{match[1]}" not in signals.Signals.__members__:
        raise EngineRefused(f"invalid signal: {name}")
    return signals.Signals[f"SIG{match[1]}"] + int(match[2] or 0)
