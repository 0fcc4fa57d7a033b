"""A worker's process: the real worker with all its loops, and what is asked of it over the API.

It can die between any two callbacks (`loop.Mark`); whoever waits for an answer is then told Died.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from keelman.errors import KeelmanError
from keelman.keeper import Keeper
from keelman.runtime.fake import FakeRuntime
from keelman.seen import Action
from keelman.task import Task
from keelman.worker.heard import FILE_NAME as HEARD
from keelman.worker.heard import Boot, Heard
from keelman.worker.limits import Limits
from keelman.worker.watch import Watch
from keelman.worker.worker import Worker
from tests.simulation.disk import Disk, SimStore
from tests.simulation.engine import NAME, SimEngine
from tests.simulation.loop import Mark, the_loop

T = TypeVar("T")
K = TypeVar("K", bound=Keeper)
Before = Callable[[Worker, Task, Action], None]
LIMITS = Limits(start_slots=2, keep_ended_seconds=150.0)


class Died(Exception):
    """No answer: the process is gone."""


class SimRuntime(FakeRuntime):
    """Every action is judged before it is sent."""

    before_doing: Callable[[Task, Action], None]

    async def do(self, task: Task, action: Action) -> None:
        self.before_doing(task, action)
        await super().do(task, action)


class SimWorker(Worker):
    """The real one; that it parks a task after an error of its own is a finding."""

    parked: Callable[[Exception], None]

    async def park(self, task_id: str, error: Exception) -> float:
        self.parked(error)
        return await super().park(task_id, error)


class Life(Generic[K]):
    """One life of a process that keeps tasks: its loops, and what is asked of it."""

    keeper: K
    store: SimStore

    def __init__(self, failed: Callable[[str], None], died: asyncio.Event) -> None:
        self.mark = Mark()
        self.mark.on_death = self._died
        self._told = failed
        self._end = died
        self._unanswered: dict[asyncio.Future[Any], None] = {}

    @property
    def dead(self) -> bool:
        return self.mark.dead

    def _failed(self, words: str) -> None:
        """What the dead say while they are taken apart is nothing."""
        if not self.dead:
            self._told(words)

    def _start(self, loops: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have its loops run, in its own context."""
        context = self.mark.context.copy()
        self._main = the_loop().create_task(self._run(loops), context=context)

    async def _run(self, loops: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await loops()
        except BaseException as error:  # noqa: BLE001  # it does not end by itself
            self._failed(f"the {self._what} ended by itself: {error!r}")

    _what = "worker"

    def _died(self) -> None:
        self.store.drop()
        self._end.set()
        for answer in self._unanswered:
            if not answer.done():
                answer.set_exception(Died())
                answer.exception()  # whoever asked may be dead by now, too

    async def ask(self, handler: Callable[[K], Coroutine[Any, Any, T]]) -> T:
        """What a handler answers. Raises: Died, and what the handler raises."""
        if self.dead:
            raise Died
        answer: asyncio.Future[T] = the_loop().create_future()
        self._unanswered[answer] = None
        context = self.mark.context.copy()
        self._asked = the_loop().create_task(self._handle(handler, answer), context=context)
        try:
            return await answer
        finally:
            del self._unanswered[answer]

    async def _handle(
        self, handler: Callable[[K], Coroutine[Any, Any, T]], answer: asyncio.Future[T]
    ) -> None:
        try:
            result = await handler(self.keeper)
        except KeelmanError as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(result)


class Process(Life[Worker]):
    """One life of a worker. `clock` makes its own; without one it has the engine's."""

    def __init__(
        self,
        engine: SimEngine,
        disk: Disk,
        *,
        before: Before,
        failed: Callable[[str], None],
        died: asyncio.Event,
        limits: Limits = LIMITS,
        clock: Callable[[Mark], Callable[[], float]] | None = None,
        boot: Boot | None = None,
    ) -> None:
        super().__init__(failed, died)
        self._limits = limits
        self._heard = None if boot is None else Heard(boot, disk.directory / HEARD)
        self._clock = engine.clock if clock is None else clock(self.mark)
        self.mark.context.run(self._begin, engine, disk, before)

    @property
    def worker(self) -> Worker:
        return self.keeper

    def _begin(self, engine: SimEngine, disk: Disk, before: Before) -> None:
        self.store = SimStore(disk)
        runtime = SimRuntime(engine, NAME)
        worker = self.keeper = SimWorker(
            store=self.store,
            runtime=runtime,
            clock=self._clock,
            limits=self._limits,
            heard=self._heard,
        )
        worker.parked = lambda error: self._failed(f"internal error: {error!r}")
        runtime.before_doing = lambda task, action: before(worker, task, action)
        self.watch = Watch(worker, NAME, lambda engine_id: None)
        self._start(self._loops)

    async def _loops(self) -> None:
        async with asyncio.TaskGroup() as group:
            for loop in self.watch.loops:
                group.create_task(loop())


@asynccontextmanager
async def no_session() -> AsyncIterator[None]:
    """There is no network here: tasks are probed by commands only."""
    yield None
