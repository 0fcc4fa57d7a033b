"""step, while a task is on its way up: taken up, its image pulled, its container made, started."""

from __future__ import annotations

import pytest

from keelman.policy import PULL_RETRIES
from keelman.reconcile import step
from keelman.seen import (
    Action,
    Create,
    Image,
    Missing,
    Present,
    Pull,
    Pulling,
    Refused,
    Remove,
    Rename,
    Seen,
    Start,
)
from keelman.task import Reason, State, Task, Wish
from tests.unit.given import (
    CONTAINER,
    NOW,
    OLD_CONTAINER,
    PORT_TAKEN,
    RUN,
    STOP,
    UNKNOWN,
    a_spec,
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
    unavailable,
)

PENDING, SCHEDULED, RUNNING, FAILED = State.PENDING, State.SCHEDULED, State.RUNNING, State.FAILED
REMOVE = Remove(container_id=CONTAINER)
START = Start(container_id=CONTAINER, attempt=1)
RENAME = Rename(container_id=CONTAINER, attempt=2)

# -- the engine is away --------------------------------------------------------------------------


@pytest.mark.parametrize("wish", [None, RUN, STOP, a_wish(seq=9, generation=9)],
                         ids=["adopted", "run", "stop", "greater"])  # fmt: skip
@pytest.mark.parametrize(
    "task",
    [
        *[pytest.param(a_task(state), id=state.name) for state in State],
        pytest.param(in_back_off(), id="in back-off"),
        pytest.param(stopping(2, since=NOW - 99), id="stopping"),
        pytest.param(
            a_task(RUNNING, asked={"timeout": 5}, first_running=NOW - 60), id="past its deadline"
        ),
    ],
)
def test_unknown_changes_nothing_and_looks_again(wish: Wish | None, task: Task) -> None:
    after = step(wish, task, UNKNOWN, NOW)
    assert (after.task, after.transition, after.action, after.wake) == (task, None, None, NOW + 1)


# -- other containers ----------------------------------------------------------------------------


@pytest.mark.parametrize("wish", [None, RUN, STOP], ids=["adopted", "run", "stop"])
@pytest.mark.parametrize(
    "task", [a_task(state) for state in State], ids=lambda task: task.state.name
)
@pytest.mark.parametrize(
    "sight", [absent(), created(), running(), exited()], ids=lambda sight: type(sight.body).__name__
)
def test_other_containers_of_the_task_are_removed_first(
    wish: Wish | None, task: Task, sight: Seen
) -> None:
    after = step(wish, task, seen(sight.body, others=(OLD_CONTAINER, "older")), NOW)
    assert after.action == Remove(container_id=OLD_CONTAINER)
    assert (after.task, after.transition) == (task, None)


# -- taking up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "action"),
    [
        pytest.param(Present(), Create(attempt=1), id="with its image here: create"),
        pytest.param(Missing(), Pull(image="nginx:1"), id="without it: pull"),
        pytest.param(Pulling(), None, id="on its way: wait"),
    ],
)
def test_the_loop_takes_a_task_up_with_its_first_action(image: Image, action: Action) -> None:
    after = step(RUN, a_task(), absent(image), NOW)
    assert after.transition is not None
    assert (after.transition.from_, after.transition.to) == (PENDING, SCHEDULED)
    assert (after.task.attempt, after.task.wish, after.action) == (1, RUN.seq, action)


def test_the_wish_that_is_served_is_recorded_with_its_generation() -> None:
    task = next_task(a_wish(seq=4, generation=7), a_task(RUNNING, generation=2), running())
    assert (task.wish, task.generation, task.state) == (4, 7, RUNNING)


def test_a_lower_generation_is_not_taken_over() -> None:
    assert next_task(a_wish(generation=1), a_task(RUNNING, generation=2), running()).generation == 2


def test_a_container_that_runs_already_does_not_make_a_task_skip_a_state() -> None:
    first = step(RUN, a_task(), running(), NOW)
    second = step(RUN, first.task, running(), NOW)
    assert [move.to for move in (first.transition, second.transition) if move] == [
        SCHEDULED, RUNNING,
    ]  # fmt: skip
    assert (first.action, second.action) == (None, None)


# -- images --------------------------------------------------------------------------------------

WANTING = a_task(SCHEDULED)


def test_a_missing_image_is_pulled() -> None:
    assert next_action(RUN, WANTING, absent(Missing())) == Pull(image="nginx:1")


def test_a_pull_is_waited_for_without_a_timer() -> None:
    after = step(RUN, WANTING, absent(Pulling()), NOW)
    assert (after.action, after.wake, after.task.state) == (None, None, SCHEDULED)


def test_pull_policy_never_fails_a_task_whose_image_is_missing() -> None:
    after = next_task(RUN, a_task(SCHEDULED, asked={"pull_policy": "never"}), absent(Missing()))
    assert (after.state, after.reason) == (FAILED, Reason.IMAGE_UNAVAILABLE)
    assert "PullPolicy is never" in after.message


def test_pull_policy_never_uses_a_present_image() -> None:
    task = a_task(SCHEDULED, asked={"pull_policy": "never"})
    assert next_action(RUN, task, absent()) == Create(attempt=1)


def test_an_image_that_is_finally_unavailable_fails_its_task_in_the_registrys_words() -> None:
    after = next_task(RUN, WANTING, unavailable(final=True))
    assert (after.state, after.reason) == (FAILED, Reason.IMAGE_UNAVAILABLE)
    assert after.message == "the registry's words"


def test_an_image_that_is_finally_unavailable_counts_as_a_failure_to_start() -> None:
    task = a_task(SCHEDULED, asked={"restart_policy": "on-failure:1"})
    after = next_task(RUN, task, unavailable(final=True))
    assert (after.state, after.attempt, after.failures) == (SCHEDULED, 2, 1)
    last = next_task(RUN, after.but(due=NOW - 1), unavailable(final=True))
    assert (last.state, last.attempt) == (FAILED, 2)


@pytest.mark.parametrize("final", [True, False], ids=["final", "transient"])
def test_a_pull_that_failed_before_this_try_is_pulled_again(final: bool) -> None:
    sight = unavailable(at=WANTING.due - 0.001, final=final)
    assert next_action(RUN, WANTING, sight) == Pull(image="nginx:1")


@pytest.mark.parametrize("retries", range(PULL_RETRIES))
def test_a_transient_pull_failure_is_tried_a_few_times_more(retries: int) -> None:
    after = step(RUN, a_task(SCHEDULED, retries=retries, due=NOW - 1), unavailable(), NOW)
    assert after.transition is None
    assert (after.task.retries, after.task.attempt) == (retries + 1, 1)
    assert NOW + 2**retries <= after.task.due <= NOW + 2**retries * 1.25
    assert after.wake == after.task.due


def test_a_retry_waits_for_its_back_off_and_then_pulls_again() -> None:
    task = next_task(RUN, WANTING, unavailable())
    assert step(RUN, task, unavailable(), NOW + 0.5).action is None
    assert step(RUN, task, unavailable(), task.due).action == Pull(image="nginx:1")


def test_after_the_last_retry_the_registrys_words_are_the_tasks_message() -> None:
    task = a_task(SCHEDULED, retries=PULL_RETRIES, due=NOW - 1)
    after = next_task(RUN, task, unavailable())
    assert (after.state, after.reason) == (FAILED, Reason.IMAGE_UNAVAILABLE)
    assert after.message == "the registry's words"


def test_a_new_attempt_has_its_retries_again() -> None:
    asked = {"restart_policy": "always"}
    task = a_task(SCHEDULED, retries=PULL_RETRIES, due=NOW - 1, asked=asked)
    after = next_task(RUN, task, unavailable())
    assert (after.state, after.attempt, after.retries) == (SCHEDULED, 2, 0)


# -- making and starting -------------------------------------------------------------------------


def test_a_container_is_made_when_a_slot_is_free_and_not_before() -> None:
    assert next_action(RUN, WANTING, absent()) == Create(attempt=1)
    waiting = step(RUN, WANTING, absent(slot=False), NOW)
    assert (waiting.action, waiting.wake, waiting.task.state) == (None, None, SCHEDULED)


def test_a_container_is_started_when_a_slot_is_free_and_not_before() -> None:
    assert next_action(RUN, WANTING, created()) == START
    waiting = step(RUN, WANTING, created(slot=False), NOW)
    assert (waiting.action, waiting.wake, waiting.task.started) == (None, None, 0)


def test_a_start_is_recorded_before_the_engine_is_asked() -> None:
    after = step(RUN, WANTING, created(), NOW)
    assert (after.action, after.task.started, after.task.state) == (START, 1, SCHEDULED)
    assert after.task.container_id == CONTAINER


def test_a_start_that_may_be_on_its_way_is_shut_out_by_a_new_name_before_the_next() -> None:
    """A second start by the same name could run what the first one ran already."""
    recorded = next_task(RUN, WANTING, created())
    for sight in (created(), created()):  # whether the rename is answered or not
        unsure = step(RUN, recorded, sight, NOW + 60)
        assert (unsure.task, unsure.action, unsure.transition) == (recorded, RENAME, None)
    again = step(RUN, recorded, created(2), NOW + 60)
    assert again.action == Start(container_id=CONTAINER, attempt=2)
    assert (again.task.attempt, again.task.started, again.task.renames) == (2, 2, 1)
    assert again.task.restart_count == 0
    assert next_action(RUN, again.task, created(2)) == Rename(container_id=CONTAINER, attempt=3)


@pytest.mark.parametrize("body", [running(2), exited(attempt=2)], ids=["runs", "has run"])
def test_a_start_that_came_before_the_new_name_was_the_start(body: Seen) -> None:
    recorded = next_task(RUN, WANTING, created())
    after = step(RUN, recorded, body, NOW + 60)
    assert (after.task.state, after.task.attempt, after.task.started) == (RUNNING, 2, 2)
    assert (after.action, after.task.restart_count) == (None, 0)


def test_one_with_a_new_name_that_is_gone_has_vanished_or_was_never_started() -> None:
    """Before the look nobody knows; after it, by the new name no start was asked."""
    recorded = next_task(RUN, WANTING, created())
    assert next_task(RUN, recorded, absent()).reason is Reason.VANISHED
    seen_again = next_task(RUN, recorded, created(2, slot=False))
    assert (seen_again.attempt, seen_again.started) == (2, 1)
    assert next_action(RUN, seen_again, absent()) == Create(attempt=2)


def test_a_new_name_waits_for_what_a_start_waits_for() -> None:
    recorded = next_task(RUN, WANTING, created())
    assert step(RUN, recorded, created(slot=False), NOW).action is None
    waiting = step(RUN, recorded.but(due=NOW + 5), created(), NOW)
    assert (waiting.action, waiting.wake) == (None, NOW + 5)
    overdue = recorded.but(spec=a_spec(timeout=30), first_running=NOW - 60)
    assert next_task(RUN, overdue, created()).reason is Reason.DEADLINE


@pytest.mark.parametrize("attempt", [1, 2], ids=["not renamed", "renamed"])
def test_a_stop_takes_away_what_may_be_started_yet(attempt: int) -> None:
    recorded = next_task(RUN, WANTING, created())
    assert next_action(STOP, recorded, created(attempt)) == REMOVE


def test_a_new_name_asks_for_no_pull_of_what_is_made_already() -> None:
    asked = {"pull_policy": "always"}
    task = a_task(SCHEDULED, asked=asked, pulled=1, started=1, container_id=CONTAINER)
    assert next_action(RUN, task, created(2)) == Start(container_id=CONTAINER, attempt=2)


def test_retries_go_on_under_the_new_name() -> None:
    task = a_task(SCHEDULED, started=1, retries=4, container_id=CONTAINER)
    assert next_task(RUN, task, created(2)).retries == 4


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        pytest.param(PORT_TAKEN, Reason.PORT_TAKEN, id="port taken"),
        pytest.param(
            Refused(reason=Reason.COMMAND_NOT_FOUND, message="not in $PATH", exit_code=127),
            Reason.COMMAND_NOT_FOUND,
            id="command not found",
        ),
    ],
)
def test_a_refused_start_fails_its_task_with_the_engines_words(
    refused: Refused, reason: Reason
) -> None:
    after = next_task(RUN, a_task(SCHEDULED, started=1), created(refused=refused))
    assert (after.state, after.reason, after.message) == (FAILED, reason, refused.message)
    assert (after.exit_code, after.container_id) == (refused.exit_code, CONTAINER)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure", "on-failure:1"])
def test_a_refused_start_is_a_failure_that_the_restart_policy_may_try_again(policy: str) -> None:
    task = a_task(SCHEDULED, started=1, asked={"restart_policy": policy})
    after = step(RUN, task, created(refused=PORT_TAKEN), NOW)
    assert after.transition is not None
    assert (after.transition.from_, after.transition.to) == (SCHEDULED, SCHEDULED)
    assert (after.transition.attempt, after.transition.reason) == (1, Reason.PORT_TAKEN)
    assert (after.task.attempt, after.task.failures) == (2, 1)
    assert NOW + 1 <= after.task.due <= NOW + 1.25


@pytest.mark.parametrize(
    "sight",
    [created(refused=PORT_TAKEN), created(), exited(3), running()],
    ids=["refused", "created", "exited", "running"],
)
def test_the_last_attempts_container_is_removed_before_the_next_is_made(sight: Seen) -> None:
    assert step(RUN, in_back_off(), sight, NOW).action is None
    assert step(RUN, in_back_off(), sight, NOW + 10).action == REMOVE
    assert step(RUN, in_back_off(), absent(), NOW + 10).action == Create(attempt=2)


def test_a_back_off_is_slept_through() -> None:
    for sight in (absent(), absent(Missing()), exited(3)):
        after = step(RUN, in_back_off(), sight, NOW)
        assert (after.action, after.wake) == (None, NOW + 10)
