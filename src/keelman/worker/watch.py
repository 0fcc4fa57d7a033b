"""The loops beside the lanes: what the engine did, and what ended long ago.

Events and list rows only wake lanes; every decision comes from an inspect. The event stream is
opened first, then everything is listed, then it is followed, so that nothing falls in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping

import structlog

from keelman.errors import CannotRecord, EngineAway, EngineError
from keelman.runtime import Row
from keelman.runtime.marks import by_attempt
from keelman.task import State
from keelman.worker.worker import Worker

log = structlog.get_logger(__name__)

RECONNECT_SECONDS = 1.0
RELIST_SECONDS = 30.0
RETIRE_SECONDS = 5.0
KEEP_SECONDS = 1.0
RETIRE_MOST = 200
SWEEP_EVERY = 120  # rounds of retirement


class Watch:
    """Keeps one worker's lanes informed.

    `lock_name(engine_id)` is called once the engine is known; it raises CannotStart when another
    worker of this name is at work there. `contacted` is set when the engine answered, or did not.
    """

    def __init__(self, worker: Worker, name: str, lock_name: Callable[[str], None]) -> None:
        self.worker = worker
        self.contacted = asyncio.Event()
        self._name = name
        self._lock_name = lock_name
        self._locked = False
        self._following = False
        self._reported: set[str] = set()

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[None, None, None]], ...]:
        """All that runs beside the API, each until cancelled."""
        worker = self.worker
        loops = (worker.run_tasks, self.update_tasks, self.relist_tasks, self.retire_tasks)
        return (*loops, self.keep_heard)

    async def update_tasks(self) -> None:
        """Follow the engine until cancelled. While it is away nothing is known, nothing fails."""
        while True:
            try:
                await self._follow()
            except EngineError as error:
                self._engine_is(error.message or "the engine does not answer")
            except CannotRecord as error:
                log.warning("cannot record", error=error.message)
            self._following = False
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _follow(self) -> None:
        async with self.worker.runtime.changes() as changes:
            rows = await self._meet_engine()
            self._engine_is("")
            self._following = True
            self._wake_all(rows)
            async for task_id in changes:
                self.worker.lanes.wake(task_id)
        raise EngineAway("the engine's event stream ended")

    def _engine_is(self, trouble: str) -> None:
        self.worker.engine_is(trouble)
        self.contacted.set()

    async def _meet_engine(self) -> list[Row]:
        """Our containers, all of them on record: nobody is told that a task is unknown which runs.

        Until this is done no lane records anything, so that it is the only one to do so.
        """
        engine_id = await self.worker.check_engine()
        if not self._locked:
            self._lock_name(engine_id)
            self._locked = True
        rows = await self._mine()
        found = orphans(rows, self._known)
        if self.worker.db.engine_id() is not None:
            await self.worker.adoption.take_up(found)
            return rows
        for row in found:
            await self.worker.adoption.adopt(row)
        await self.worker.db.set_engine_id(engine_id)
        return rows

    def _known(self, task_id: str) -> bool:
        return self.worker.db.knows(task_id)

    async def _mine(self) -> list[Row]:
        rows = await self.worker.runtime.rows()
        self._report([row for row in rows if row.worker != self._name])
        return [row for row in rows if row.worker == self._name]

    def _report(self, foreign: list[Row]) -> None:
        """Say once of each container of another worker that it is not touched."""
        new = {row.container_id for row in foreign} - self._reported
        if new:
            workers = sorted({row.worker for row in foreign})
            log.info("containers of other workers are not touched", count=len(new), of=workers)
        self._reported = {row.container_id for row in foreign}

    def _wake_all(self, rows: list[Row]) -> None:
        """After a gap everything that is not at rest is looked at."""
        self.worker.adoption.found(orphans(rows, self._known))
        for task_id in {**self.worker.db.live(), **dict.fromkeys(self.worker.queue.waiting())}:
            self.worker.lanes.wake(task_id)
        for task_id in suspects(rows, self.worker.db.live()):
            self.worker.lanes.wake(task_id)

    async def relist_tasks(self) -> None:
        """Look now and then whether the list agrees with the Db, until cancelled.

        An engine that hangs leaves its event stream open: here it is found out, and found back.
        """
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            if self._following:
                await self._relist()

    async def _relist(self) -> None:
        try:
            await self.worker.check_engine()
            rows, hung = await self._mine(), bool(self.worker.engine_trouble)
            self._engine_is("")
            self._wake_all(rows) if hung else self._wake_doubtful(rows)
        except EngineError as error:
            self._engine_is(error.message)
        except CannotRecord as error:
            log.warning("cannot record", error=error.message)

    def _wake_doubtful(self, rows: list[Row]) -> None:
        self.worker.adoption.found(orphans(rows, self._known))
        for task_id in [*suspects(rows, self.worker.db.live()), *self.worker.queue.waiting()]:
            self.worker.lanes.wake(task_id)

    async def retire_tasks(self) -> None:
        """Let go of what ended long ago, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(RETIRE_SECONDS)
            try:
                self._retire()
                if rounds % SWEEP_EVERY == 0:
                    await self.worker.db.sweep(self.worker.clock())
            except CannotRecord as error:
                log.warning("cannot record", error=error.message)
            rounds += 1

    async def keep_heard(self) -> None:
        """Keep when somebody was heard, until cancelled; who waits for a time looks after a sleep.

        The lanes' alarms do not go on while the machine is asleep.
        """
        heard = self.worker.heard
        try:
            while True:
                heard.keep()
                if heard.slept(self.worker.clock()):
                    for task_id in self.worker.db.live():
                        self.worker.lanes.wake(task_id)
                await asyncio.sleep(KEEP_SECONDS)
        finally:
            heard.keep()

    def _retire(self) -> None:
        limits = self.worker.limits
        before = self.worker.clock() - limits.keep_ended_seconds
        ids = self.worker.db.expired(before, keep=limits.keep_ended_tasks, most=RETIRE_MOST)
        self.worker.retire(ids)


def orphans(rows: Iterable[Row], known: Callable[[str], bool]) -> list[Row]:
    """The newest container of each task that is not on record."""
    newest: dict[str, Row] = {}
    for row in by_attempt(rows):
        newest[row.task_id] = row
    return [row for task_id, row in newest.items() if not known(task_id)]


def suspects(rows: Iterable[Row], live: Mapping[str, State]) -> Iterator[str]:
    """Tasks of which the list tells another story than the Db: to be looked at, no more."""
    running = {row.task_id for row in rows if row.live}
    for task_id in running | live.keys():
        if (task_id in running) != (live.get(task_id) is State.RUNNING):
            yield task_id
