"""done and failed: what the success or the error of an action makes of a task."""

from __future__ import annotations

from itertools import product

import pytest

from keelman.errors import (
    EngineAway,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineRefused,
    ImageNotFound,
    NameTaken,
    NotAllowedHere,
)
from keelman.reconcile import done, failed, step
from keelman.seen import Action, Create, Kill, Pull, Remove, Rename, Signal, Start
from keelman.task import Reason, State, Task, Wish
from tests.unit.given import (
    CONTAINER,
    NOW,
    PORT_TAKEN,
    RUN,
    STOP,
    a_task,
    absent,
    created,
    in_back_off,
    next_action,
    next_task,
    running,
    stopping,
)

SCHEDULED, FAILED = State.SCHEDULED, State.FAILED
CREATE = Create(attempt=1)
START = Start(container_id=CONTAINER, attempt=1)
RENAME = Rename(container_id=CONTAINER, attempt=2)
REMOVE = Remove(container_id=CONTAINER)
PULL = Pull(image="nginx:1")

MAKING = a_task(SCHEDULED)
STARTING = a_task(SCHEDULED, started=1)
ACTING: list[tuple[Task, Action]] = [
    (MAKING, PULL),
    (MAKING, CREATE),
    (STARTING, START),
    (STARTING, RENAME),
    (in_back_off(), REMOVE),
    (a_task(FAILED), REMOVE),
    (stopping(0), Signal(container_id=CONTAINER, signal="SIGTERM")),
    (stopping(1), Kill(container_id=CONTAINER)),
    (stopping(2), REMOVE),
]
NAMES = ["pull", "create", "start", "rename", "remove", "remove expired", "signal", "kill", "force"]
WISHES = {"no wish": None, "run": RUN, "stop": STOP}


@pytest.mark.parametrize(
    "error", [EngineAway("timed out"), EngineBusy("at it")], ids=["away", "busy"]
)
@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize(("task", "action"), ACTING, ids=NAMES)
def test_an_engine_that_does_not_answer_changes_nothing(
    task: Task, action: Action, wish: Wish | None, error: EngineError
) -> None:
    after = failed(wish, task, action, error, NOW)
    assert (after.task, after.transition, after.action, after.wake) == (task, None, None, NOW + 1)


@pytest.mark.parametrize(("task", "action"), ACTING[:6], ids=NAMES[:6])
def test_a_success_is_not_believed_but_looked_at(task: Task, action: Action) -> None:
    assert done(task, action, NOW) == task


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EngineRefused("bad parameter"), Reason.CREATE_REFUSED),
        (NameTaken("a stranger has our name"), Reason.NAME_TAKEN),
        (NotAllowedHere("/etc may not be mounted"), Reason.NOT_ALLOWED),
    ],
    ids=["refused", "a stranger with our name", "not allowed"],
)
def test_a_refused_create_fails_its_task_in_the_engines_words(
    error: EngineError, reason: Reason
) -> None:
    after = failed(RUN, MAKING, CREATE, error, NOW)
    assert (after.task.state, after.task.reason, after.task.message) == (
        FAILED,
        reason,
        error.message,
    )
    assert after.transition is not None


def test_a_stranger_with_the_new_name_is_a_failure_that_the_restart_policy_may_try_again() -> None:
    error = NameTaken("a stranger has our name")
    after = failed(RUN, STARTING, RENAME, error, NOW).task
    assert (after.state, after.reason, after.message) == (FAILED, Reason.NAME_TAKEN, error.message)
    again = a_task(SCHEDULED, started=1, asked={"restart_policy": "on-failure"})
    after = failed(RUN, again, RENAME, error, NOW).task
    assert (after.state, after.attempt, after.restart_count) == (SCHEDULED, 2, 1)


@pytest.mark.parametrize("error", [EngineRefused, *EngineRefused.__subclasses__()])
def test_every_refusal_has_a_reason_of_its_own(error: type[EngineRefused]) -> None:
    assert Reason(error.code) is not Reason.NONE


def test_a_refused_create_is_a_failure_that_the_restart_policy_may_try_again() -> None:
    task = a_task(SCHEDULED, asked={"restart_policy": "on-failure:1"})
    after = failed(RUN, task, CREATE, NameTaken("taken"), NOW).task
    assert (after.state, after.attempt, after.failures) == (SCHEDULED, 2, 1)
    assert failed(RUN, after, CREATE, NameTaken("taken"), NOW).task.state is FAILED


def test_an_image_that_went_away_before_the_create_is_looked_for_again() -> None:
    after = failed(RUN, MAKING, CREATE, ImageNotFound("no such image"), NOW)
    assert (after.task, after.transition, after.wake) == (MAKING, None, NOW + 1)


@pytest.mark.parametrize(
    ("task", "action", "error"),
    [
        pytest.param(MAKING, CREATE, EngineFailed("no space left"), id="create 5xx"),
        pytest.param(STARTING, START, EngineFailed("rpc error"), id="start 5xx"),
        pytest.param(
            STARTING, START, EngineRefused("no such network"), id="start 404 is not absent"
        ),
        pytest.param(STARTING, RENAME, EngineFailed("no space left"), id="rename 5xx"),
        pytest.param(STARTING, RENAME, EngineRefused("not authorized"), id="rename 4xx"),
    ],
)
@pytest.mark.parametrize("retries", range(6))
def test_an_engine_error_is_tried_five_times_more_and_then_fails_in_the_engines_words(
    retries: int, task: Task, action: Action, error: EngineError
) -> None:
    after = failed(RUN, task.but(retries=retries), action, error, NOW)
    assert (after.task.reason, after.task.message) == (Reason.ENGINE_ERROR, error.message)
    if retries == 5:
        assert after.task.state is FAILED
        assert after.transition is not None
    else:
        assert (after.task.state, after.task.retries) == (SCHEDULED, retries + 1)
        assert NOW + 2**retries <= after.task.due <= NOW + 2**retries * 1.25
        assert (after.wake, after.transition) == (after.task.due, None)


def test_a_retry_waits_for_its_back_off() -> None:
    task = failed(RUN, MAKING, CREATE, EngineFailed("no space left"), NOW).task
    assert step(RUN, task, absent(), NOW).wake == task.due
    assert next_action(RUN, task, absent(), task.due) == CREATE


def test_a_failed_start_is_believed_when_the_container_shows_it() -> None:
    task = failed(RUN, STARTING, START, EngineFailed("port is already allocated"), NOW).task
    after = step(RUN, task, created(refused=PORT_TAKEN), NOW).task
    assert (after.state, after.reason) == (FAILED, Reason.PORT_TAKEN)


def test_after_five_retries_the_restart_policy_decides() -> None:
    task = a_task(SCHEDULED, retries=5, asked={"restart_policy": "always"})
    after = failed(RUN, task, CREATE, EngineFailed("no space left"), NOW).task
    assert (after.state, after.attempt, after.retries, after.failures) == (SCHEDULED, 2, 0, 1)


def test_retries_are_forgotten_once_it_runs() -> None:
    assert next_task(RUN, a_task(SCHEDULED, started=1, retries=4), running()).retries == 0


@pytest.mark.parametrize(
    "error", [EngineFailed("device busy"), EngineRefused("not allowed")], ids=["5xx", "4xx"]
)
def test_a_removal_that_fails_is_tried_for_ever(error: EngineError) -> None:
    task = in_back_off(due=NOW)
    for second in range(20):
        after = failed(RUN, task, REMOVE, error, NOW + second)
        assert (after.transition, after.wake) == (None, NOW + second + 1)
        assert next_action(RUN, after.task, created(), NOW + second + 1) == REMOVE
        task = after.task


def test_a_removal_that_fails_does_not_overwrite_how_a_task_ended() -> None:
    task = a_task(FAILED, reason=Reason.OOM_KILLED)
    assert failed(RUN, task, REMOVE, EngineFailed("device busy"), NOW).task == task


# -- a stop that came during the call ------------------------------------------------------------

ANSWERS: list[EngineError] = [
    EngineFailed("no space left"),
    EngineRefused("bad parameter"),
    NameTaken("a stranger has our name"),
    NotAllowedHere("/etc may not be mounted"),
]
POLICIES = ("", "on-failure:1", "always")


@pytest.mark.parametrize("error", ANSWERS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("task", "action"), ACTING[:4], ids=NAMES[:4])
def test_on_the_way_up_no_error_counts_once_a_stop_has_come(
    task: Task, action: Action, error: EngineError
) -> None:
    for policy, retries, timeout in product(POLICIES, (0, 5), (0, 30)):
        asked = {"restart_policy": policy, "timeout": timeout}
        known = {"started": task.started, "retries": retries, "first_running": NOW - 60}
        up = a_task(SCHEDULED, asked=asked, **known)
        after = failed(STOP, up, action, error, NOW)
        assert (after.task, after.transition, after.wake) == (up, None, NOW)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("task", "action"), ACTING[4:], ids=NAMES[4:])
def test_on_the_way_down_an_error_counts_as_much_as_without_a_stop(
    task: Task, action: Action, error: EngineError
) -> None:
    after = failed(STOP, task, action, error, NOW)
    assert after == failed(RUN, task, action, error, NOW)
    assert (after.task.state, after.transition) == (task.state, None)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda error: type(error).__name__)
def test_what_failed_against_a_stop_is_taken_away_and_ends_as_stopped(error: EngineError) -> None:
    made = failed(STOP, STARTING, START, error, NOW).task
    assert next_action(STOP, made, created(refused=PORT_TAKEN)) == REMOVE
    for task in (made, failed(STOP, MAKING, CREATE, error, NOW).task):
        after = next_task(STOP, task, absent())
        assert (after.state, after.reason) == (State.COMPLETED, Reason.STOPPED)


def test_an_adopted_task_without_a_wish_fails_like_one_that_was_asked_for() -> None:
    for error, (task, action) in product(ANSWERS, ACTING):
        assert failed(None, task, action, error, NOW) == failed(RUN, task, action, error, NOW)
