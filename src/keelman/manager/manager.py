"""Manager: Queue + Db + nodes, and the step that makes the one true of the other.

Handlers use `add_task`, `get_tasks`, `get_task` and the like, which only enqueue and read.
`run_task` is one step for one task; `run_tasks` runs it in a lane for every task that wants it.
What nodes tell comes by `follow`, places come from `scheduling`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from keelman import telling
from keelman.db import Db, Listed
from keelman.errors import CannotRecord, UnknownTask
from keelman.events import Events
from keelman.lanes import Lanes
from keelman.listing import Listing
from keelman.manager import alone, asking, assign, constraints
from keelman.manager.assign import Sight, Step
from keelman.manager.calls import Send
from keelman.manager.follow import Follow
from keelman.manager.invitations import NOBODY_JOINS, Invitations, Joining
from keelman.manager.limits import Limits
from keelman.manager.membership import Membership
from keelman.manager.node_client import Connect
from keelman.manager.placement import Placement
from keelman.manager.roster import Roster
from keelman.manager.scheduling import Scheduling
from keelman.manager.state import Record, SqliteState
from keelman.metrics import Metrics
from keelman.mishaps import Mishaps
from keelman.queue import Admitted, Queue
from keelman.seats import House
from keelman.store import Store
from keelman.task import Task, TaskEvent, Transition, Wish, new_task

log = structlog.get_logger(__name__)

PROBE_SECONDS = 10.0
RETIRE_SECONDS = 5.0
RETIRE_MOST = 200
SWEEP_EVERY = 120


class Manager:
    """Places the tasks of a cluster. `connect` makes a client of a node from its URL."""

    def __init__(
        self,
        *,
        store: Store,
        connect: Connect,
        clock: Callable[[], float],
        limits: Limits,
        metrics: Metrics | None = None,
        joining: Joining = NOBODY_JOINS,
    ) -> None:
        self.queue = Queue(store)
        self.db = Db(store)
        self.events = Events(self.db)
        self.seats = House()
        self.state = SqliteState(store)
        self.clock = clock
        self.limits = limits
        self.metrics = metrics or Metrics(clock)
        self.mishaps = Mishaps(clock)
        self.lanes = Lanes(self.run_task_safely, clock)
        self.roster = Roster(clock, limits.patience)
        self.scheduling = Scheduling(self.roster, limits.strategy, self.lanes.wake)
        self.follow = Follow(
            self.roster,
            self.state,
            connect,
            ours=self.db.knows,
            heard=self.lanes.wake,
            changed=self.node_changed,
        )
        self.membership = Membership(self.roster, self.state, self.follow, self.node_changed)
        self.invitations = Invitations(self.state, self.membership, clock, joining)
        self._expired: set[str] = set()

    async def open(self) -> None:
        """Remember what was known when it went. Raises: CannotRecord."""
        await self.state.open()
        for node in self.state.nodes():
            self.roster.add(node)
        unknown = []
        for placement in self.state.placements():
            if (task := self.db.get(placement.task_id)) is not None:
                self.roster.recorded(task, placement)
            if placement.node and not placement.known:
                unknown.append(placement.task_id)
        waiting = [*unknown, *self.db.live(), *self.queue.waiting(), *self.state.untold()]
        for task_id in dict.fromkeys(waiting):
            self.lanes.wake(task_id)

    # -- for handlers ----------------------------------------------------------------------------

    async def add_task(self, event: TaskEvent) -> bytes:
        """Put a wish on the queue; returns the answer's body, the Task, once it is on disk.

        Raises: BadField, Conflict and its kin, CannotRecord.
        """
        if event.spec is not None and not self.queue.has_seen(event):
            constraints.parse_all(event.spec.constraints)
        admitted = await self.queue.put(event, self.clock(), self._admitted)
        return admitted.answer

    def _admitted(self, admitted: Admitted) -> None:
        if (wish := admitted.wish) is not None:
            self.lanes.wake(wish.task_id)
            telling.accepted(wish, self.metrics)

    def get_tasks(self, asked: Listing) -> Listed:
        """The tasks that are asked for, oldest first, as JSON. Raises: TaskGone."""
        return self.db.listed(asked, self.limits.show)

    def get_task(self, task_id: str) -> Task:
        """One task. Raises: UnknownTask."""
        task = self.db.shown(task_id)
        if task is None:
            raise UnknownTask(f"there is no task {task_id}")
        return task

    async def check_ready(self) -> None:
        """A manager without nodes is ready. Raises: CannotRecord."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self.db.probe(self.clock())
        except TimeoutError as error:
            raise CannotRecord(f"no write was done in {PROBE_SECONDS:g} s") from error

    def node_changed(self, name: str) -> None:
        """A node came, went, or is another than before: its tasks look, and who waits for room."""
        for task_id in self.roster.concerned(name):
            self.lanes.wake(task_id)
        self.scheduling.room()

    # -- one step --------------------------------------------------------------------------------

    async def run_tasks(self) -> None:
        """All the loops, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lanes.run(), name="lanes")
            group.create_task(self.scheduling.run(), name="scheduling")
            group.create_task(self.follow.run(), name="follow")
            group.create_task(self.retire_tasks(), name="retire")

    async def run_task(self, task_id: str) -> float | None:
        """One step for one task; answers when to look again (`Lanes`)."""
        wish, placement = self.queue.get(task_id), self.state.placement(task_id)
        if wish is None:  # never asked for, or forgotten
            self._expired.discard(task_id)
            return None
        task, told = self.db.get(task_id) or new_task(wish), self.state.news(task_id)
        number, news = told if told is not None else (None, None)
        sight = Sight(
            news=news,
            nodes=self.roster.views({placement.node, *(one.node for one in placement.stale)}),
            place=self.scheduling.decided(task_id),
            expired=task_id in self._expired,
        )
        step = assign.step(wish, task, placement, sight, self.clock())
        if step.forget:
            return await self._forget(step.task)
        await self._record((task, placement), step, number if step.read else None)
        self._settle(step)
        if step.call is not None:
            return await self._call(wish, step)
        changed = (step.task, step.placement) != (task, placement) or news is not None
        return self.clock() if changed else step.wake

    async def run_task_safely(self, task_id: str) -> float | None:
        """`run_task`, where an unexpected error parks the task and never the manager."""
        try:
            wake = await self.run_task(task_id)
        except CannotRecord as error:
            log.warning("cannot record", task=task_id, error=error.message)
            return self.mishaps.unrecorded(task_id, error).until
        except Exception as error:  # the lane's last net
            mishap = self.mishaps.parked(task_id, error)
            self.metrics.stumbled()
            log.exception("internal_error", task=task_id, times=mishap.times)
            return mishap.until
        self.mishaps.over(task_id)
        return wake

    async def _record(
        self, before: tuple[Task, Placement], step: Step, read: int | None = None
    ) -> None:
        """Make a step durable, then tell of it."""
        if (step.task, step.placement) == before and step.transition is None and read is None:
            return
        record = Record(
            task=step.task, placement=step.placement, transition=step.transition, read=read
        )
        await self.state.record(record, self._recorded)
        if self.roster.recorded(step.task, step.placement):
            self.scheduling.room()

    def _recorded(self, move: Transition | None) -> None:
        if move is not None:
            telling.moved(move, self.events, self.metrics)

    def _settle(self, step: Step) -> None:
        if step.wants:
            self.scheduling.wants(step.task, step.placement)
        else:
            self.scheduling.settled(step.task.id)

    async def _call(self, wish: Wish, step: Step) -> float:
        """Ask the node, record what that comes to, and answer when to look again."""
        assert step.call is not None
        if isinstance(step.call, Send) and alone.is_alone(step.task):
            await self.follow.meet(step.call.copy.node)
        client = self.follow.clients.get(step.call.copy.node)
        after = await asking.ask(client, wish, step, step.call, self.clock)
        await self._record((step.task, step.placement), after)
        return self.clock() if after.wake is None else after.wake

    # -- retention -------------------------------------------------------------------------------

    async def retire_tasks(self) -> None:
        """Let go of what ended long ago, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(RETIRE_SECONDS)
            try:
                self._retire()
                if rounds % SWEEP_EVERY == 0:
                    await self.db.sweep(self.clock())
            except CannotRecord as error:
                log.warning("cannot record", error=error.message)
            rounds += 1

    def _retire(self) -> None:
        before = self.clock() - self.limits.keep_ended_seconds
        keep = self.limits.keep_ended_tasks
        for task_id in self.db.expired(before, keep=keep, most=RETIRE_MOST):
            self._expired.add(task_id)
            self.lanes.wake(task_id)

    async def _forget(self, task: Task) -> float | None:
        self._expired.discard(task.id)
        gone = await self.state.forget(task, self.clock())
        if gone:
            self.roster.forgotten(task.id)
        return None if gone else self.clock()
