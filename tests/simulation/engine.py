"""The engine of the simulation: the shipped fake, made as unreliable as real ones are.

A request is on its way by itself: once sent it is carried out, or not, whatever becomes of the
worker that sent it. What really happened is kept in `history`, which no worker ever sees.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from random import Random
from typing import Any, TypeVar

from msgspec import Struct

from keelman.errors import EngineAway, EngineBusy, EngineError, EngineFailed, KeelmanError
from keelman.runtime.fake import FakeEngine
from keelman.runtime.fake_container import FakeContainer
from keelman.runtime.marks import owner_of
from tests.simulation.loop import OUTSIDE, the_loop
from tests.simulation.programs import program_of

T = TypeVar("T")

NAME = "w"
IMAGES = ("here:1",)
REGISTRY = ("here:1", "far:1")
TIMEOUT_SECONDS = 3.0
LATE_SECONDS = 6.0
SLOW_SECONDS = 8 * TIMEOUT_SECONDS

# Seconds that a request and its answer are on their way, from and to.
LATENCIES: dict[str, tuple[float, float]] = {
    "create": (0.03, 0.2),
    "start": (0.1, 0.5),
    "rename": (0.005, 0.05),
    "remove": (0.02, 0.2),
    "pull": (1.0, 5.0),
}
USUAL_LATENCY = (0.001, 0.02)


class Fault(StrEnum):
    """What becomes of one request."""

    LOST_REQUEST = "never arrives"
    LOST_ANSWER = "is done, its answer is lost"
    LATE = "is given up, and done later"
    SLOW = "is answered after long"
    FAILS = "is answered 500"
    FAILS_DONE = "is done, and answered 500"
    BUSY = "meets an engine that is at it"
    STALE = "is answered as the last one was"


class Happened(Struct, frozen=True, kw_only=True):
    """One true event of a container of ours."""

    at: float
    what: str  # made, started, refused, ended, removed
    task_id: str
    attempt: int
    container_id: str
    code: int | None = None
    by: str = ""


class SimEngine(FakeEngine):
    """`law(words)` is told when containers break the peace by themselves: two alive at once."""

    def __init__(self, clock: Callable[[], float], chance: Random) -> None:
        super().__init__(clock, images=IMAGES, registry=REGISTRY)
        self.history: list[Happened] = []
        self.law: Callable[[str], None] = lambda words: None
        self.said: Callable[[str], None] = lambda words: None
        self.garbles_events = False
        self.refusals: Counter[str] = Counter()  # errors that were answered, by verb
        self.theirs: set[str] = set()
        self._chance = chance
        self.faults: set[tuple[str, Fault]] = set()  # those that befell, of which requests
        self._planned: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._answered: dict[str, Any] = {}
        self._ours: dict[str, tuple[str, int]] = {}
        self._by = "itself"

    # -- what befalls it -------------------------------------------------------------------------

    def plan(self, verb: str, fault: Fault) -> None:
        """What becomes of the next request of a verb."""
        self._planned[verb].append(fault)

    def heal(self) -> None:
        self._planned.clear()
        self.spoilt.clear()
        self.garbles_events = False
        self.exec_codes.clear()

    def disown_renamed(self, known: str) -> None:
        """Only its name or a record tells a container of ours from a copy; it has neither now."""
        for one in self.containers.values():
            if one.id in self._ours and one.name.startswith("renamed") and one.id not in known:
                del self._ours[one.id]

    def dies(self) -> None:
        """It goes, and every container with it."""
        self.down()
        for one in list(self.containers.values()):
            if one.live:
                self.by("the engine's death", lambda one=one: self._end(one, 137))  # type: ignore[misc]

    def by(self, whom: str, effect: Callable[[], T]) -> T:
        """Something that is not the worker's doing."""
        before, self._by = self._by, whom
        try:
            return effect()
        finally:
            self._by = before

    def newest(self, task_id: str) -> FakeContainer | None:
        """The newest container of a task of ours."""
        mine = self.of(task_id)
        return mine[-1] if mine else None

    # -- being asked -----------------------------------------------------------------------------

    async def ask(self, verb: str, effect: Callable[[], T]) -> T:
        answer: asyncio.Future[T] = the_loop().create_future()
        fault = self._planned[verb].popleft() if self._planned[verb] else None
        if fault is not None:
            self.faults.add((verb, fault))
            self.said(f"engine: {verb} {fault.value}")
        self._send(verb, effect, answer, fault)
        return await answer

    def _send(
        self, verb: str, effect: Callable[[], T], answer: asyncio.Future[T], fault: Fault | None
    ) -> None:
        there, back = self._seconds(verb), self._seconds(verb)
        timed_out = EngineAway(f"{verb} timed out")
        match fault:
            case Fault.LOST_REQUEST:
                _later(TIMEOUT_SECONDS, _fail, answer, timed_out)
            case Fault.LATE:
                _later(TIMEOUT_SECONDS, _fail, answer, timed_out)
                _later(LATE_SECONDS, self._do, verb, effect, answer, back)
            case Fault.LOST_ANSWER:
                _later(there, self._do, verb, effect, _nobody(), back)
                _later(TIMEOUT_SECONDS, _fail, answer, timed_out)
            case Fault.FAILS:
                _later(there, self._refuse, verb, answer, EngineFailed("no space left on device"))
            case Fault.FAILS_DONE:
                _later(there, self._do, verb, effect, _nobody(), back)
                _later(there + back, self._refuse, verb, answer, EngineFailed("context canceled"))
            case Fault.BUSY:
                _later(there, _fail, answer, EngineBusy("it is at it"))
            case Fault.STALE if verb in self._answered:
                _later(there, _give, answer, self._answered[verb])
            case _:
                slow = SLOW_SECONDS if fault is Fault.SLOW else there
                _later(slow, self._do, verb, effect, answer, back)

    def _do(
        self, verb: str, effect: Callable[[], T], answer: asyncio.Future[T], back: float
    ) -> None:
        if self.is_down:
            _fail(answer, EngineAway("no answer from the engine"))
            return
        try:
            result = self.by(f"our {verb}", effect)
        except KeelmanError as error:
            self.refusals[verb] += 1
            _later(back, _fail, answer, error)
            return
        if verb == "rows":
            self._answered[verb] = result
        _later(back, self._answer, answer, result, self.outages)

    def _answer(self, answer: asyncio.Future[T], result: T, outages: int) -> None:
        if outages != self.outages:
            _fail(answer, EngineAway("the connection was cut"))
        else:
            _give(answer, result)

    def _refuse(self, verb: str, answer: asyncio.Future[Any], error: EngineError) -> None:
        self.refusals[verb] += 1
        _fail(answer, error)

    def _seconds(self, verb: str) -> float:
        return self._chance.uniform(*LATENCIES.get(verb, USUAL_LATENCY)) / 2

    # -- what it does, kept ----------------------------------------------------------------------

    def add(self, name: str, body: Mapping[str, Any]) -> FakeContainer:
        one = super().add(name, body)
        one.program = program_of(tuple(body.get("Cmd") or ()), one.name)
        mark = owner_of(one.inspect())
        if mark is not None and mark.worker == NAME:
            self._ours[one.id] = (mark.task_id, mark.attempt)
        self._happened("made", one)
        return one

    def start(self, container_id: str) -> None:
        one = self.find(container_id)
        was_live = one is not None and one.live
        try:
            super().start(container_id)
        except EngineError:
            if one is not None:
                self._happened("refused", one)
            raise
        if one is not None and not was_live:
            self._happened("started", one)
            self._check_alone(one)

    def rename(self, container_id: str, name: str) -> None:
        super().rename(container_id, name)
        mark = owner_of(self.containers[container_id].inspect())
        if mark is not None and container_id in self._ours:
            self._ours[container_id] = (mark.task_id, mark.attempt)
            self._happened("renamed", self.containers[container_id])

    def remove(self, container_id: str) -> None:
        one = self.find(container_id)
        super().remove(container_id)
        if one is not None:
            self._happened("removed", one)

    def _end(self, one: FakeContainer, code: int, *, oom: bool = False) -> None:
        super()._end(one, code, oom=oom)
        self._happened("ended", one, code)

    def _tell(self, one: FakeContainer) -> None:
        if not self.garbles_events:
            super()._tell(one)
            return
        match self._chance.randrange(5):
            case 0 | 1:
                pass
            case 2:
                super()._tell(one)
                super()._tell(one)
            case 3:
                _later(self._chance.uniform(0.1, 5.0), super()._tell, one)
            case _:
                super()._tell(one)

    def _happened(self, what: str, one: FakeContainer, code: int | None = None) -> None:
        if one.id not in self._ours:
            return
        task_id, attempt = self._ours[one.id]
        told = f" with {code}" if code is not None else ""
        self.said(f"engine: {short(task_id)}-{attempt} {what}{told} by {self._by}")
        happened = Happened(
            at=self.clock(),
            what=what,
            task_id=task_id,
            attempt=attempt,
            container_id=one.id,
            code=code,
            by=self._by,
        )
        self.history.append(happened)

    def task_of(self, container_id: str) -> str:
        """Whose container it is, whatever it is called by now; empty when it is not ours."""
        return self._ours.get(container_id, ("", 0))[0]

    def attempt_of(self, container_id: str) -> int:
        return self._ours[container_id][1]

    def of(self, task_id: str) -> list[FakeContainer]:
        """The containers of a task, oldest first."""
        return [one for one in self.containers.values() if self.task_of(one.id) == task_id]

    def live_of(self, task_id: str) -> list[FakeContainer]:
        """Its live ones."""
        return [one for one in self.of(task_id) if one.live]

    def _check_alone(self, one: FakeContainer) -> None:
        task_id = self.task_of(one.id)
        if task_id and len(live := self.live_of(task_id)) > 1:
            names = ", ".join(sorted(each.name[-3:] for each in live))
            self.law(f"I1: {short(task_id)} has {len(live)} live containers at once ({names})")


def short(task_id: str) -> str:
    """A task of the simulation by its number."""
    return f"t{int(task_id[-4:], 16)}"


def _later(delay: float, callback: Callable[..., None], *args: Any) -> None:
    the_loop().call_later(delay, callback, *args, context=OUTSIDE)


def _give(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: KeelmanError) -> None:
    if not answer.done():
        answer.set_exception(error)


def _nobody() -> asyncio.Future[Any]:
    """An answer that nobody waits for."""
    answer = the_loop().create_future()
    answer.cancel()
    return answer
