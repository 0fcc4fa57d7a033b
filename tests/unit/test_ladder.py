"""The ladder by which a container is ended: TERM, KILL, removal by force, stuck."""

from __future__ import annotations

from typing import Any

import pytest

from keelman import ladder
from keelman.ending import Ending, Why
from keelman.errors import EngineAway, EngineBusy, EngineError, EngineFailed, EngineRefused
from keelman.reconcile import done, failed, step
from keelman.seen import Action, Kill, Remove, Signal, Start
from keelman.task import Reason, State, Task
from tests.unit.given import (
    CONTAINER,
    NOW,
    OLD_CONTAINER,
    RUN,
    STOP,
    a_task,
    created,
    exited,
    next_action,
    next_task,
    running,
    stopping,
)

TERM = Signal(container_id=CONTAINER, signal="SIGTERM")
KILL = Kill(container_id=CONTAINER)
FORCE = Remove(container_id=CONTAINER)


@pytest.mark.parametrize(
    ("signalled", "asked", "action"),
    [
        pytest.param(0, {}, TERM, id="TERM first"),
        pytest.param(0, {"stop_signal": "SIGINT"}, Signal(container_id=CONTAINER, signal="SIGINT"),
                     id="or the signal that was asked for"),
        pytest.param(1, {}, KILL, id="then KILL"),
        pytest.param(2, {}, FORCE, id="then removal by force"),
        pytest.param(3, {}, FORCE, id="and removal again"),
        pytest.param(40, {}, FORCE, id="for ever"),
    ],
)  # fmt: skip
def test_each_rung_is_harder_than_the_last(
    signalled: int, asked: dict[str, Any], action: Action
) -> None:
    task = stopping(signalled, since=NOW - 60, asked=asked)
    assert next_action(STOP, task, running()) == action


@pytest.mark.parametrize(
    ("signalled", "asked", "seconds"),
    [
        pytest.param(0, {}, 0, id="TERM at once"),
        pytest.param(1, {}, 10, id="KILL after the usual grace of 10 s"),
        pytest.param(1, {"stop_timeout": 0}, 0, id="KILL at once without a grace"),
        pytest.param(1, {"stop_timeout": 75}, 75, id="KILL after the grace asked for"),
        pytest.param(2, {"stop_timeout": 75}, 10, id="removal 10 s after KILL"),
        pytest.param(3, {"stop_timeout": 75}, 30, id="removal again 30 s later"),
        pytest.param(9, {}, 30, id="and again"),
    ],
)
def test_each_rung_waits_for_the_one_before(
    signalled: int, asked: dict[str, Any], seconds: float
) -> None:
    task = stopping(signalled, asked=asked)
    early, late = (step(STOP, task, running(), NOW + seconds + wait) for wait in (-0.01, 0))
    if seconds:
        assert (early.action, early.wake) == (None, NOW + seconds)
    assert late.action is not None


def test_the_ending_is_recorded_before_the_first_signal() -> None:
    first = step(STOP, a_task(State.RUNNING), running(), NOW)
    assert first.action == TERM
    assert first.task.ending == Ending(why=Why.STOPPED, since=NOW, signalled=0)


def test_a_crash_between_the_record_and_the_signal_signals_once_more() -> None:
    recorded = next_task(STOP, a_task(State.RUNNING), running())
    after_the_crash = step(STOP, recorded, running(), NOW + 3600)
    assert after_the_crash.action == TERM
    assert after_the_crash.task.ending == recorded.ending


def test_a_crash_after_the_signal_does_not_shorten_the_grace() -> None:
    recorded = done(next_task(STOP, a_task(State.RUNNING), running()), TERM, NOW)
    after_the_crash = step(STOP, recorded, running(), NOW + 4)
    assert (after_the_crash.action, after_the_crash.wake) == (None, NOW + 10)


def test_a_wish_that_comes_twice_does_not_begin_the_grace_anew() -> None:
    task = stopping(1, since=NOW - 4)
    assert step(STOP, task, running(), NOW).wake == NOW + 6


@pytest.mark.parametrize(
    ("signalled", "action"), [(0, TERM), (1, KILL), (2, FORCE), (7, FORCE)], ids=str
)
def test_a_rung_that_was_taken_is_remembered_with_its_time(signalled: int, action: Action) -> None:
    after = done(stopping(signalled, since=NOW - 60), action, NOW)
    assert after.ending == Ending(why=Why.STOPPED, since=NOW, signalled=signalled + 1)


@pytest.mark.parametrize("error", [EngineFailed("rpc error"), EngineRefused("no such signal")],
                         ids=["5xx", "4xx"])  # fmt: skip
@pytest.mark.parametrize(("signalled", "action"), [(0, TERM), (1, KILL), (2, FORCE)], ids=str)
def test_a_rung_that_the_engine_fails_on_leads_to_the_next(
    signalled: int, action: Action, error: EngineError
) -> None:
    after = failed(STOP, stopping(signalled, since=NOW - 9), action, error, NOW)
    assert after.task.ending == Ending(why=Why.STOPPED, since=NOW, signalled=signalled + 1)
    assert after.task.message == error.message
    assert after.transition is None


@pytest.mark.parametrize(
    "error", [EngineAway("timed out"), EngineBusy("at it")], ids=["away", "busy"]
)
@pytest.mark.parametrize(
    ("signalled", "action", "due"),
    [(0, TERM, NOW), (1, KILL, NOW + 10), (2, FORCE, NOW + 10)],
    ids=["TERM", "KILL", "removal"],
)
def test_a_rung_without_an_answer_is_tried_again_and_after_10_s_counts_as_taken(
    signalled: int, action: Action, due: float, error: EngineError
) -> None:
    task = stopping(signalled)
    again = failed(STOP, task, action, error, due + 9.9)
    assert (again.task, again.wake) == (task, due + 9.9 + 1)
    given_up = failed(STOP, task, action, error, due + 10).task.ending
    assert given_up == Ending(why=Why.STOPPED, since=due + 10, signalled=signalled + 1)


def test_removal_by_force_is_a_rung_only_after_kill() -> None:
    assert ladder.is_rung(stopping(2), FORCE)
    assert not ladder.is_rung(stopping(1), FORCE)
    assert not ladder.is_rung(a_task(State.SCHEDULED), FORCE)
    assert not ladder.is_rung(stopping(2), Start(container_id=CONTAINER, attempt=1))


@pytest.mark.parametrize("signalled", [0, 1], ids=["TERM", "KILL"])
def test_a_stop_is_not_called_stuck_before_kill_had_its_time(signalled: int) -> None:
    assert next_task(STOP, stopping(signalled, since=NOW - 60), running()).reason is Reason.NONE
    assert next_task(STOP, stopping(2, since=NOW - 9), running()).reason is Reason.NONE


@pytest.mark.parametrize("signalled", [2, 3, 99], ids=str)
def test_a_stop_that_outlives_kill_is_reported_as_stuck(signalled: int) -> None:
    told = next_task(STOP, stopping(signalled, since=NOW - 60), running())
    assert (told.state, told.reason) == (State.RUNNING, Reason.STUCK)
    assert "outlives KILL" in told.message


def test_a_stuck_stop_is_completed_once_the_process_is_gone_after_all() -> None:
    stuck = stopping(5, reason=Reason.STUCK, message="its process outlives KILL")
    end = step(STOP, stuck, exited(137), NOW).task
    assert (end.state, end.reason) == (State.COMPLETED, Reason.STOPPED)
    assert "outlives" not in end.message


def test_a_stray_container_goes_down_the_same_ladder() -> None:
    task: Task = a_task(State.FAILED)
    first = step(RUN, task, running(), NOW)
    assert (first.action, first.transition) == (TERM, None)
    assert first.task.ending == Ending(why=Why.STRAY, since=NOW)
    second = step(RUN, done(first.task, TERM, NOW), running(), NOW + 10)
    assert second.action == KILL


def test_a_stray_that_outlives_kill_does_not_overwrite_how_its_task_ended() -> None:
    ending = Ending(why=Why.STRAY, since=NOW - 60, signalled=2)
    task = a_task(State.FAILED, reason=Reason.OOM_KILLED, message="out of memory", ending=ending)
    told = step(RUN, task, running(), NOW)
    after = failed(RUN, told.task, FORCE, EngineFailed("device busy"), NOW).task
    assert told.action == FORCE
    assert (after.reason, after.message) == (Reason.OOM_KILLED, "out of memory")


def test_a_removal_that_fails_before_a_process_ever_ran_is_reported_as_stuck() -> None:
    task = a_task(State.SCHEDULED, wish=STOP.seq)
    after = failed(STOP, task, FORCE, EngineFailed("device busy"), NOW)
    assert (after.task.reason, after.task.message) == (Reason.STUCK, "device busy")
    assert (after.task.ending, after.wake) == (None, NOW + 1)
    assert next_action(STOP, after.task, created()) == FORCE


def test_a_task_is_no_longer_stuck_once_the_removal_succeeds() -> None:
    stuck = a_task(State.SCHEDULED, attempt=2, reason=Reason.STUCK, message="device busy")
    after = done(stuck, Remove(container_id=OLD_CONTAINER), NOW)
    assert (after.reason, after.message) == (Reason.NONE, "")


def test_a_step_without_an_ending_has_nothing_to_wait_for() -> None:
    task = a_task(State.RUNNING)
    assert ladder.due(task, NOW) == NOW
    assert ladder.taken(task, NOW) == task
