"""What holds of every action, at the moment when it is sent: record, then act.

The door stands between the worker and its engine. It reads what is on disk, and knows what the
engine really holds.
"""

from __future__ import annotations

from collections.abc import Callable

from keelman.ending import Why
from keelman.health import Health
from keelman.seen import Action, Create, Kill, Pull, Remove, Rename, Signal, Start
from keelman.task import State, Task
from keelman.worker.worker import Worker
from tests.simulation.engine import SimEngine, short

Fails = Callable[[str], None]
A_MOMENT = 1e-3  # seconds: what a float loses of a year


class Door:
    """Judges actions. `killed` are the containers that KILL was sent to."""

    def __init__(self, engine: SimEngine, fails: Fails) -> None:
        self.killed: set[str] = set()
        self._engine = engine
        self._fails = fails
        self._signalled: dict[str, float] = {}

    def before(self, worker: Worker, task: Task, action: Action) -> None:
        """Judge an action that is about to be sent. The record is the one on disk."""
        self._worker, record = worker, worker.db.get(task.id)
        who, now = short(task.id), worker.clock()
        match action:
            case Create(attempt=attempt):
                self._may_start(record, who, now)
                self._may_make(record, task.id, attempt)
            case Start():
                self._may_start(record, who, now)
                if record is not None and record.started != record.attempt:
                    self._fails(f"{who}: started before that is on record, {_told(record)}")
            case Signal() | Kill():
                self._may_end(record, who, action, now)
            case Remove():
                self._may_remove(record, who, action.container_id, now)
            case Rename():
                self._may_rename(record, who)
            case Pull():
                pass

    def _may_start(self, record: Task | None, who: str, now: float) -> None:
        if record is None or record.state is not State.SCHEDULED:
            self._fails(f"{who}: acts before it is recorded, {_told(record)}")
        elif record.due > now + A_MOMENT:
            self._fails(f"{who}: starts {record.due - now:.1f} s before its back-off is over")
        elif record.ending is not None:
            self._fails(f"{who}: starts while it is being ended")

    def _may_rename(self, record: Task | None, who: str) -> None:
        """Only a container that a start may be on its way to gets another name."""
        if record is None or record.state is not State.SCHEDULED:
            self._fails(f"{who}: renamed, {_told(record)}")

    def _may_make(self, record: Task | None, task_id: str, attempt: int) -> None:
        who = short(task_id)
        if record is not None and (record.attempt != attempt or record.started >= attempt):
            self._fails(f"{who}: attempt {attempt} is made, {_told(record)}")
        for one in self._engine.of(task_id):
            if not one.name.endswith(f"-{attempt}") and "renamed" not in one.name:
                self._fails(f"{who}: attempt {attempt} is made, {one.name} is still there")

    def _may_end(self, record: Task | None, who: str, action: Signal | Kill, now: float) -> None:
        if record is None or record.ending is None:
            self._fails(f"{who}: signalled before its ending is on record, {_told(record)}")
            return
        if not self._justified(record, now):
            self._fails(f"I5: {who} is ended as {record.ending.why} for no reason")
        container_id = action.container_id
        if isinstance(action, Signal):
            self._signalled.setdefault(container_id, now)
            return
        self.killed.add(container_id)
        since = self._signalled.get(container_id)
        if since is None or now - since < record.spec.grace_seconds - A_MOMENT:
            self._fails(f"{who}: killed before its grace was over")

    def _justified(self, record: Task, now: float) -> bool:
        wish = self._worker.queue.get(record.id)
        match record.ending.why if record.ending else None:
            case Why.STOPPED:
                return wish is not None and (wish.stops or wish.generation > 0)
            case Why.DEADLINE:
                return record.deadline is not None and now >= record.deadline - A_MOMENT
            case Why.UNHEALTHY:
                return record.health is Health.UNHEALTHY
            case Why.STRAY:
                return record.state.ended
            case _:
                return True

    def _may_remove(self, record: Task | None, who: str, container_id: str, now: float) -> None:
        """What lives is removed only as the last rung, or when it is not the present attempt's."""
        one = self._engine.containers.get(container_id)
        if record is None or one is None or not one.live:
            return
        present = one.name.endswith(f"-{record.attempt}") and not record.state.ended
        if present and record.attempt and (record.ending is None or record.ending.signalled < 1):
            self._fails(f"I5: {who} lives and is removed, {_told(record)}")


def _told(record: Task | None) -> str:
    if record is None:
        return "and nothing is on record"
    return (
        f"on record is {record.state.name} attempt={record.attempt} started={record.started}"
        f" ending={record.ending}"
    )
