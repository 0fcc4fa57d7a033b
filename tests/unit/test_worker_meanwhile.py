"""A stop that comes while a lane waits for the engine or the disk: it has the last word."""

from __future__ import annotations

import pytest

from keelman.errors import EngineError, EngineFailed, EngineRefused, NameTaken
from keelman.moves import Step
from keelman.task import Reason, State, Task
from tests.unit.given import TASK_ID
from tests.unit.given_wire import a_delete, an_event
from tests.unit.given_worker import (
    FAILS,
    RUN_SECONDS,
    Machine,
    at_work,
    clock,
    pass_time,
    settle,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

SCHEDULED, COMPLETED, FAILED = State.SCHEDULED, State.COMPLETED, State.FAILED


@pytest.mark.parametrize("policy", ["", "always"])
@pytest.mark.parametrize("verb", ["create", "start"])
@pytest.mark.parametrize(
    "error",
    [EngineRefused("bad parameter"), NameTaken("a stranger's"), EngineFailed("no space left")],
    ids=["refused", "name taken", "5xx"],
)
@in_virtual_time
async def test_a_stop_that_comes_while_an_action_fails_ends_it_as_stopped(
    machine: Machine, error: EngineError, verb: str, policy: str
) -> None:
    machine.engine.latency[verb] = 10.0
    machine.engine.fail_next(verb, error)
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(restart_policy=policy))
        await pass_time(1)
        await worker.add_task(a_delete())
        assert state_of(worker) is SCHEDULED  # the engine has not answered yet
        await pass_time(10)
    assert story(worker) == ["PENDING SCHEDULED #1 ", "SCHEDULED COMPLETED #1 stopped"]
    assert worker.get_task(TASK_ID).reason is Reason.STOPPED
    assert machine.engine.containers == {}


@in_virtual_time
async def test_a_stop_is_not_held_up_by_the_back_off_of_what_failed(machine: Machine) -> None:
    machine.engine.latency["create"] = 10.0
    machine.engine.fail_next("create", EngineFailed("no space left"))
    worker = machine.worker()
    async with at_work(worker):
        began = clock()
        await worker.add_task(an_event())
        await pass_time(1)
        await worker.add_task(a_delete())
        while not state_of(worker).ended:
            await worker.events.news()
        assert clock() == began + 5  # when the engine answered, half its latency later


@in_virtual_time
async def test_without_a_stop_the_same_fails(machine: Machine) -> None:
    machine.engine.latency["create"] = 10.0
    machine.engine.fail_next("create", EngineRefused("bad parameter"))
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(11)
    assert state_of(worker) is FAILED


@in_virtual_time
async def test_a_stop_that_comes_while_the_last_lines_are_fetched_ends_it_as_stopped(
    machine: Machine,
) -> None:
    """FAILED is decided on by then, and not yet on record."""
    machine.engine.latency["logs"] = 4.0
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(command=FAILS))
        await pass_time(RUN_SECONDS + 2)
        await worker.add_task(a_delete())
        await pass_time(4)
    assert story(worker)[-1] == "RUNNING COMPLETED #1 stopped"
    assert worker.get_task(TASK_ID).exit_code == 3
    assert [move.seq for move in worker.db.transitions(0)] == [1, 2, 3]


@in_virtual_time
async def test_a_stop_whose_write_is_before_that_of_a_failure_ends_it_as_stopped(
    machine: Machine,
) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(image="nobody/has:it", pull_policy="never"))
    await worker.run_task(TASK_ID)
    record = worker.record

    async def stopped_before(before: Task, step: Step) -> None:
        await worker.add_task(a_delete())
        await record(before, step)

    worker.record = stopped_before  # type: ignore[method-assign]  # a write slips in
    await worker.run_task(TASK_ID)
    worker.record = record  # type: ignore[method-assign]
    await settle(worker)
    assert story(worker) == ["PENDING SCHEDULED #1 ", "SCHEDULED COMPLETED #1 stopped"]
