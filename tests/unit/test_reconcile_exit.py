"""step, when a task ends by itself or by its deadline: exit codes, restart policies, Timeout."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.ending import Ending, Why
from keelman.reconcile import step
from keelman.seen import Kill, Seen, Signal
from keelman.task import Reason, State, Task
from tests.unit.given import (
    CONTAINER,
    NOW,
    RUN,
    STOP,
    a_task,
    absent,
    created,
    exited,
    in_back_off,
    next_action,
    next_task,
    running,
)

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State
TERM = Signal(container_id=CONTAINER, signal="SIGTERM")

# -- exits and restart policies ------------------------------------------------------------------

EXITS = {
    "exit 0": (exited(0), Reason.EXITED),
    "exit 3": (exited(3), Reason.EXITED),
    "exit 137": (exited(137), Reason.KILLED_BY_OTHER),
    "exit 143": (exited(143), Reason.KILLED_BY_OTHER),
    "oom": (exited(137, oom=True), Reason.OOM_KILLED),
    "oom with exit 0": (exited(0, oom=True), Reason.OOM_KILLED),
}
# What becomes of a task by its policy, after exit 0 and after anything else.
POLICIES = {
    "": (COMPLETED, FAILED),
    "no": (COMPLETED, FAILED),
    "always": (SCHEDULED, SCHEDULED),
    "unless-stopped": (SCHEDULED, SCHEDULED),
    "on-failure": (COMPLETED, SCHEDULED),
    "on-failure:1": (COMPLETED, SCHEDULED),
}


@pytest.mark.parametrize("exit_", EXITS)
@pytest.mark.parametrize("policy", POLICIES)
def test_an_exit_ends_a_task_or_restarts_it_as_its_policy_says(policy: str, exit_: str) -> None:
    sight, reason = EXITS[exit_]
    after = step(RUN, a_task(RUNNING, asked={"restart_policy": policy}), sight, NOW)
    assert after.task.state is POLICIES[policy][exit_ != "exit 0"]
    assert after.task.reason is reason
    assert after.action is None


def test_an_end_records_what_the_container_tells() -> None:
    after = step(RUN, a_task(RUNNING), exited(3), NOW)
    task, move = after.task, after.transition
    assert (task.exit_code, task.finish_time, task.message) == (3, NOW - 1, "exited with code 3")
    assert move is not None
    assert (move.from_, move.to, move.exit_code, move.time) == (RUNNING, FAILED, 3, NOW)
    assert (move.attempt, move.container_id) == (1, CONTAINER)


def test_a_restart_is_told_of_the_attempt_that_ended() -> None:
    task = a_task(RUNNING, attempt=4, started=4, asked={"restart_policy": "always"})
    after = step(RUN, task, exited(3, attempt=4), NOW)
    assert after.transition is not None
    assert (after.transition.attempt, after.transition.container_id) == (4, CONTAINER)
    assert (after.task.attempt, after.task.container_id) == (5, "")
    assert after.task.start_time is None


@pytest.mark.parametrize("failures", range(12))
def test_back_off_doubles_from_1_s_to_5_min(failures: int) -> None:
    task = a_task(RUNNING, failures=failures, asked={"restart_policy": "always"})
    after = next_task(RUN, task, exited(3))
    least = min(2**failures, 300)
    assert NOW + least <= after.due <= NOW + least * 1.25
    assert after.failures == failures + 1


@pytest.mark.parametrize(("up", "least"), [(599, 256), (600, 1)], ids=["9:59 up", "10:00 up"])
def test_back_off_begins_anew_after_ten_minutes_up(up: float, least: float) -> None:
    task = a_task(RUNNING, failures=8, asked={"restart_policy": "always"})
    after = next_task(RUN, task, exited(3, up=up))
    assert NOW + least <= after.due <= NOW + least * 1.25


@pytest.mark.parametrize(("up", "least"), [(599, 256), (600, 1)], ids=["9:59 up", "10:00 up"])
def test_back_off_begins_anew_for_a_container_that_vanished_too(up: float, least: float) -> None:
    task = a_task(RUNNING, failures=8, start_time=NOW - up, asked={"restart_policy": "always"})
    assert NOW + least <= next_task(RUN, task, absent()).due <= NOW + least * 1.25


@pytest.mark.parametrize(
    ("failures", "state"), [(0, SCHEDULED), (2, SCHEDULED), (3, FAILED)], ids=str
)
def test_on_failure_n_starts_again_n_times(failures: int, state: State) -> None:
    task = a_task(RUNNING, failures=failures, asked={"restart_policy": "on-failure:3"})
    assert next_task(RUN, task, exited(3)).state is state


# -- the deadline --------------------------------------------------------------------------------


def past(state: State, **known: Any) -> Task:
    """A task whose Timeout of 30 s passed, though its policy would start it again."""
    asked = {"timeout": 30, "restart_policy": "always"}
    return a_task(state, **{"asked": asked, "first_running": NOW - 31, **known})


def test_a_running_task_is_looked_at_again_by_its_deadline() -> None:
    task = a_task(RUNNING, asked={"timeout": 30}, first_running=NOW - 10)
    after = step(RUN, task, running(), NOW)
    assert (after.action, after.wake) == (None, NOW + 20)


def test_the_deadline_ends_a_running_task_by_the_ladder() -> None:
    after = step(RUN, past(RUNNING), running(), NOW)
    assert after.action == TERM
    assert after.task.ending == Ending(why=Why.DEADLINE, since=NOW)
    assert after.task.state is RUNNING


@pytest.mark.parametrize("sight", [exited(0), exited(143), exited(137, oom=True), absent()],
                         ids=["exit 0", "exit 143", "oom", "removed by force"])  # fmt: skip
def test_a_task_ended_by_its_deadline_is_failed_and_not_restarted(sight: Seen) -> None:
    task = past(RUNNING, ending=Ending(why=Why.DEADLINE, since=NOW - 5, signalled=1))
    after = next_task(RUN, task, sight)
    assert (after.state, after.reason, after.ending) == (FAILED, Reason.DEADLINE, None)
    assert "Timeout of 30 s" in after.message


def test_an_ending_by_the_deadline_is_kept_through_a_clock_that_was_set_back() -> None:
    ending = Ending(why=Why.DEADLINE, since=NOW, signalled=1)
    task = past(RUNNING, first_running=NOW - 5, ending=ending)
    assert step(RUN, task, running(), NOW).wake == NOW + 10
    assert next_task(RUN, task, exited(143)).reason is Reason.DEADLINE
    assert next_task(RUN, task, absent()).reason is Reason.DEADLINE


@pytest.mark.parametrize("sight", [absent(), exited(3), created(2)],
                         ids=["absent", "old exited", "created"])  # fmt: skip
def test_the_deadline_passes_in_back_off_too(sight: Seen) -> None:
    task = past(SCHEDULED, attempt=2, started=1, failures=1, due=NOW + 10)
    after = step(RUN, task, sight, NOW)
    assert (after.task.state, after.task.reason) == (FAILED, Reason.DEADLINE)
    assert after.action is None


def test_a_back_off_wakes_no_later_than_the_deadline() -> None:
    task = in_back_off(asked={"timeout": 64}, first_running=NOW - 60)
    assert step(RUN, task, absent(), NOW).wake == NOW + 4


@pytest.mark.parametrize("sight", [absent(slot=False), created(2, slot=False)],
                         ids=["absent", "created"])  # fmt: skip
def test_a_wait_for_a_slot_wakes_by_the_deadline(sight: Seen) -> None:
    task = in_back_off(due=NOW, asked={"timeout": 64})
    assert step(RUN, task, sight, NOW).wake == NOW + 4


@pytest.mark.parametrize("sight", [absent(), exited(3)], ids=["vanished", "exited"])
def test_nothing_is_restarted_past_the_deadline(sight: Seen) -> None:
    assert next_task(RUN, past(RUNNING), sight).state is FAILED


def test_a_deadline_while_stopping_changes_nothing() -> None:
    ending = Ending(why=Why.STOPPED, since=NOW - 5, signalled=1)
    task = past(RUNNING, ending=ending)
    assert step(STOP, task, running(), NOW).wake == NOW + 5
    end = next_task(STOP, task, exited(143))
    assert (end.state, end.reason) == (COMPLETED, Reason.STOPPED)


def test_a_stop_goes_on_down_the_ladder_that_the_deadline_began() -> None:
    task = past(RUNNING, ending=Ending(why=Why.DEADLINE, since=NOW - 10, signalled=1))
    assert next_action(STOP, task, running()) == Kill(container_id=CONTAINER)
    assert next_task(STOP, task, exited(137)).state is COMPLETED
