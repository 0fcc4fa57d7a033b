"""step, once it runs: watched, gone, caught up with, adopted; and clocks that jump."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.ending import Ending, Why
from keelman.policy import LONGEST_WAIT_SECONDS
from keelman.reconcile import step
from keelman.seen import Create, Remove, Running, Seen, Signal
from keelman.task import HostPort, Reason, State, Task, Wish
from tests.unit.given import (
    CONTAINER,
    NOW,
    OLD_CONTAINER,
    RUN,
    STOP,
    a_task,
    a_wish,
    absent,
    created,
    exited,
    in_back_off,
    next_action,
    next_task,
    running,
    seen,
    stopping,
)

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State

# -- it runs -------------------------------------------------------------------------------------


def test_a_running_container_makes_a_scheduled_task_run() -> None:
    ports: dict[str, tuple[HostPort, ...]] = {
        "80/tcp": (HostPort(host_ip="0.0.0.0", host_port="32768"),)
    }
    body = Running(container_id=CONTAINER, attempt=1, since=NOW - 2, host_ports=ports)
    after = step(RUN, a_task(SCHEDULED, started=1, retries=3), seen(body), NOW)
    task = after.task
    assert (task.state, task.container_id, task.host_ports) == (RUNNING, CONTAINER, ports)
    assert (task.start_time, task.first_running, task.retries) == (NOW - 2, NOW - 2, 0)
    assert after.action is None


def test_a_container_that_someone_else_started_counts_as_started() -> None:
    assert next_task(RUN, a_task(SCHEDULED, started=0), running()).started == 1


def test_running_clears_what_the_last_attempt_left() -> None:
    task = in_back_off(exit_code=3, reason=Reason.EXITED, message="exited with code 3")
    after = next_task(RUN, task, running(2))
    assert (after.exit_code, after.reason, after.message) == (None, Reason.NONE, "")


def test_the_first_running_is_kept_over_restarts() -> None:
    after = next_task(RUN, in_back_off(first_running=NOW - 500), running(2, since=NOW - 1))
    assert (after.first_running, after.start_time) == (NOW - 500, NOW - 1)


@pytest.mark.parametrize("wish", [None, RUN], ids=["adopted", "run"])
def test_a_running_task_is_left_alone(wish: Wish | None) -> None:
    task = a_task(RUNNING)
    after = step(wish, task, running(), NOW)
    assert (after.task, after.transition, after.action, after.wake) == (task, None, None, None)


def test_a_container_restarted_by_hand_is_reported_with_its_new_start() -> None:
    after = next_task(RUN, a_task(RUNNING), running(since=NOW - 2))
    assert (after.start_time, after.first_running) == (NOW - 2, NOW - 60)


def test_a_container_that_ended_before_anyone_looked_has_run_all_the_same() -> None:
    task, states = a_task(SCHEDULED, started=1), []
    for _ in range(2):
        after = step(RUN, task, exited(0), NOW)
        task = after.task
        states.append(task.state)
    assert states == [RUNNING, COMPLETED]
    assert (task.start_time, task.finish_time) == (NOW - 60, NOW - 1)


# -- it is gone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task", [a_task(RUNNING), a_task(SCHEDULED, started=1)], ids=["it ran", "its start was decided"]
)
def test_a_container_that_is_gone_has_vanished(task: Task) -> None:
    after = next_task(RUN, task, absent())
    assert (after.state, after.reason, after.finish_time) == (FAILED, Reason.VANISHED, NOW)


def test_without_a_start_on_record_an_absent_container_is_made() -> None:
    assert next_action(RUN, a_task(SCHEDULED, started=0), absent()) == Create(attempt=1)
    assert next_action(RUN, in_back_off(started=1, due=NOW), absent()) == Create(attempt=2)


def test_a_vanished_container_is_made_anew_where_the_restart_policy_says_so() -> None:
    after = next_task(RUN, a_task(RUNNING, asked={"restart_policy": "on-failure"}), absent())
    assert (after.state, after.attempt, after.reason) == (SCHEDULED, 2, Reason.VANISHED)


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_container_that_never_ran_is_not_started_in_place_of_the_one_that_did(
    attempt: int,
) -> None:
    """It was made late, or the Db is older. Without it the task has vanished, if it has."""
    task = a_task(RUNNING, container_id=OLD_CONTAINER)
    assert next_action(RUN, task, created(attempt)) == Remove(container_id=CONTAINER)


# -- catching up, adopting -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sight", "started"),
    [
        pytest.param(created(5, slot=False), 5, id="created: nobody knows of a start"),
        pytest.param(running(5), 5, id="running"),
        pytest.param(exited(attempt=5), 5, id="exited"),
    ],
)
def test_an_older_db_takes_over_the_engines_count_of_attempts(sight: Seen, started: int) -> None:
    task = next_task(RUN, in_back_off(due=NOW), sight)
    assert (task.attempt, task.started, task.renames) == (5, started, 0)
    assert task.container_id == CONTAINER, "an end of it would be told of another container"


def test_what_was_on_record_of_an_older_container_says_nothing_of_a_newer_one() -> None:
    """The older Db was about to KILL, and its Timeout had passed; this one runs since a minute."""
    known = {"container_id": OLD_CONTAINER, "first_running": NOW - 100}
    record = stopping(1, since=NOW - 99, asked={"timeout": 90}, **known)
    after = next_task(RUN, record, running(5))
    assert (after.ending, after.first_running, after.retries) == (None, NOW - 60, 0)
    assert next_action(RUN, record, running(5)) is None


def test_an_ended_task_takes_over_the_count_so_that_no_name_comes_twice() -> None:
    task = next_task(RUN, a_task(FAILED), exited(3, attempt=5))
    again = next_task(a_wish(seq=9), task, exited(3, attempt=5))
    assert (task.attempt, again.attempt) == (5, 6)


def test_a_pending_task_whose_container_runs_goes_on_with_it() -> None:
    task = next_task(RUN, a_task(), running(4))
    assert (task.state, task.attempt, task.started) == (SCHEDULED, 4, 4)
    assert next_task(RUN, task, running(4)).state is RUNNING


def adopted(attempt: int = 1, **known: Any) -> Task:
    """As the runtime rebuilds it from a container: PENDING, its start decided long ago."""
    return a_task(attempt=attempt, started=attempt, **known)


def lived_on(task: Task, sight: Seen) -> tuple[Task, list[State]]:
    """The task once it rests without a wish, and the states it passed; it asks for no action."""
    passed = []
    for _ in range(5):
        after = step(None, task, sight, NOW)
        assert after.action is None
        task = after.task
        passed += [after.transition.to] if after.transition else []
    return task, passed


def test_an_adopted_running_container_goes_on_without_a_wish() -> None:
    task, passed = lived_on(adopted(attempt=3), running(3))
    assert passed == [SCHEDULED, RUNNING]
    assert (task.attempt, task.wish, task.first_running) == (3, 0, NOW - 60)


def test_an_adopted_container_that_runs_may_be_stopped() -> None:
    task, _ = lived_on(adopted(), running())
    assert next_action(STOP, task, running()) == Signal(container_id=CONTAINER, signal="SIGTERM")


@pytest.mark.parametrize(
    ("sight", "state", "reason"),
    [
        pytest.param(exited(0), COMPLETED, Reason.EXITED, id="exit 0"),
        pytest.param(exited(3), FAILED, Reason.EXITED, id="exit 3"),
        pytest.param(exited(137), FAILED, Reason.KILLED_BY_OTHER, id="exit 137"),
        pytest.param(exited(137, oom=True), FAILED, Reason.OOM_KILLED, id="oom"),
    ],
)
@pytest.mark.parametrize("policy", ["no", "always", "on-failure"])
def test_an_adopted_exited_container_is_recorded_as_ended_and_never_restarted(
    policy: str, sight: Seen, state: State, reason: Reason
) -> None:
    had_ended = Ending(why=Why.ADOPTED, since=NOW - 1)
    task, passed = lived_on(adopted(ending=had_ended, asked={"restart_policy": policy}), sight)
    assert passed == [SCHEDULED, RUNNING, state]
    assert (task.reason, task.attempt, task.ending) == (reason, 1, None)


@pytest.mark.parametrize("ending", [None, Ending(why=Why.ADOPTED, since=NOW)], ids=["ran", "ended"])
def test_an_adopted_container_that_is_gone_meanwhile_has_vanished(ending: Ending | None) -> None:
    task, passed = lived_on(adopted(ending=ending), absent())
    assert passed == [SCHEDULED, FAILED]
    assert task.reason is Reason.VANISHED


# -- the clock -----------------------------------------------------------------------------------


def test_a_due_time_from_before_a_clock_jump_is_cut_to_the_longest_wait() -> None:
    after = step(RUN, in_back_off(due=NOW + 10**9), absent(), NOW)
    assert after.task.due == after.wake == NOW + LONGEST_WAIT_SECONDS


def test_a_signal_from_the_future_counts_as_given_now() -> None:
    after = step(STOP, stopping(1, since=NOW + 10**9), running(), NOW)
    assert after.wake == NOW + 10


def test_a_first_running_from_the_future_counts_as_now() -> None:
    task = a_task(RUNNING, first_running=NOW + 10**9, asked={"timeout": 30})
    assert step(RUN, task, running(), NOW).wake == NOW + 30


def test_times_that_are_possible_are_left_alone() -> None:
    task = in_back_off(due=NOW + 300, first_running=NOW - 400)
    assert next_task(RUN, task, absent()) == task
