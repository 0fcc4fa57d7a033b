"""The worker with all its loops, in virtual time: many tasks, what wakes them, and what breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from keelman.errors import CannotStart, EngineAway, EngineFailed, EngineUnavailable
from keelman.policy import BACKOFF_MOST_SECONDS
from keelman.runtime.fake import FakeRuntime
from keelman.seen import Create, Seen
from keelman.task import Reason, State, Task
from keelman.worker.watch import RELIST_SECONDS, RETIRE_SECONDS, Watch
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID, a_task
from tests.unit.given_wire import OTHER_EVENT_ID, a_delete, an_event
from tests.unit.given_worker import (
    FAILS,
    NAME,
    STUBBORN,
    SUCCEEDS,
    Machine,
    at_work,
    clock,
    pass_time,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.close()


def an_id(number: int) -> str:
    return str(UUID(int=number))


async def send(worker: Worker, *numbers: int, command: tuple[str, ...] = ()) -> None:
    for number in numbers:
        event_id = an_id(10_000 + number)
        await worker.add_task(an_event(task_id=an_id(number), event_id=event_id, command=command))


def states(worker: Worker, *numbers: int) -> list[State]:
    return [state_of(worker, an_id(number)) for number in numbers]


class BrokenRuntime(FakeRuntime):
    """Has a bug where the tasks named in `broken` are concerned."""

    broken: frozenset[str] = frozenset()

    async def look(self, task: Task) -> Seen:
        if task.id in self.broken:
            raise LookupError("a bug")
        return await super().look(task)


# -- a life --------------------------------------------------------------------------------------


@in_virtual_time
async def test_tasks_are_taken_up_run_and_come_to_their_ends(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await send(worker, 1, command=SUCCEEDS)
        await send(worker, 2, command=FAILS)
        await send(worker, 3, command=STUBBORN)
        await pass_time(1)
        assert states(worker, 1, 2, 3) == [RUNNING, RUNNING, RUNNING]
        await pass_time()
        assert states(worker, 1, 2, 3) == [COMPLETED, FAILED, RUNNING]
        await worker.add_task(a_delete(task_id=an_id(3)))
        await pass_time(60)
        assert states(worker, 3) == [COMPLETED]


@in_virtual_time
async def test_a_restart_comes_by_itself_after_its_back_off(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(command=FAILS, restart_policy="on-failure:2"))
        await pass_time(60)
    assert [line.split(" #")[0] for line in story(worker)].count("RUNNING SCHEDULED") == 2
    assert state_of(worker) is FAILED
    assert len(machine.engine.made) == 3


@in_virtual_time
async def test_a_timeout_ends_a_task_by_itself(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(timeout=100, restart_policy="always"))
        await pass_time(99)
        assert state_of(worker) is RUNNING
        await pass_time(20)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.DEADLINE)


@in_virtual_time
async def test_a_stop_wakes_a_task_that_waits_for_its_back_off(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(command=FAILS, restart_policy="always"))
        while worker.get_task(TASK_ID).attempt < 2:
            await worker.events.news()
        asked_at = clock()
        await worker.add_task(a_delete())
        while not state_of(worker).ended:
            await worker.events.news()
        assert clock() == asked_at  # no time passed
    assert story(worker)[-1] == "SCHEDULED COMPLETED #2 stopped"


@in_virtual_time
async def test_a_stop_does_not_wait_for_a_pull(machine: Machine) -> None:
    machine.engine.latency["pull"] = 3600
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(image="nginx:2"))
        await pass_time(1)
        assert state_of(worker) is SCHEDULED
        await worker.add_task(a_delete())
        await pass_time(1)
        assert state_of(worker) is COMPLETED
    assert machine.engine.made == []


@in_virtual_time
async def test_a_local_image_does_not_wait_behind_a_pull(machine: Machine) -> None:
    machine.engine.latency["pull"] = 3600
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(image="nginx:2"))
        await pass_time(1)
        await send(worker, 1)
        await pass_time(1)
        assert states(worker, 1) == [RUNNING]


# -- the start governor --------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2, 4])
@in_virtual_time
async def test_a_storm_of_starts_never_has_more_on_the_way_than_slots(
    machine: Machine, slots: int
) -> None:
    machine.engine.latency.update(create=2.0, start=2.0)
    worker = machine.worker(start_slots=slots)
    numbers = range(1, 21)
    most = 0

    async def measure() -> None:
        nonlocal most
        while True:
            made = len(machine.engine.made) - len(machine.engine.starts)
            most = max(most, made, len(worker.slots._held))
            await pass_time(0.1)

    async with at_work(worker):
        measuring = asyncio.create_task(measure())
        await send(worker, *numbers)
        await pass_time(200)
        measuring.cancel()
    assert states(worker, *numbers) == [RUNNING] * 20
    assert most == slots


@in_virtual_time
async def test_a_stopped_task_gives_its_place_in_the_queue_to_others(machine: Machine) -> None:
    machine.engine.latency.update(create=10.0)
    worker = machine.worker(start_slots=1)
    async with at_work(worker):
        await send(worker, 1, 2, 3)
        await pass_time(1)
        await worker.add_task(a_delete(task_id=an_id(2)))
        await pass_time(1)
        assert states(worker, 2) == [COMPLETED]
        await pass_time(60)
    assert states(worker, 1, 2, 3) == [RUNNING, COMPLETED, RUNNING]


# -- what the engine does by itself --------------------------------------------------------------


@in_virtual_time
async def test_the_engines_events_wake_a_task_at_once(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(1)
        before = clock()
        machine.engine.exit(machine.engine.the_container().id, 0)
        while not state_of(worker).ended:
            await worker.events.news()
        assert clock() == before


@in_virtual_time
async def test_an_event_that_never_came_costs_time_and_never_truth(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(1)
        container = machine.engine.the_container()
        container.ended(clock(), 0, oom=False)  # and nobody is told
        await pass_time(1)
        assert state_of(worker) is RUNNING
        await pass_time(RELIST_SECONDS)
        assert state_of(worker) is COMPLETED


@in_virtual_time
async def test_a_container_somebody_removed_is_vanished(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(1)
        machine.engine.vanish(machine.engine.the_container().id)
        await pass_time(1)
    assert worker.get_task(TASK_ID).reason is Reason.VANISHED


@in_virtual_time
async def test_an_outage_fails_nothing_and_what_happened_in_it_is_seen_after(
    machine: Machine,
) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await send(worker, 1, 2)
        await pass_time(1)
        ended, lives = list(machine.engine.containers)
        machine.engine.down()
        machine.engine.exit(ended, 0)
        await send(worker, 3)
        with pytest.raises(EngineUnavailable):
            await worker.check_ready()
        seq = worker.db.last_seq()
        await pass_time(600)
        assert worker.db.last_seq() == seq
        machine.engine.up()
        await pass_time(5)
        await worker.check_ready()
        assert states(worker, 1, 2, 3) == [COMPLETED, RUNNING, RUNNING]
    assert lives in machine.engine.containers


@in_virtual_time
async def test_an_engine_that_is_away_at_first_is_met_when_it_comes(machine: Machine) -> None:
    machine.engine.down()
    worker = machine.worker()
    async with at_work(worker):
        with pytest.raises(EngineUnavailable):
            await worker.add_task(an_event())
        machine.engine.up()
        await pass_time(5)
        await worker.add_task(an_event())
        await pass_time(1)
        assert state_of(worker) is RUNNING


# -- adoption ------------------------------------------------------------------------------------


async def before_the_db_was_lost(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await send(worker, 1, command=STUBBORN)
        await send(worker, 2, command=SUCCEEDS)
        await pass_time(1)
    machine.lose_db()
    await pass_time()


@in_virtual_time
async def test_with_a_new_db_all_that_is_ours_is_adopted_before_a_task_is_taken(
    machine: Machine,
) -> None:
    await before_the_db_was_lost(machine)
    worker = machine.worker()
    async with at_work(worker):
        assert worker.db.shown(an_id(1)) is not None
        await pass_time(1)
        assert states(worker, 1, 2) == [RUNNING, COMPLETED]
    assert len(machine.engine.starts) == 2


@in_virtual_time
async def test_a_container_that_appears_later_is_adopted_by_the_next_list(
    machine: Machine,
) -> None:
    worker = machine.worker()
    async with at_work(worker):
        other_hand = FakeRuntime(machine.engine, NAME)
        await other_hand.do(a_task(SCHEDULED), Create(attempt=1))
        machine.engine.start(machine.engine.the_container().id)
        await pass_time(RELIST_SECONDS + 1)
        assert state_of(worker) is RUNNING


@in_virtual_time
async def test_another_workers_containers_are_not_touched(machine: Machine) -> None:
    other = FakeRuntime(machine.engine, "other")
    await other.do(a_task(SCHEDULED), Create(attempt=1))
    machine.engine.start(machine.engine.the_container().id)
    worker = machine.worker()
    async with at_work(worker):
        await pass_time(10 * RELIST_SECONDS)
        assert worker.db.shown(TASK_ID) is None
    assert len(machine.engine.live) == 1


@in_virtual_time
async def test_another_engine_is_refused_for_as_long_as_it_is_there(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(1)
    machine.engine.identity, containers = "OTHER", dict(machine.engine.containers)
    machine.engine.containers.clear()
    worker = machine.worker()
    async with at_work(worker):
        await pass_time(600)
        assert state_of(worker) is RUNNING
        with pytest.raises(EngineUnavailable, match="another engine is here, OTHER"):
            await worker.check_ready()
        machine.engine.identity = "FAKE"
        machine.engine.containers.update(containers)
        await pass_time(5)
        await worker.check_ready()
        assert state_of(worker) is RUNNING


@in_virtual_time
async def test_a_second_worker_of_the_same_name_ends_the_whole_process(machine: Machine) -> None:
    def held(engine_id: str) -> None:
        raise CannotStart(f"another worker is at work on {engine_id}")

    watch = Watch(machine.worker(), NAME, held)
    with pytest.raises(CannotStart, match="FAKE"):
        await watch.update_tasks()


# -- retention -----------------------------------------------------------------------------------


@in_virtual_time
async def test_ended_tasks_are_let_go_of_after_their_time(machine: Machine) -> None:
    worker = machine.worker(keep_ended_seconds=600)
    async with at_work(worker):
        await send(worker, 1, command=SUCCEEDS)
        await send(worker, 2)
        await pass_time(500)
        assert states(worker, 1, 2) == [COMPLETED, RUNNING]
        await pass_time(200)
        assert worker.db.buried(an_id(1))
        assert states(worker, 2) == [RUNNING]
    assert len(machine.engine.containers) == 1


@pytest.mark.parametrize("keep", [0, 2])
@in_virtual_time
async def test_no_more_ended_tasks_are_kept_than_allowed(machine: Machine, keep: int) -> None:
    worker = machine.worker(keep_ended_tasks=keep)
    async with at_work(worker):
        for number in (1, 2, 3, 4, 5):
            await send(worker, number, command=SUCCEEDS)
            await pass_time(1)
        await pass_time(60)
    kept = [number for number in (1, 2, 3, 4, 5) if worker.db.shown(an_id(number))]
    assert kept == [1, 2, 3, 4, 5][5 - keep :]
    assert len(machine.engine.containers) == keep


@in_virtual_time
async def test_a_task_that_ran_again_in_time_is_not_let_go_of(machine: Machine) -> None:
    """It was found to have expired, and wished for again before its lane got to it."""
    worker = machine.worker(keep_ended_seconds=600)
    async with at_work(worker):
        await worker.add_task(an_event(command=FAILS))
        await pass_time(599)
        worker.expired.add(TASK_ID)
        await worker.add_task(an_event(command=FAILS, event_id=OTHER_EVENT_ID))
        await pass_time(RETIRE_SECONDS + 10)
        assert state_of(worker) is FAILED
    assert len(machine.engine.made) == 2


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


# -- the end of the process ----------------------------------------------------------------------


@in_virtual_time
async def test_containers_outlive_the_worker_and_the_next_one_goes_on(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await send(worker, 1)
        await pass_time(1)
        assert states(worker, 1) == [RUNNING]
    assert len(machine.engine.live) == 1
    machine.engine.exit(machine.engine.the_container().id, 0)
    worker = machine.worker()
    async with at_work(worker):
        await pass_time(1)
        assert states(worker, 1) == [COMPLETED]
