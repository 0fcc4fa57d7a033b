"""Bugs in a lane and a disk in trouble, in virtual time: what they cost, and what they do not."""

from __future__ import annotations

import pytest

from keelman.errors import EngineAway, EngineFailed
from keelman.policy import BACKOFF_MOST_SECONDS
from keelman.runtime.fake import FakeRuntime
from keelman.seen import Action, Seen
from keelman.task import Reason, State, Task
from keelman.worker.watch import RELIST_SECONDS
from keelman.worker.worker import Worker
from tests.unit.given_wire import an_id
from tests.unit.given_worker import (
    NAME,
    Machine,
    at_work,
    clock,
    pass_time,
    send,
    states,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State


class BrokenRuntime(FakeRuntime):
    """Has a bug where these tasks are looked at, or made."""

    broken: frozenset[str] = frozenset()
    unmakeable: frozenset[str] = frozenset()

    async def look(self, task: Task) -> Seen:
        if task.id in self.broken:
            raise LookupError("a bug")
        return await super().look(task)

    async def do(self, task: Task, action: Action) -> None:
        if task.id in self.unmakeable:
            raise LookupError("a bug")
        await super().do(task, action)


# -- bugs, and a disk in trouble -----------------------------------------------------------------


def with_a_bug(machine: Machine, *broken: int) -> Worker:
    worker = machine.worker(start_slots=1)
    runtime = BrokenRuntime(machine.engine, NAME)
    runtime.broken = frozenset(map(an_id, broken))
    worker.runtime = runtime
    return worker


@in_virtual_time
async def test_a_bug_parks_its_own_task_and_nothing_else(machine: Machine) -> None:
    worker = with_a_bug(machine, 1)
    async with at_work(worker):
        await send(worker, 1, 2, 3)
        await pass_time(60)
        assert states(worker, 2, 3) == [RUNNING, RUNNING]
        assert states(worker, 1) == [PENDING]


@in_virtual_time
async def test_a_parked_task_does_not_hold_a_place_among_those_that_start(
    machine: Machine,
) -> None:
    worker = with_a_bug(machine)
    assert isinstance(worker.runtime, BrokenRuntime)
    worker.runtime.unmakeable = frozenset({an_id(1)})
    async with at_work(worker):
        await send(worker, 1, 2, 3)
        await pass_time(1)
        assert states(worker, 1, 2, 3) == [SCHEDULED, RUNNING, RUNNING]


@in_virtual_time
async def test_a_parked_task_says_so_and_goes_on_once_it_can(machine: Machine) -> None:
    worker = with_a_bug(machine)
    assert isinstance(worker.runtime, BrokenRuntime)
    async with at_work(worker):
        await send(worker, 1)
        await pass_time(1)
        worker.runtime.broken = frozenset({an_id(1)})
        machine.engine.exit(machine.engine.the_container().id, 0)
        await pass_time(60)
        task = worker.get_task(an_id(1))
        assert (task.state, task.reason) == (RUNNING, Reason.INTERNAL_ERROR)
        assert "a bug" in task.message
        worker.runtime.broken = frozenset()
        await pass_time(BACKOFF_MOST_SECONDS)
        assert states(worker, 1) == [COMPLETED]


@in_virtual_time
async def test_a_task_that_ran_on_while_it_was_parked_is_no_longer_in_error(
    machine: Machine,
) -> None:
    worker = with_a_bug(machine)
    assert isinstance(worker.runtime, BrokenRuntime)
    async with at_work(worker):
        await send(worker, 1)
        await pass_time(1)
        worker.runtime.broken = frozenset({an_id(1)})
        worker.lanes.wake(an_id(1))
        await pass_time(1)
        assert worker.get_task(an_id(1)).reason is Reason.INTERNAL_ERROR
        worker.runtime.broken = frozenset()
        await pass_time(BACKOFF_MOST_SECONDS)
        task = worker.get_task(an_id(1))
        assert (task.state, task.reason, task.message) == (RUNNING, Reason.NONE, "")


@in_virtual_time
async def test_a_parked_task_is_tried_again_at_growing_intervals_for_ever(
    machine: Machine,
) -> None:
    worker = with_a_bug(machine, 1)
    error = LookupError("a bug")
    times = range(1100)  # a float ends at 2 ** 1024
    waits = [await worker.park(an_id(1), error) - clock() for _ in times]
    assert waits[:4] == [2, 4, 8, 16]
    assert waits[-1] == BACKOFF_MOST_SECONDS
    assert waits == sorted(waits)


@in_virtual_time
async def test_a_record_that_cannot_be_read_parks_its_own_task(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await send(worker, 1, 2)
        await pass_time(1)
        await worker.db._store.write(
            lambda db: db.execute("UPDATE tasks SET task = '?' WHERE task_id = ?", (an_id(1),))
        )
        for container_id in list(machine.engine.containers):
            machine.engine.exit(container_id, 0)
        await pass_time(60)
        assert states(worker, 2) == [COMPLETED]


@in_virtual_time
async def test_while_the_disk_takes_nothing_nothing_is_done_and_then_it_is(
    machine: Machine,
) -> None:
    worker = machine.worker()
    writer = worker.db._store._writer
    async with at_work(worker):
        await send(worker, 1)
        writer.execute("PRAGMA query_only = ON")
        await pass_time(20)
        assert machine.engine.made == []
        writer.execute("PRAGMA query_only = OFF")
        await pass_time(5)
        assert states(worker, 1) == [RUNNING]


@in_virtual_time
async def test_a_database_that_cannot_be_read_for_a_while_ends_no_loop(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = machine.worker()
    reader = worker.db._store._reader
    async with at_work(worker):
        await send(worker, 1)
        await pass_time(1)
        reader.execute("ALTER TABLE tasks RENAME TO away")
        machine.engine.exit(machine.engine.the_container().id, 0)
        await pass_time(3 * RELIST_SECONDS)
        reader.execute("ALTER TABLE away RENAME TO tasks")
        await pass_time(3 * RELIST_SECONDS)
        assert states(worker, 1) == [COMPLETED]


@in_virtual_time
async def test_a_list_that_fails_ends_no_loop(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        for error in (EngineFailed("500"), EngineAway("no answer")):
            machine.engine.fail_next("rows", error)
        await pass_time(3 * RELIST_SECONDS)
        await send(worker, 1)
        await pass_time(1)
        assert states(worker, 1) == [RUNNING]
