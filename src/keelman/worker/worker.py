"""Worker: Queue + Db + Runtime, and the step that makes the one true of the other.

Handlers use `add_task`, `get_tasks`, `get_task` and the like, which only enqueue and read.
`run_task` is one step for one task; `run_tasks` runs it in a lane for every task that wants it.
What the engine did by itself is noticed in `watch`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import structlog

from keelman import telling
from keelman.db import Db, Listed
from keelman.errors import (
    CannotRecord,
    EngineAway,
    EngineError,
    EngineUnavailable,
    KeelmanError,
    UnknownTask,
)
from keelman.events import Events
from keelman.lanes import Lanes
from keelman.listing import Listing
from keelman.metrics import Metrics
from keelman.mishaps import Mishaps
from keelman.moves import Step
from keelman.queue import Admitted, Queue
from keelman.runtime import Runtime
from keelman.seats import House
from keelman.seen import Absent, Action, Body, Create, Pull, Seen, Unknown
from keelman.store import Store
from keelman.task import Reason, State, Task, TaskEvent, Transition, new_task
from keelman.worker import discretion, last_words, permission
from keelman.worker.adoption import Adoption
from keelman.worker.heard import Boot, Heard
from keelman.worker.images import Images
from keelman.worker.knowledge import Knowledge
from keelman.worker.limits import Limits
from keelman.worker.probes import Probes
from keelman.worker.recorder import Recorder, Rules
from keelman.worker.slots import Slots

log = structlog.get_logger(__name__)

PROBE_SECONDS = 10.0


class Worker:
    """The node agent of one machine."""

    def __init__(  # noqa: PLR0913  # all that a process is made of
        self,
        *,
        store: Store,
        runtime: Runtime,
        clock: Callable[[], float],
        limits: Limits,
        metrics: Metrics | None = None,
        recorder: Recorder | None = None,
        heard: Heard | None = None,
    ) -> None:
        self.directory = store.directory
        self.queue = Queue(store, limits.capacity)
        self.db = Db(store)
        self.events = Events(self.db)
        self.seats = House()
        self.runtime = runtime
        self.clock = clock
        self.began = 0.0  # by `run_tasks`
        self.limits = limits
        self.heard = heard or Heard(Boot(id="", seconds=clock))
        self.metrics = metrics or Metrics(clock)
        self.rules = Rules(recorder)
        self.lanes = Lanes(self.run_task_safely, clock)
        self.adoption = Adoption(runtime, self.db, self.lanes.wake)
        self.images = Images(runtime, clock, self.lanes.wake)
        self.probes = Probes(runtime, clock, self.lanes.wake)
        self.slots = Slots(limits.start_slots, self.lanes.wake)
        self.knowledge = Knowledge(self.images, self.probes)
        self.mishaps = Mishaps(clock)
        self.engine_trouble = "the engine was not reached yet"
        self.engine_since: float | None = None
        self._expired: set[str] = set()

    # -- for handlers ----------------------------------------------------------------------------

    async def add_task(self, event: TaskEvent) -> bytes:
        """Put a wish on the queue; returns the answer's body, the Task, once it is on disk.

        Raises: Conflict and its kin, Forbidden, CannotRecord, EngineUnavailable.
        """
        if against := await self.against(event):
            raise permission.together(against)
        admitted = await self.queue.put(event, self.clock(), self._admitted)
        return admitted.answer

    async def against(self, event: TaskEvent) -> list[KeelmanError]:
        """What this machine has against an event, but for what is on record.

        A new Db takes no task before it saw what its engine may still hold under that ID. What was
        answered before is answered alike, whatever is against it by now.
        """
        if event.spec is None:
            return []
        words = f"no engine was ever reached: {self.engine_trouble}"
        unmet = [] if self.db.engine_id() else [EngineUnavailable(words)]
        found = [*unmet, *await permission.forbidden(event.spec, self.limits.allowed)]
        return [] if found and self.queue.has_seen(event) else found

    def _admitted(self, admitted: Admitted) -> None:
        wish = admitted.wish
        if wish is None:
            return
        self.lanes.wake(wish.task_id)
        telling.accepted(wish, self.metrics)

    def get_tasks(self, asked: Listing) -> Listed:
        """The tasks that are asked for, oldest first, as JSON. Raises: TaskGone."""
        return self.db.listed(asked, self.limits.show)

    def get_task(self, task_id: str) -> Task:
        """One task, with the progress of a pull it waits for. Raises: UnknownTask."""
        task = self.db.shown(task_id)
        if task is None:
            raise UnknownTask(f"there is no task {task_id}")
        return self.images.shown(task)

    async def check_ready(self) -> None:
        """Raises: EngineUnavailable, CannotRecord."""
        if self.engine_trouble:
            raise EngineUnavailable(self.engine_trouble)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self.db.probe(self.clock())
        except TimeoutError as error:
            raise CannotRecord(f"no write was done in {PROBE_SECONDS:g} s") from error

    async def check_engine(self) -> str:
        """The engine's ID. Raises: EngineAway, when it is not the one that this Db is about.

        There all containers would look vanished. A stream that stays open proves nothing: the
        engine behind the address may have been replaced.
        """
        found, known = await self.runtime.identity(), self.db.engine_id()
        if known is not None and found != known:
            raise EngineAway(f"another engine is here, {found}; this data directory is of {known}")
        return found

    # -- for the watch ---------------------------------------------------------------------------

    def engine_is(self, trouble: str) -> None:
        """What is wrong with the engine, in words; empty when nothing is."""
        if trouble and trouble != self.engine_trouble:
            log.warning("engine away", error=trouble)
        elif self.engine_trouble and not trouble:
            log.info("engine ready")
        if bool(trouble) != bool(self.engine_trouble):
            self.engine_since = self.clock()
        self.engine_trouble = trouble

    def retire(self, task_ids: Iterable[str]) -> None:
        """Ended tasks that retention wants gone."""
        for task_id in task_ids:
            self._expired.add(task_id)
            self.lanes.wake(task_id)

    # -- one step --------------------------------------------------------------------------------

    async def run_tasks(self) -> None:
        """Run a lane for every task that wants one, until cancelled."""
        self.began = self.clock()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lanes.run(), name="lanes")
            group.create_task(self.images.run(), name="pulls")
            group.create_task(self.probes.run(), name="probes")

    async def run_task(self, task_id: str) -> float | None:
        """One step for one task; answers when to look again (`Lanes`)."""
        wish, task = self.queue.get(task_id), self.db.get(task_id)
        if task is None:
            task = new_task(wish) if wish is not None else await self.adoption.of(task_id)
        if task is None:
            self._expired.discard(task_id)  # retention may ask anew while the record goes
            return None
        seen = await self.look(task)
        step = self.rules.step(wish, task, seen, self.clock())
        if step.forget:
            return await self.forget(step.task)
        self.slots.settle(step, seen)  # before any await: the slot that was seen free is still free
        await self.record(task, step)
        if step.action is not None:
            return await self.act(step.task, step.action)
        return self.clock() if step.task != task else step.wake

    async def run_task_safely(self, task_id: str) -> float | None:
        """`run_task`, where an unexpected error parks the task and never the worker."""
        try:
            wake = await self.run_task(task_id)
        except CannotRecord as error:
            log.warning("cannot record", task=task_id, error=error.message)
            return self.mishaps.unrecorded(task_id, error).until
        except Exception as error:  # noqa: BLE001  # the lane's last net
            return await self.park(task_id, error)
        self.mishaps.over(task_id)
        return wake

    async def park(self, task_id: str, error: Exception) -> float:
        """Leave a task alone for a while after an error that is a bug, and say so."""
        mishap = self.mishaps.parked(task_id, error)
        self.metrics.stumbled()
        log.error("internal_error", task=task_id, times=mishap.times, exc_info=error)
        self.slots.leave(task_id)
        with contextlib.suppress(Exception):  # its record may be the very thing that is broken
            await self._tell_of(task_id, error)
        return mishap.until

    async def _tell_of(self, task_id: str, error: Exception) -> None:
        if (task := self.db.get(task_id)) is not None and not task.state.ended:
            words = f"an error in the worker, which tries again: {error!r}"
            await self.db.put(task.but(reason=Reason.INTERNAL_ERROR, message=words))

    async def look(self, task: Task) -> Seen:
        """What is to be seen of a task; from now on it is probed, and woken after its pull."""
        return await self._look(task, self.knowledge.attended)

    async def peek(self, task: Task) -> Seen:
        """The same for whoever only asks: nothing comes of it."""
        return await self._look(task, self.knowledge.known)

    async def _look(self, task: Task, with_what_is_known: Callable[[Task, Body], Body]) -> Seen:
        """By engine and worker; silence is Unknown."""
        if self.engine_trouble:
            return Seen(body=Unknown(why=self.engine_trouble))
        try:
            seen = discretion.seen(await self.runtime.look(task), task.spec)
            if isinstance(seen.body, Absent) and task.started == task.attempt > 0:
                await self.check_engine()
        except EngineError as error:
            return Seen(body=Unknown(why=error.message))
        return Seen(
            body=with_what_is_known(task, seen.body),
            others=seen.others,
            slot=self.slots.free(task.id),
            expired=task.id in self._expired,
            silence=self.heard.silence if task.spec.stop_after_disconnect else 0.0,
        )

    async def record(self, before: Task, step: Step) -> None:
        """Make a step durable, then tell of it."""
        if step.task == before and step.transition is None:
            return
        if step.transition is not None and step.transition.to is State.FAILED:
            step = await last_words.added(self.runtime, step)
        await self.db.put(step.task, step.transition, self._recorded)

    def _recorded(self, move: Transition | None) -> None:
        if move is None:
            return
        if not move.to.ended:  # it lives again
            self._expired.discard(move.task_id)
        telling.moved(move, self.events, self.metrics)

    async def act(self, task: Task, action: Action) -> float:
        """Carry an action out, record what it leaves behind, and answer when to look again."""
        try:
            await self._do(task, action)
            after = Step(task=self.rules.done(task, action, self.clock()))
        except EngineError as met:
            error = discretion.error(met, task.spec)
            log.warning("action failed", task=task.id, action=str(action), error=error.message)
            wish = self.queue.get(task.id)  # anew: a stop may have come during the call
            after = self.rules.failed(wish, task, action, error, self.clock())
            self.slots.leave(task.id)  # the way up is over, or interrupted by a back-off
        await self.record(task, after)
        return self.clock() if after.wake is None else after.wake

    async def _do(self, task: Task, action: Action) -> None:
        if isinstance(action, Pull | Create):
            await permission.check(task.spec, self.limits.allowed)
        match action:
            case Pull(image=image):
                self.images.pull(image, task.id)
            case _:
                await self.runtime.do(task, action)

    async def forget(self, task: Task) -> float | None:
        """Drop a task that retention wants gone; a newer wish for it keeps it."""
        self._expired.discard(task.id)
        gone = await self.db.forget(task, self.clock())
        return None if gone else self.clock()
