"""What the watch finds by itself, in virtual time: containers nobody told of, and what is over."""

from __future__ import annotations

import pytest

from keelman.errors import CannotStart, EngineAway, EngineUnavailable
from keelman.runtime.fake import FakeRuntime
from keelman.seen import Create
from keelman.task import Reason, State
from keelman.worker.watch import RELIST_SECONDS, RETIRE_SECONDS, Watch
from tests.unit.given import TASK_ID, a_task
from tests.unit.given_wire import OTHER_EVENT_ID, an_event, an_id
from tests.unit.given_worker import (
    FAILS,
    NAME,
    STUBBORN,
    SUCCEEDS,
    Machine,
    at_work,
    clock,
    pass_time,
    send,
    state_of,
    states,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State


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
    machine.engine.fail_next("rebuild", EngineAway("nobody should ask"))
    worker = machine.worker()
    async with at_work(worker):
        await pass_time(10 * RELIST_SECONDS)
        assert worker.db.shown(TASK_ID) is None
    assert len(machine.engine.live) == 1
    assert machine.engine._errors["rebuild"], "it was looked into"


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
        worker._expired.add(TASK_ID)
        await worker.add_task(an_event(command=FAILS, event_id=OTHER_EVENT_ID))
        await pass_time(RETIRE_SECONDS + 10)
        assert state_of(worker) is FAILED
    assert len(machine.engine.made) == 2


@in_virtual_time
async def test_an_engine_that_hangs_is_found_out_and_found_back(machine: Machine) -> None:
    """Its event stream stays open all the while."""
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(1)
        machine.engine.fail_next("rows", EngineAway("no answer"))
        await pass_time(RELIST_SECONDS)
        with pytest.raises(EngineUnavailable, match="no answer"):
            await worker.check_ready()
        assert state_of(worker) is RUNNING
        await pass_time(RELIST_SECONDS)
        await worker.check_ready()


@in_virtual_time
async def test_another_engine_behind_an_open_stream_is_found_out(machine: Machine) -> None:
    """It was replaced behind its address: there every container would look vanished."""
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(restart_policy="always"))
        await pass_time(1)
        kept = dict(machine.engine.containers)
        machine.engine.identity, known = "ANOTHER", machine.engine.identity
        machine.engine.containers.clear()
        worker.lanes.wake(TASK_ID)
        await pass_time(RELIST_SECONDS)
        with pytest.raises(EngineUnavailable, match="another engine"):
            await worker.check_ready()
        machine.engine.identity = known
        machine.engine.containers.update(kept)
        await pass_time(2 * RELIST_SECONDS)
        await worker.check_ready()
        assert state_of(worker) is RUNNING
        assert worker.get_task(TASK_ID).attempt == 1
