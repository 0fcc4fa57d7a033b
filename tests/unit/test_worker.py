"""The worker, one step at a time: what it records, what it does, and in which order."""

from __future__ import annotations

import asyncio
import re

import pytest

from keelman.errors import (
    CannotRecord,
    EngineAway,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineUnavailable,
    UnknownTask,
)
from keelman.mishaps import RECORD_AGAIN_SECONDS
from keelman.seen import Action, Create, Kill, Remove, Signal, Start
from keelman.task import Reason, State, Task
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_wire import OTHER_EVENT_ID, a_delete, an_event
from tests.unit.given_worker import (
    FAILS,
    STUBBORN,
    SUCCEEDS,
    FusedRuntime,
    Machine,
    clock,
    pass_time,
    settle,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State

RUN = an_event()


def runtime_of(worker: Worker) -> FusedRuntime:
    assert isinstance(worker.runtime, FusedRuntime)
    return worker.runtime


def cannot_write(worker: Worker) -> None:
    worker.db._store._writer.execute("PRAGMA query_only = ON")


def can_write_again(worker: Worker) -> None:
    worker.db._store._writer.execute("PRAGMA query_only = OFF")


# -- one step after another ----------------------------------------------------------------------


@in_virtual_time
async def test_a_task_goes_up_one_action_at_a_time(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    assert state_of(worker) is PENDING

    assert await worker.run_task(TASK_ID) == clock()  # look again at once
    assert (state_of(worker), machine.engine.live) == (SCHEDULED, [])
    assert machine.engine.made == [f"keelman-w-{TASK_ID}-1"]

    assert await worker.run_task(TASK_ID) == clock()
    assert (state_of(worker), len(machine.engine.live)) == (SCHEDULED, 1)

    assert await worker.run_task(TASK_ID) == clock()
    assert state_of(worker) is RUNNING

    assert await worker.run_task(TASK_ID) is None  # until something happens
    assert story(worker) == ["PENDING SCHEDULED #1 ", "SCHEDULED RUNNING #1 "]
    assert machine.engine.starts == machine.engine.made


@in_virtual_time
async def test_a_task_nobody_asked_for_is_nothing_to_do(machine: Machine) -> None:
    worker = await machine.met()
    assert await worker.run_task(TASK_ID) is None
    assert worker.db.get(TASK_ID) is None


@in_virtual_time
async def test_a_stop_signals_waits_for_the_grace_and_kills(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(command=STUBBORN, stop_timeout=30))
    await settle(worker)
    done: list[tuple[str, float]] = []
    runtime_of(worker).before_doing = lambda _, action: done.append(
        (type(action).__name__, clock())
    )
    await worker.add_task(a_delete())
    asked_at = clock()
    await settle(worker)
    assert done == [("Signal", asked_at), ("Kill", pytest.approx(asked_at + 30))]
    assert story(worker)[-1] == "RUNNING COMPLETED #1 stopped"
    assert worker.get_task(TASK_ID).exit_code == 137


@in_virtual_time
async def test_a_failure_is_restarted_after_its_back_off_and_then_failed(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(command=FAILS, restart_policy="on-failure:2"))
    for _ in range(4):
        await settle(worker)
        await pass_time()
    again = ["SCHEDULED RUNNING #{}", "RUNNING SCHEDULED #{} exited"]
    assert [line.strip() for line in story(worker)] == [
        "PENDING SCHEDULED #1",
        *(line.format(attempt) for attempt in (1, 2) for line in again),
        "SCHEDULED RUNNING #3",
        "RUNNING FAILED #3 exited",
    ]
    assert machine.engine.made == [f"keelman-w-{TASK_ID}-{attempt}" for attempt in (1, 2, 3)]


@in_virtual_time
async def test_a_failed_task_tells_its_last_lines(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(command=FAILS))
    await settle(worker)
    await pass_time()
    await settle(worker)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.exit_code) == (FAILED, 3)
    assert task.message == "exited with code 3; its last lines:\nno luck"
    assert worker.db.transitions(0)[-1].message == task.message


@in_virtual_time
async def test_an_image_that_is_not_here_is_pulled_beside_the_lane(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(image="nginx:2"))
    assert await worker.run_task(TASK_ID) == clock()  # asks for the pull
    assert await worker.run_task(TASK_ID) is None  # and waits to be woken
    pulls = asyncio.create_task(worker.images.run())
    await pass_time()
    await settle(worker)
    assert state_of(worker) is RUNNING
    pulls.cancel()


# -- record, then tell, then act -----------------------------------------------------------------


async def a_busy_life(worker: Worker) -> None:
    """Started, failed, started again, stopped against its will, cleaned away."""
    await worker.add_task(an_event(command=FAILS, restart_policy="on-failure:1"))
    for _ in range(3):
        await settle(worker)
        await pass_time()
    await worker.add_task(an_event(command=STUBBORN, stop_timeout=1, event_id=OTHER_EVENT_ID))
    await settle(worker)
    await worker.add_task(a_delete())
    await settle(worker)
    worker._expired.add(TASK_ID)
    await settle(worker)


@in_virtual_time
async def test_what_is_done_was_recorded_and_told_before(machine: Machine) -> None:
    worker = await machine.met()
    kinds: set[type[Action]] = set()

    def check(task: Task, action: Action) -> None:
        kinds.add(type(action))
        assert worker.db.get(TASK_ID) == task
        assert worker.events.last_seq == worker.db.last_seq()
        match action:
            case Create(attempt=attempt):
                assert (task.state, task.attempt) == (SCHEDULED, attempt)
            case Start():
                assert task.started == task.attempt
            case Signal() | Kill():
                assert task.ending is not None
            case _:
                pass

    runtime_of(worker).before_doing = check
    await a_busy_life(worker)
    assert kinds == {Create, Start, Signal, Kill, Remove}


@in_virtual_time
async def test_what_cannot_be_recorded_is_not_done(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    cannot_write(worker)
    with pytest.raises(CannotRecord):
        await worker.run_task(TASK_ID)
    assert machine.engine.made == []
    assert worker.events.last_seq == 0

    assert await worker.run_task_safely(TASK_ID) == clock() + RECORD_AGAIN_SECONDS
    can_write_again(worker)
    await settle(worker)
    assert state_of(worker) is RUNNING


@in_virtual_time
async def test_a_stop_that_cannot_be_recorded_is_not_signalled(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    await settle(worker)
    await worker.add_task(a_delete())
    cannot_write(worker)
    with pytest.raises(CannotRecord):
        await worker.run_task(TASK_ID)
    assert len(machine.engine.live) == 1


@in_virtual_time
async def test_a_wish_that_cannot_be_recorded_is_not_answered(machine: Machine) -> None:
    worker = await machine.met()
    cannot_write(worker)
    with pytest.raises(CannotRecord):
        await worker.add_task(RUN)
    with pytest.raises(UnknownTask):
        worker.get_task(TASK_ID)


# -- the engine is away --------------------------------------------------------------------------


@in_virtual_time
async def test_while_the_engine_is_away_nothing_fails_and_nothing_is_recorded(
    machine: Machine,
) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    for steps in range(4):  # wherever it is on its way up
        before = worker.db.get(TASK_ID), worker.db.last_seq()
        machine.engine.down()
        for _ in range(3):
            wake = await worker.run_task(TASK_ID)
            assert wake is not None
            assert wake > clock()
        assert (worker.db.get(TASK_ID), worker.db.last_seq()) == before, steps
        machine.engine.up()
        await worker.run_task(TASK_ID)
    assert state_of(worker) is RUNNING


@pytest.mark.parametrize("verb", ["look", "create", "start", "signal", "kill", "remove"])
@pytest.mark.parametrize("lost", ["question", "answer"])
@in_virtual_time
async def test_a_question_or_an_answer_that_is_lost_changes_no_story(
    machine: Machine, verb: str, lost: str
) -> None:
    worker = await machine.met()
    if lost == "question":
        machine.engine.fail_next(verb, EngineAway("no answer"))
    else:
        machine.engine.lose_next(verb)
    await a_busy_life(worker)
    assert [re.sub(r" #\d+", "", line).strip() for line in story(worker)] == [
        "PENDING SCHEDULED",
        "SCHEDULED RUNNING",
        "RUNNING SCHEDULED exited",
        "SCHEDULED RUNNING",
        "RUNNING FAILED exited",
        "FAILED SCHEDULED",
        "SCHEDULED RUNNING",
        "RUNNING COMPLETED stopped",
    ]
    unsure = (verb, lost) == ("start", "question")
    assert worker.db.history(TASK_ID)[-1].attempt == (4 if unsure else 3)
    assert machine.engine.starts == machine.engine.made
    assert machine.engine.containers == {}


@in_virtual_time
async def test_a_start_that_is_done_after_it_was_given_up_runs_nothing_a_second_time(
    machine: Machine,
) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(command=SUCCEEDS))
    machine.engine.fail_next("start", EngineAway("no answer"))
    await settle(worker)
    assert state_of(worker) is RUNNING
    await pass_time()
    await settle(worker)
    with pytest.raises(EngineRefused, match="no such container"):
        machine.engine.start(f"keelman-w-{TASK_ID}-1")
    task = worker.get_task(TASK_ID)
    assert (task.state, task.attempt, task.restart_count) == (COMPLETED, 2, 0)
    assert len(machine.engine.starts) == 1
    assert machine.engine.live == []


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        ("create", EngineAway("no answer")),
        ("create", EngineBusy("is being made")),
        ("create", EngineFailed("no space left on device")),
        ("start", EngineAway("no answer")),
        ("start", EngineFailed("no space left on device")),
        ("remove", EngineAway("no answer")),
        ("remove", EngineBusy("is already in progress")),
        ("remove", EngineFailed("device or resource busy")),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@in_virtual_time
async def test_an_engine_in_trouble_is_not_asked_again_at_once(
    machine: Machine, verb: str, error: EngineError
) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    if verb != "create":
        await worker.run_task(TASK_ID)
    if verb == "remove":
        await worker.add_task(a_delete())
    machine.engine.fail_next(verb, error)
    wake = await worker.run_task(TASK_ID)
    assert wake is not None
    assert wake >= clock() + 1


@in_virtual_time
async def test_an_engine_that_fails_again_and_again_fails_the_task_with_its_words(
    machine: Machine,
) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    for _ in range(10):
        machine.engine.fail_next("create", EngineFailed("no space left on device"))
    await settle(worker)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.ENGINE_ERROR)
    assert task.message == "no space left on device"


@in_virtual_time
async def test_before_an_engine_was_ever_reached_no_task_is_taken(machine: Machine) -> None:
    machine.engine.down()
    worker = machine.worker()
    with pytest.raises(EngineUnavailable, match="no engine was ever reached"):
        await worker.add_task(RUN)
    assert worker.db.shown(TASK_ID) is None


@in_virtual_time
async def test_an_engine_that_was_reached_once_may_be_away_when_a_task_is_sent(
    machine: Machine,
) -> None:
    await machine.met()
    machine.engine.down()
    worker = machine.worker()
    await worker.add_task(RUN)
    assert state_of(worker) is PENDING
    with pytest.raises(EngineUnavailable):
        await worker.check_ready()
