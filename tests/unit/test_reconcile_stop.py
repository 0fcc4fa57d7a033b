"""step, when a task is to stop, and after it has ended: strays, retention, beginning again."""

from __future__ import annotations

import pytest

from keelman.ending import Ending, Why
from keelman.reconcile import step
from keelman.seen import Kill, Remove, Seen, Signal
from keelman.task import Reason, State, Task, Wish
from tests.unit.given import (
    CONTAINER,
    NOW,
    PORT_TAKEN,
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
    stopping,
    unavailable,
)

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State
TERM = Signal(container_id=CONTAINER, signal="SIGTERM")
REMOVE = Remove(container_id=CONTAINER)

# -- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "sight"),
    [
        pytest.param(a_task(), absent(), id="pending"),
        pytest.param(a_task(), unavailable(), id="pending, no image"),
        pytest.param(a_task(SCHEDULED), absent(), id="scheduled, nothing made"),
        pytest.param(
            a_task(SCHEDULED, started=1), absent(), id="scheduled, removed before a start"
        ),
        pytest.param(in_back_off(), absent(), id="in back-off"),
        pytest.param(in_back_off(), exited(3), id="in back-off, the last container still there"),
        pytest.param(a_task(RUNNING), exited(143), id="running, its process gone"),
        pytest.param(a_task(RUNNING), exited(3), id="running, failed just before the stop"),
        pytest.param(a_task(RUNNING), absent(), id="running, its container gone"),
        pytest.param(stopping(3), absent(), id="stopping, removed by force"),
    ],
)
def test_a_stop_completes_a_task_once_no_process_is_left(task: Task, sight: Seen) -> None:
    after = step(STOP, task, sight, NOW)
    assert (after.task.state, after.task.reason) == (COMPLETED, Reason.STOPPED)
    assert after.task.message.startswith("stopped as asked")
    assert (after.task.wish, after.action, after.task.ending) == (STOP.seq, None, None)


def test_a_stop_reports_the_exit_code() -> None:
    assert next_task(STOP, stopping(1), exited(143)).exit_code == 143


@pytest.mark.parametrize(
    ("signalled", "sight", "killed"),
    [
        pytest.param(1, exited(0), False, id="heeded its stop signal"),
        pytest.param(1, exited(143), False, id="died of its stop signal"),
        pytest.param(2, exited(0), False, id="heeded it just before KILL"),
        pytest.param(2, exited(137), True, id="died of KILL"),
        pytest.param(1, exited(137), True, id="died of KILL, which a crash kept from the record"),
        pytest.param(3, absent(), True, id="removed by force"),
        pytest.param(0, exited(137), False, id="died before any signal"),
    ],
)
def test_a_stop_says_whether_it_had_to_kill(signalled: int, sight: Seen, killed: bool) -> None:
    assert ("was killed" in next_task(STOP, stopping(signalled), sight).message) == killed


@pytest.mark.parametrize(
    ("task", "sight"),
    [
        pytest.param(a_task(), created(), id="pending"),
        pytest.param(a_task(SCHEDULED), created(), id="not started"),
        pytest.param(a_task(SCHEDULED, started=1), created(), id="its start was decided"),
        pytest.param(a_task(SCHEDULED, started=1), created(refused=PORT_TAKEN), id="refused"),
        pytest.param(in_back_off(), created(), id="of the attempt before"),
    ],
)
def test_a_stop_removes_a_container_that_never_ran(task: Task, sight: Seen) -> None:
    after = step(STOP, task, sight, NOW)
    assert (after.action, after.transition) == (REMOVE, None)
    assert next_task(STOP, after.task, absent()).state is COMPLETED


def test_a_stop_signals_a_running_container_and_returns() -> None:
    after = step(STOP, a_task(RUNNING), running(), NOW)
    assert (after.action, after.task.state, after.task.wish) == (TERM, RUNNING, STOP.seq)


def test_a_stop_does_not_wait_for_a_slot_or_a_back_off() -> None:
    assert next_task(STOP, in_back_off(), absent(slot=False)).state is COMPLETED
    assert next_action(STOP, a_task(RUNNING), running(slot=False)) == TERM


@pytest.mark.parametrize(
    ("task", "states"),
    [
        pytest.param(a_task(), [SCHEDULED, RUNNING], id="pending"),
        pytest.param(a_task(SCHEDULED, started=1), [RUNNING], id="scheduled"),
    ],
)
@pytest.mark.parametrize(("sight", "last"), [(running(), []), (exited(3), [COMPLETED])],
                         ids=["running", "exited"])  # fmt: skip
def test_a_stop_skips_no_state_of_a_container_that_ran(
    task: Task, states: list[State], sight: Seen, last: list[State]
) -> None:
    passed = []
    for _ in range(4):
        after = step(STOP, task, sight, NOW)
        task = after.task
        passed += [after.transition.to] if after.transition else []
    assert passed == states + last


def test_a_stop_ends_a_live_container_of_the_attempt_before_without_calling_it_this_one() -> None:
    after = step(STOP, in_back_off(), running(), NOW)
    assert (after.action, after.transition, after.task.state) == (TERM, None, SCHEDULED)
    end = next_task(STOP, after.task, exited(143))
    assert (end.state, end.reason) == (COMPLETED, Reason.STOPPED)


@pytest.mark.parametrize("wish", [None, RUN, a_wish(seq=9)], ids=["lost", "older", "newer"])
@pytest.mark.parametrize("policy", ["no", "always"])
def test_a_stop_once_begun_is_not_taken_back(policy: str, wish: Wish | None) -> None:
    task = stopping(1, since=NOW - 10, asked={"restart_policy": policy})
    assert next_action(wish, task, running()) == Kill(container_id=CONTAINER)
    for gone in (exited(143), absent()):
        end = next_task(wish, task, gone)
        assert (end.state, end.reason) == (COMPLETED, Reason.STOPPED)
    assert next_action(wish, task, created()) == REMOVE


# -- ended ---------------------------------------------------------------------------------------

ENDED = [COMPLETED, FAILED]


@pytest.mark.parametrize("wish", [None, RUN, a_wish(COMPLETED)], ids=["none", "run", "stop"])
@pytest.mark.parametrize("state", ENDED, ids=lambda state: state.name)
def test_a_live_container_of_an_ended_task_is_stopped(state: State, wish: Wish | None) -> None:
    after = step(wish, a_task(state), running(), NOW)
    assert after.action == TERM
    assert after.task.ending == Ending(why=Why.STRAY, since=NOW)
    assert (after.task.state, after.transition) == (state, None)


@pytest.mark.parametrize("sight", [absent(), created(), exited(0)],
                         ids=["absent", "created", "exited"])  # fmt: skip
@pytest.mark.parametrize("state", ENDED, ids=lambda state: state.name)
def test_an_ended_task_is_left_alone_until_it_expires(state: State, sight: Seen) -> None:
    task = a_task(state)
    after = step(RUN, task, sight, NOW)
    assert (after.task, after.transition, after.action) == (task, None, None)
    assert (after.wake, after.forget) == (None, False)


def test_the_ending_of_a_stray_is_over_when_the_stray_is() -> None:
    task = a_task(FAILED, ending=Ending(why=Why.STRAY, since=NOW - 5, signalled=1))
    assert next_task(RUN, task, exited(143)).ending is None


@pytest.mark.parametrize("state", ENDED, ids=lambda state: state.name)
def test_an_expired_task_loses_its_container_first_and_its_record_then(state: State) -> None:
    task = a_task(state)
    for sight in (created(expired=True), exited(0, expired=True)):
        after = step(RUN, task, sight, NOW)
        assert (after.action, after.forget) == (REMOVE, False)
    after = step(RUN, task, absent(expired=True), NOW)
    assert (after.action, after.forget) == (None, True)


def test_an_expired_task_whose_container_lives_is_stopped_before_anything_else() -> None:
    after = step(RUN, a_task(FAILED), running(expired=True), NOW)
    assert (after.action, after.forget) == (TERM, False)


@pytest.mark.parametrize("task", [a_task(), a_task(SCHEDULED), a_task(RUNNING)],
                         ids=lambda task: task.state.name)  # fmt: skip
def test_a_task_that_has_not_ended_does_not_expire(task: Task) -> None:
    for sight in (absent(expired=True), created(expired=True), running(expired=True)):
        assert not step(RUN, task, sight, NOW).forget


# -- beginning again -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "wish", "begins"),
    [
        pytest.param(FAILED, None, False, id="failed, no wish"),
        pytest.param(FAILED, RUN, False, id="failed, the wish it served"),
        pytest.param(FAILED, a_wish(seq=0), False, id="failed, an older wish"),
        pytest.param(FAILED, a_wish(seq=2), True, id="failed, a greater wish"),
        pytest.param(FAILED, a_wish(COMPLETED), False, id="failed, the stop it served"),
        pytest.param(FAILED, STOP, True, id="failed, asked for again and stopped"),
        pytest.param(FAILED, a_wish(seq=0, generation=1), False, id="failed, old wish, generation"),
        pytest.param(COMPLETED, a_wish(seq=2), False, id="completed, a greater wish"),
        pytest.param(COMPLETED, a_wish(seq=2, generation=1), True, id="completed, generation"),
        pytest.param(
            COMPLETED,
            a_wish(COMPLETED, seq=2, generation=1),
            True,
            id="completed, asked for again and stopped",
        ),
        pytest.param(COMPLETED, STOP, False, id="completed, a stop"),
    ],
)
def test_an_ended_task_begins_again_for_what_the_design_names(
    state: State, wish: Wish | None, begins: bool
) -> None:
    after = step(wish, a_task(state), absent(), NOW)
    assert (after.task.state is SCHEDULED) == begins
    assert (after.transition is not None) == begins
    assert after.action is None


def test_a_new_life_forgets_everything_but_the_names_it_used() -> None:
    old = a_task(FAILED, attempt=4, started=4, failures=3, retries=2, message="exited with code 3")
    task = next_task(a_wish(seq=8, generation=2, image="nginx:2"), old, exited(3, attempt=4))
    assert (task.attempt, task.started) == (5, 4)
    assert (task.wish, task.generation, task.spec.image) == (8, 2, "nginx:2")
    assert (task.failures, task.retries, task.due, task.first_running) == (0, 0, NOW, None)
    assert (task.exit_code, task.reason, task.message) == (None, Reason.NONE, "")
    assert (task.container_id, task.start_time, task.finish_time) == ("", None, None)


def test_the_old_lifes_container_goes_before_the_new_one_is_made() -> None:
    wish = a_wish(seq=8)
    task = next_task(wish, a_task(FAILED), exited(3))
    assert next_action(wish, task, exited(3)) == REMOVE


def test_an_ended_task_remembers_a_stop_so_that_no_older_wish_begins_it_again() -> None:
    task = next_task(a_wish(COMPLETED, seq=7), a_task(COMPLETED), absent())
    assert (task.state, task.wish) == (COMPLETED, 7)
    assert next_task(a_wish(seq=5, generation=1), task, absent()).state is COMPLETED
    assert next_task(a_wish(seq=8, generation=1), task, absent()).state is SCHEDULED


@pytest.mark.parametrize("sight", [absent(), exited(3)], ids=["absent", "exited"])
def test_a_task_asked_for_again_and_stopped_before_it_was_taken_up_ends_as_stopped(
    sight: Seen,
) -> None:
    """I8: a stop that was accepted does not leave it FAILED. And nothing is started for it."""
    again = step(STOP, a_task(FAILED), sight, NOW)
    assert (again.task.state, again.action) == (SCHEDULED, None)
    end = step(STOP, again.task, sight, NOW)
    assert (end.task.state, end.task.reason, end.action) == (COMPLETED, Reason.STOPPED, None)
