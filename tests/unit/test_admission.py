"""What becomes of a TaskEvent, by what is known of its task: the design's §5, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.admission import Known, admit, shown
from keelman.errors import (
    Conflict,
    KeelmanError,
    SpecChanged,
    StaleGeneration,
    Stopping,
    TaskCompleted,
    TaskEnded,
    UnknownTask,
)
from keelman.task import State, TaskEvent
from tests.unit.given import RUN, STOP, TASK_ID, a_spec, a_task, a_wish, stopping
from tests.unit.given_wire import a_delete, an_event

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State

SEQ = 9
OTHER_SPEC: dict[str, Any] = {"image": "nginx:2"}

STOP_NEWER = a_wish(COMPLETED, seq=2, generation=1)  # of a life that a higher Generation began

NOTHING = Known()
ASKED = Known(wish=RUN)
LIVE = {
    "asked for": ASKED,
    "pending": Known(wish=RUN, task=a_task()),
    "scheduled": Known(wish=RUN, task=a_task(SCHEDULED)),
    "running": Known(wish=RUN, task=a_task(RUNNING)),
    "adopted": Known(task=a_task(RUNNING, wish=0)),
    "asked for again": Known(wish=a_wish(seq=2), task=a_task(FAILED)),
}
BEING_STOPPED = {
    "stop asked": Known(wish=STOP, task=a_task(RUNNING)),
    "signalled": Known(wish=STOP, task=stopping(1)),
    "before it was taken up": Known(wish=STOP),
    "failed, asked for again": Known(wish=STOP, task=a_task(FAILED)),
    "completed, asked for again": Known(wish=STOP_NEWER, task=a_task(COMPLETED)),
}
OVER = {
    "completed": Known(wish=RUN, task=a_task(COMPLETED)),
    "completed by a stop": Known(wish=STOP, task=a_task(COMPLETED, wish=2)),
    "completed before the stop was served": Known(wish=STOP, task=a_task(COMPLETED)),
    "adopted and completed": Known(task=a_task(COMPLETED, wish=0)),
}
FAILURES = {
    "failed": Known(wish=RUN, task=a_task(FAILED)),
    "adopted and failed": Known(task=a_task(FAILED, wish=0)),
}
BURIED = Known(buried=True)


def each(*tables: dict[str, Known]) -> list[object]:
    return [pytest.param(known, id=name) for table in tables for name, known in table.items()]


# -- run it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [PENDING, SCHEDULED, RUNNING], ids=lambda state: state.name)
def test_a_run_of_an_unknown_task_becomes_a_numbered_wish(state: State) -> None:
    event = an_event(state, generation=3, cpu=2.0)
    wish = admit(event, NOTHING, SEQ)
    assert wish == a_wish(seq=SEQ, generation=3, cpu=2.0)


@pytest.mark.parametrize("known", each(LIVE))
def test_a_run_of_a_live_task_with_the_same_spec_changes_nothing(known: Known) -> None:
    assert admit(an_event(), known, SEQ) is None


@pytest.mark.parametrize("known", each(LIVE))
def test_a_run_of_a_live_task_with_another_spec_is_a_conflict(known: Known) -> None:
    with pytest.raises(SpecChanged, match=TASK_ID):
        admit(an_event(**OTHER_SPEC), known, SEQ)


@pytest.mark.parametrize("known", each(BEING_STOPPED))
@pytest.mark.parametrize("newer", [0, 5])
def test_a_stop_cannot_be_taken_back(known: Known, newer: int) -> None:
    with pytest.raises(Stopping, match=TASK_ID):
        admit(an_event(generation=known.generation + newer), known, SEQ)


@pytest.mark.parametrize("known", each(FAILURES))
@pytest.mark.parametrize("image", ["nginx:1", "nginx:2"])
def test_a_failed_task_runs_again_with_the_spec_of_the_new_wish(known: Known, image: str) -> None:
    assert admit(an_event(image=image), known, SEQ) == a_wish(seq=SEQ, image=image)


@pytest.mark.parametrize("known", each(OVER))
def test_completed_is_final(known: Known) -> None:
    with pytest.raises(TaskCompleted, match=TASK_ID):
        admit(an_event(), known, SEQ)


@pytest.mark.parametrize("event", [an_event(), an_event(generation=9), an_event(COMPLETED)])
def test_an_event_for_a_task_that_was_cleaned_away_is_a_conflict(event: TaskEvent) -> None:
    with pytest.raises(TaskEnded, match=TASK_ID):
        admit(event, BURIED, SEQ)


def test_a_delete_of_a_task_that_was_cleaned_away_has_nothing_left_to_do() -> None:
    assert admit(a_delete(), BURIED, SEQ) is None


# -- stop it -------------------------------------------------------------------------------------

STOPS = pytest.mark.parametrize("stop", [an_event(COMPLETED), a_delete()], ids=["POST", "DELETE"])


@STOPS
def test_a_stop_of_an_unknown_task_is_not_found(stop: TaskEvent) -> None:
    with pytest.raises(UnknownTask, match=TASK_ID):
        admit(stop, NOTHING, SEQ)


@STOPS
@pytest.mark.parametrize("known", each(LIVE))
def test_a_stop_of_a_live_task_is_a_wish_with_a_copy_of_its_spec(
    stop: TaskEvent, known: Known
) -> None:
    assert admit(stop, known, SEQ) == a_wish(COMPLETED, seq=SEQ)


@STOPS
@pytest.mark.parametrize("known", each(BEING_STOPPED, OVER, FAILURES))
def test_a_stop_of_what_ends_or_has_ended_changes_nothing(stop: TaskEvent, known: Known) -> None:
    assert admit(stop, known, SEQ) is None


# -- Generation ----------------------------------------------------------------------------------


def at_generation(number: int, state: State | None = RUNNING, *, stop: bool = False) -> Known:
    wish = a_wish(COMPLETED if stop else RUNNING, generation=number)
    return Known(wish=wish, task=a_task(state, generation=number) if state is not None else None)


@pytest.mark.parametrize("state", [None, *State], ids=str)
def test_a_lower_generation_is_stale_whatever_the_task_does(state: State | None) -> None:
    known = at_generation(3, state)
    for event in (
        an_event(generation=2),
        an_event(COMPLETED, generation=2),
        a_delete(generation=2),
    ):
        with pytest.raises(StaleGeneration, match="at Generation 3, not 2"):
            admit(event, known, SEQ)


def test_a_run_without_a_generation_is_of_generation_0() -> None:
    with pytest.raises(StaleGeneration, match="at Generation 3, not 0"):
        admit(an_event(), at_generation(3), SEQ)


@STOPS
def test_a_stop_without_a_generation_means_any(stop: TaskEvent) -> None:
    wish = admit(stop, at_generation(3), SEQ)
    assert wish == a_wish(COMPLETED, seq=SEQ, generation=3)


def test_a_stop_of_a_higher_generation_is_a_stop_and_is_remembered() -> None:
    wish = admit(a_delete(generation=4), at_generation(3), SEQ)
    assert wish == a_wish(COMPLETED, seq=SEQ, generation=4)


def test_a_higher_generation_of_a_live_task_is_adopted() -> None:
    wish = admit(an_event(generation=4), at_generation(3), SEQ)
    assert wish == a_wish(seq=SEQ, generation=4)


def test_a_higher_generation_does_not_change_the_spec_of_a_live_task() -> None:
    with pytest.raises(SpecChanged):
        admit(an_event(generation=4, **OTHER_SPEC), at_generation(3), SEQ)


@pytest.mark.parametrize("state", [COMPLETED, FAILED], ids=lambda state: state.name)
def test_a_higher_generation_begins_a_new_life_after_an_end(state: State) -> None:
    wish = admit(an_event(generation=4, **OTHER_SPEC), at_generation(3, state), SEQ)
    assert wish == a_wish(seq=SEQ, generation=4, **OTHER_SPEC)


def test_the_higher_of_wish_and_task_is_the_generation_that_is_known() -> None:
    behind = Known(wish=a_wish(generation=2), task=a_task(RUNNING, generation=5))
    with pytest.raises(StaleGeneration, match="at Generation 5"):
        admit(an_event(generation=4), behind, SEQ)


def test_every_conflict_is_a_409() -> None:
    kinds: list[type[KeelmanError]] = [TaskEnded, TaskCompleted, Stopping, SpecChanged]
    assert all(issubclass(kind, Conflict) and kind.status == 409 for kind in kinds)


# -- what its sender sees ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "state"),
    [
        pytest.param(ASKED, PENDING, id="a wish and no task yet"),
        pytest.param(Known(wish=STOP), PENDING, id="stopped before it was taken up"),
        pytest.param(LIVE["running"], RUNNING, id="running"),
        pytest.param(BEING_STOPPED["stop asked"], RUNNING, id="being stopped is still running"),
        pytest.param(LIVE["adopted"], RUNNING, id="adopted"),
        pytest.param(FAILURES["failed"], FAILED, id="failed"),
        pytest.param(LIVE["asked for again"], PENDING, id="failed and asked for again"),
        pytest.param(
            BEING_STOPPED["failed, asked for again"], PENDING, id="failed, again, stop asked"
        ),
        pytest.param(
            OVER["completed before the stop was served"], COMPLETED, id="completed, stop asked"
        ),
        pytest.param(OVER["completed by a stop"], COMPLETED, id="completed"),
        pytest.param(
            Known(wish=a_wish(seq=2, generation=1), task=a_task(COMPLETED)),
            PENDING,
            id="completed and asked for by a higher generation",
        ),
    ],
)
def test_a_task_is_shown_from_the_moment_it_is_asked_for(known: Known, state: State) -> None:
    task = shown(known)
    assert task is not None
    assert (task.id, task.state) == (TASK_ID, state)


def test_a_task_that_was_asked_for_again_is_shown_with_its_new_spec() -> None:
    task = shown(Known(wish=a_wish(seq=2, **OTHER_SPEC), task=a_task(FAILED)))
    assert task is not None
    assert task.spec == a_spec(**OTHER_SPEC)


@pytest.mark.parametrize("known", [NOTHING, BURIED], ids=["unknown", "cleaned away"])
def test_what_is_not_known_is_not_shown(known: Known) -> None:
    assert shown(known) is None
