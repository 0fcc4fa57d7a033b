"""The way between the manager and a node: requests and answers are lost, late and doubled on it.

A request is on its way by itself: once sent it arrives, or not, whatever becomes of its sender.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from random import Random
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from keelman import sse, wire
from keelman.answers import ClientError, Unreachable
from keelman.description import WorkerReport
from keelman.errors import KeelmanError
from keelman.events import Entry
from keelman.machine import total
from keelman.wire import TaskReport, TransitionReport
from keelman.worker.worker import Worker
from tests.cluster.machine import Node
from tests.cluster.ops import Fate, Message, Way
from tests.simulation.client import present
from tests.simulation.engine import _give, _later, _nobody
from tests.simulation.loop import OUTSIDE, the_loop
from tests.simulation.process import Died, Process
from tests.unit.given_cluster import FakeClient, a_report

T = TypeVar("T")
Handler = Callable[[Worker], Coroutine[Any, Any, T]]

GIVE_UP_SECONDS = 12.0  # longer than a heartbeat waits, less than any other call
SILENCE_SECONDS = 45.0  # as long as the real client lets a stream be silent
SLOW_SECONDS = 8.0


class Link:
    """One node's."""

    def __init__(self, node: Node, chance: Random, said: Callable[[str], None]) -> None:
        self.node = node
        self.cut: Way | None = None
        self.beaten = float("-inf")  # when the last heartbeat was answered, in true time
        self.strays = False  # whether a request arrived there that nobody waited for any more
        self._cuts = 0
        self._chance = chance
        self._said = said
        self._planned: defaultdict[str, deque[Message]] = defaultdict(deque)

    @property
    def to(self) -> bool:
        """Whether requests arrive."""
        return self.cut not in (Way.BOTH, Way.TO)

    @property
    def back(self) -> bool:
        """Whether answers do."""
        return self.cut not in (Way.BOTH, Way.BACK)

    def plan(self, message: Message) -> None:
        """What becomes of the next request of a verb."""
        self._planned[message.verb].append(message)

    def cut_for(
        self, way: Way, seconds: float, later: Callable[[float, Callable[[], None]], None]
    ) -> None:
        """Cut it; the last cut decides how, and for how long."""
        self.cut = way
        self._cuts += 1
        later(seconds, lambda cuts=self._cuts: self._mend(cuts))  # type: ignore[misc]

    def _mend(self, cuts: int) -> None:
        if cuts == self._cuts:
            self.cut = None

    def heal(self) -> None:
        self.cut = None
        self._planned.clear()

    async def ask(self, verb: str, handler: Handler[T]) -> T:
        """What the node answers. Raises: ClientError, Unreachable."""
        answer: asyncio.Future[T] = the_loop().create_future()
        planned = self._planned[verb]
        message = planned.popleft() if planned else None
        if message is not None:
            self._said(f"{self.node.name}: {verb} {message.fate.value}")
        _later(GIVE_UP_SECONDS, _fail, answer, Unreachable("no answer"))
        self._send(handler, answer, message)
        return await answer

    def _send(
        self, handler: Handler[T], answer: asyncio.Future[T], message: Message | None
    ) -> None:
        there = self._seconds()
        match None if message is None else message.fate:
            case Fate.LOST_REQUEST:
                pass
            case Fate.LOST_ANSWER:
                _later(there, self._arrive, handler, _nobody(), 0.0)
            case Fate.LATE:
                assert message is not None
                self.strays = True
                _later(GIVE_UP_SECONDS + message.seconds, self._arrive, handler, answer, 0.0)
            case Fate.TWICE:
                assert message is not None
                self.strays = True
                _later(there, self._arrive, handler, answer, 0.0)
                _later(there + message.seconds, self._arrive, handler, _nobody(), 0.0)
            case Fate.SLOW:
                _later(there, self._arrive, handler, answer, SLOW_SECONDS)
            case _:
                _later(there, self._arrive, handler, answer, 0.0)

    def _arrive(self, handler: Handler[T], answer: asyncio.Future[T], late: float) -> None:
        if self.to:
            self._under_way = the_loop().create_task(
                self._answer(handler, answer, late), context=OUTSIDE.copy()
            )

    async def _answer(self, handler: Handler[T], answer: asyncio.Future[T], late: float) -> None:
        try:
            result = await present(self.node.answering).ask(handler)
        except Died:
            await self._bring(answer, late, lambda: _fail(answer, Unreachable("reset")))
        except KeelmanError as error:
            refusal = ClientError(error.status, error.code, error.message)
            await self._bring(answer, late, lambda: _fail(answer, refusal))
        else:
            await self._bring(answer, late, lambda: _give(answer, result))

    async def _bring(
        self, answer: asyncio.Future[Any], late: float, deliver: Callable[[], None]
    ) -> None:
        await asyncio.sleep(self._seconds() + late)
        if self.back:
            deliver()

    async def stream(self, worker: Worker, seq: int) -> list[Entry]:
        """What comes next on a stream that is open, in order. Raises: Unreachable: it breaks."""
        answer: asyncio.Future[list[Entry]] = the_loop().create_future()
        self._under_way = the_loop().create_task(
            self._carry(worker, seq, answer), context=OUTSIDE.copy()
        )
        return await answer

    async def _carry(self, worker: Worker, seq: int, answer: asyncio.Future[list[Entry]]) -> None:
        try:
            entries = await self._process_of(worker).ask(lambda worker: worker.events.after(seq))
        except (Died, KeelmanError):
            _fail(answer, Unreachable("reset"))
            return
        await asyncio.sleep(self._seconds())
        for _ in range(int(SILENCE_SECONDS)):
            if self.cut is None:
                _give(answer, entries)
            if answer.done():
                return
            await asyncio.sleep(1.0)
        _fail(answer, Unreachable("silence"))

    def _process_of(self, worker: Worker) -> Process:
        """Raises: Died, when another process is there by now, which knows no older stream."""
        if (process := self.node.process) is None or process.worker is not worker:
            raise Died
        return process

    def _seconds(self) -> float:
        return self._chance.uniform(0.0005, 0.02)


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    """Whoever asked may be dead by now, and take nothing."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()


class Door(Protocol):
    """Judges what the manager asks of nodes, before it is sent."""

    def before_send(self, node: Node, task_id: str, number: int) -> None:
        """A copy is to be sent."""

    def before_stop(self, node: Node, task_id: str, number: int) -> None:
        """A copy is to be stopped."""


class LinkClient(FakeClient):
    """What the manager has of a node: all calls go over the link, past the door."""

    def __init__(self, link: Link | None, door: Door) -> None:
        self._link, self._door = link, door

    async def send(self, event: Mapping[str, object]) -> TaskReport:
        task = event["Task"]
        assert isinstance(task, dict)
        if self._link is not None:
            self._door.before_send(self._link.node, str(task["ID"]), int(task["Generation"]))
        return await super().send(event)

    async def stop(self, task_id: str, *, generation: int | None = None) -> None:
        if self._link is not None:
            self._door.before_stop(self._link.node, task_id, generation or 0)
        await super().stop(task_id, generation=generation)

    async def _ask(self, words: str, call: Handler[T]) -> T:
        if self._link is None:
            raise Unreachable("there is no such host")
        return await self._link.ask(words.partition(" ")[0], call)

    async def worker(self, *, moment: str | None = None) -> WorkerReport:
        link = self._link

        async def get(worker: Worker) -> WorkerReport:
            assert link is not None
            if moment is not None:
                worker.heard.had(moment)
            node, allocated, heard = link.node, total(worker.db.asked()), worker.heard
            told = a_report(node.name, node.capacity, worker.engine_trouble, allocated)
            return replace(told, moment=heard.moment, silence=heard.silence)

        told = await self._ask("beat", get)
        assert link is not None
        link.beaten = the_loop().now
        return told

    async def events(self, since: str = "") -> AsyncGenerator[tuple[str, TransitionReport]]:
        async def begin(worker: Worker) -> tuple[Worker, int]:
            return worker, sse.first_seq(worker, since or None)

        at, seq = await self._ask("follow", begin)
        link = self._link
        assert link is not None

        while True:
            for entry in await link.stream(at, seq):
                seq = entry.move.seq
                body = wire.encode_transition(entry.move)
                yield f"{at.db.log_id}:{seq}", msgspec.json.decode(body, type=TransitionReport)
