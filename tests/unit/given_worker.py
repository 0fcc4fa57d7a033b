"""A machine in memory, and workers that come and go on it. All of it in virtual time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from keelman.runtime import LogOptions, Row
from keelman.runtime.fake import FakeEngine, FakeRuntime, Program
from keelman.runtime.fake_container import FakeContainer
from keelman.seen import Action, Seen
from keelman.store import FILE_NAME, Store
from keelman.task import State, Task
from keelman.worker.heard import FILE_NAME as HEARD_FILE
from keelman.worker.heard import Boot, Heard
from keelman.worker.limits import Limits
from keelman.worker.recorder import Recorder
from keelman.worker.watch import Watch
from keelman.worker.worker import Worker
from tests.unit.given import NOW, TASK_ID
from tests.unit.given_store import new_id
from tests.unit.given_wire import an_event, an_id
from tests.unit.virtual_time import the_loop, thread_at_work

T = TypeVar("T")

NAME = "w"
IMAGE = "nginx:1"
STEPS_MOST = 200

FAILS = ("fails",)
SUCCEEDS = ("succeeds",)
STUBBORN = ("stubborn",)
RUN_SECONDS = 5.0
PROGRAMS: dict[tuple[str, ...], Program] = {
    FAILS: Program(seconds=RUN_SECONDS, exit_code=3, output=(("stderr", b"no luck\n"),)),
    SUCCEEDS: Program(seconds=RUN_SECONDS),
    STUBBORN: Program(ignores=frozenset({"SIGTERM"})),
}


class Crash(BaseException):
    """The worker's process ends here."""


class Fuse:
    """Blows at the n-th thing that is awaited: before it is done, or (`late`) just after."""

    def __init__(self, blows_at: int = 0, *, late: bool = False) -> None:
        self.count = 0
        self._blows_at = blows_at
        self._late = late

    async def guard(self, call: Coroutine[Any, Any, T]) -> T:
        self.count += 1
        blows = self.count == self._blows_at
        if blows and not self._late:
            call.close()
            raise Crash
        result = await call
        if blows:
            raise Crash
        return result


class CountingEngine(FakeEngine):
    """Knows every container it ever made, and each start, by the name it was made with."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock, programs=PROGRAMS, images=[IMAGE], registry=["nginx:2"])
        self.made: list[str] = []
        self.starts: list[str] = []
        self.made_as: dict[str, str] = {}

    def add(self, name: str, body: Any) -> FakeContainer:  # noqa: ANN401  # a create body
        self.made.append(name)
        one = super().add(name, body)
        self.made_as[one.id] = name
        return one

    def start(self, name: str) -> None:
        super().start(name)
        one = self.find(name)
        assert one is not None
        self.starts.append(self.made_as[one.id])

    @property
    def live(self) -> list[FakeContainer]:
        return [one for one in self.containers.values() if one.live]

    def the_container(self) -> FakeContainer:
        (one,) = self.containers.values()
        return one


class FusedRuntime(FakeRuntime):
    """Every question to the engine may be the worker's last. `before_doing` is told of actions."""

    def __init__(self, engine: FakeEngine, fuse: Fuse) -> None:
        super().__init__(engine, NAME)
        self._fuse = fuse
        self.before_doing: Callable[[Task, Action], None] = lambda task, action: None

    async def look(self, task: Task) -> Seen:
        return await self._fuse.guard(super().look(task))

    async def rows(self) -> list[Row]:
        return await self._fuse.guard(super().rows())

    async def rebuild(self, container_id: str) -> Task | None:
        return await self._fuse.guard(super().rebuild(container_id))

    async def do(self, task: Task, action: Action) -> None:
        self.before_doing(task, action)
        await self._fuse.guard(super().do(task, action))

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        await self._fuse.guard(asyncio.sleep(0))
        async for chunk in super().logs(container_id, options):
            yield chunk


class FusedStore(Store):
    """Every write may be the worker's last. Time stands still while the writer thread writes.

    A process dies here and never the machine: what the kernel has is as good as on disk.
    """

    fuse = Fuse()

    def __init__(self, directory: Path, new_id: Callable[[], str]) -> None:
        super().__init__(directory, new_id)
        self._writer.execute("PRAGMA synchronous = OFF")

    async def write(
        self, write: Callable[[sqlite3.Connection], T], then: Callable[[T], None] | None = None
    ) -> T:
        with thread_at_work():
            return await self.fuse.guard(super().write(write, then))


class Machine:
    """A data directory and an engine: what is left when a worker dies."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engine = CountingEngine(clock)
        self.recorder: Recorder | None = None
        self.boot = "boot-1"
        self.asleep = 0.0
        self.wall = 0.0  # by how much somebody set the clock on the wall
        self._open: Store | None = None

    def worker(self, fuse: Fuse | None = None, **limits: Any) -> Worker:
        """A worker's process begins, after the one before it has ended."""
        self.close()
        fuse = fuse or Fuse()
        store = self._open = FusedStore(self.directory, new_id)
        store.fuse = fuse
        runtime, wall = FusedRuntime(self.engine, fuse), self.wall
        return Worker(
            store=store,
            runtime=runtime,
            clock=lambda: clock() + wall,
            limits=Limits(**limits),
            recorder=self.recorder,
            heard=Heard(Boot(id=self.boot, seconds=self.uptime), self.directory / HEARD_FILE),
        )

    def uptime(self) -> float:
        """Seconds since it began, those asleep included; the wall's clock has no part in it."""
        return 1000.0 + the_loop().time() + self.asleep

    async def met(self, fuse: Fuse | None = None, **limits: Any) -> Worker:
        """A worker that has met its engine; none of its loops runs."""
        worker = self.worker(fuse, **limits)
        await meet(worker)
        return worker

    def lose_db(self) -> None:
        self.close()
        for path in self.directory.glob(f"{FILE_NAME}*"):
            path.unlink()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None


def clock() -> float:
    """Seconds since the epoch, in virtual time."""
    return NOW + the_loop().time()


async def meet(worker: Worker) -> None:
    """What the watch does first, but for waking lanes."""
    watch = Watch(worker, NAME, lambda engine_id: None)
    await watch._meet_engine()
    watch._engine_is("")


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[Watch]:
    """A worker all of whose loops run."""
    watch = Watch(worker, NAME, lambda engine_id: None)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop()) for loop in watch.loops]
        await watch.contacted.wait()
        yield watch
        for task in tasks:
            task.cancel()


async def pass_time(seconds: float = RUN_SECONDS + 1) -> None:
    """Let the loop's clock, which is not the wall's, go on."""
    await asyncio.sleep(seconds)


async def settle(worker: Worker, task_id: str = TASK_ID) -> None:
    """Step after step, until the task is at rest."""
    for _ in range(STEPS_MOST):
        wake = await worker.run_task(task_id)
        if wake is None:
            return
        await pass_time(max(wake - clock(), 0.0))
    raise AssertionError("it never comes to rest")


def state_of(worker: Worker, task_id: str = TASK_ID) -> State:
    return worker.get_task(task_id).state


def story(worker: Worker, task_id: str = TASK_ID) -> list[str]:
    """A task's Transitions in short, as one attempt's moves after another."""
    moves = worker.db.history(task_id)
    return [f"{move.from_.name} {move.to.name} #{move.attempt} {move.reason}" for move in moves]


async def send(worker: Worker, *numbers: int, command: tuple[str, ...] = ()) -> None:
    """Have tasks run that are told apart by a number."""
    for number in numbers:
        event_id = an_id(10_000 + number)
        await worker.add_task(an_event(task_id=an_id(number), event_id=event_id, command=command))


def states(worker: Worker, *numbers: int) -> list[State]:
    return [state_of(worker, an_id(number)) for number in numbers]
