"""The worker with all its loops, in virtual time: many tasks, what wakes them, and what breaks."""

from __future__ import annotations

import asyncio

import pytest

from keelman.errors import EngineFailed
from keelman.task import Reason, State
from tests.unit.given import TASK_ID
from tests.unit.given_wire import a_delete, an_event, an_id
from tests.unit.given_worker import (
    FAILS,
    STUBBORN,
    SUCCEEDS,
    Machine,
    at_work,
    clock,
    pass_time,
    send,
    state_of,
    states,
    story,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State


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
    worker = await machine.met(start_slots=slots)
    numbers = range(1, 21)
    await send(worker, *numbers)
    most = 0

    async def measure() -> None:
        nonlocal most
        while True:
            made = len(machine.engine.made) - len(machine.engine.starts)
            most = max(most, made, len(worker.slots._held))
            await pass_time(0.1)

    async with at_work(worker):
        measuring = asyncio.create_task(measure())
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


@in_virtual_time
async def test_a_task_in_back_off_keeps_no_place_from_others(machine: Machine) -> None:
    worker = machine.worker(start_slots=1)
    async with at_work(worker):
        machine.engine.fail_next("create", EngineFailed("out of sorts"))
        await send(worker, 1)
        await pass_time(0.5)
        await send(worker, 2)
        await pass_time(0.1)
        assert states(worker, 1, 2) == [SCHEDULED, RUNNING]
