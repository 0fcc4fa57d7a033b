"""The start governor: so many at once, each in its turn, and nobody forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman.moves import Step
from keelman.seen import Action, Create, Rename, Start
from keelman.task import State
from keelman.worker.slots import Slots
from tests.unit.given import TASK_ID, a_task, absent, running


class Woken(list[str]):
    """Who was woken, in order."""


@pytest.fixture
def woken() -> Woken:
    return Woken()


def slots_of(count: int, woken: Woken) -> Slots:
    return Slots(count, woken.append)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_so_many_may_start_at_once_and_no_more(count: int, woken: Woken) -> None:
    slots = slots_of(count, woken)
    for number in range(count):
        assert slots.free(str(number))
        slots.take(str(number))
    assert not slots.free("one more")


@pytest.mark.parametrize(
    "action",
    [
        Create(attempt=1),
        Start(container_id="c", attempt=1),
        Rename(container_id="c", attempt=2),
    ],
    ids=lambda action: type(action).__name__,
)
def test_a_task_holds_a_slot_all_its_way_up(action: Action, woken: Woken) -> None:
    slots = slots_of(1, woken)
    slots.take(TASK_ID)
    slots.settle(Step(task=a_task(State.SCHEDULED), action=action), absent())
    assert slots.held == 1
    slots.settle(Step(task=a_task(State.RUNNING)), running())
    assert slots.held == 0


def test_whoever_holds_a_slot_may_go_on(woken: Woken) -> None:
    slots = slots_of(1, woken)
    slots.take("a")
    slots.take("a")
    assert slots.free("a")
    assert not slots.free("b")


def test_a_slot_that_is_left_is_for_whoever_waited_longest(woken: Woken) -> None:
    slots = slots_of(1, woken)
    slots.take("a")
    for task_id in ("b", "c", "b"):
        slots.wait(task_id)
    slots.leave("a")
    assert woken == ["b"]
    assert slots.free("b")
    slots.take("b")
    slots.leave("b")
    assert woken == ["b", "c"]


def test_as_many_are_woken_as_slots_are_free(woken: Woken) -> None:
    slots = slots_of(2, woken)
    for task_id in ("a", "b"):
        slots.take(task_id)
    for task_id in ("c", "d", "e"):
        slots.wait(task_id)
    slots.leave("a")
    assert woken == ["c"]
    slots.take("c")
    slots.leave("b")
    assert woken == ["c", "d"]


def test_whoever_was_woken_and_does_not_want_to_start_any_more_passes_it_on(woken: Woken) -> None:
    slots = slots_of(1, woken)
    slots.take("a")
    slots.wait("stopped meanwhile")
    slots.wait("b")
    slots.leave("a")
    slots.leave("stopped meanwhile")
    assert woken == ["stopped meanwhile", "b"]


def test_whoever_stops_waiting_is_not_woken(woken: Woken) -> None:
    slots = slots_of(1, woken)
    slots.take("a")
    slots.wait("b")
    slots.leave("b")
    slots.leave("a")
    assert woken == []


def test_leaving_what_was_never_held_is_nothing(woken: Woken) -> None:
    slots = slots_of(1, woken)
    slots.leave("a")
    slots.take("b")
    slots.leave("a")
    assert not slots.free("c")
    assert woken == []


@given(count=st.integers(1, 4), tasks=st.integers(1, 12), data=st.data())
def test_everybody_gets_a_turn_and_never_too_many_at_once(
    count: int, tasks: int, data: st.DataObject
) -> None:
    """Every task asks, starts if it may and waits otherwise; what started is up at random."""
    woken = Woken(str(number) for number in range(tasks))
    slots = slots_of(count, woken)
    starting: set[str] = set()
    up: set[str] = set()
    while woken or starting:
        if woken and (not starting or data.draw(st.booleans())):
            task_id = woken.pop(0)
            if slots.free(task_id):
                slots.take(task_id)
                starting.add(task_id)
            else:
                slots.wait(task_id)
        else:
            task_id = data.draw(st.sampled_from(sorted(starting)))
            starting.remove(task_id)
            up.add(task_id)
            slots.leave(task_id)
        assert len(starting) <= count
    assert len(up) == tasks


def test_each_one_that_waits_has_its_place(woken: Woken) -> None:
    slots = slots_of(1, woken)
    slots.take("a")
    for task_id in ("b", "c", "d"):
        slots.wait(task_id)
    assert [slots.before(task_id) for task_id in "abcd"] == [None, 0, 1, 2]
    slots.leave("a")
    assert [slots.before(task_id) for task_id in "bcd"] == [None, 0, 1]
