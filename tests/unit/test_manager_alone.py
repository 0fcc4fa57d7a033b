"""Tasks of which no two copies may live: what the manager decides, and when it asks nodes."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.manager import alone, mirror
from keelman.manager.assign import NodeView, Step, step
from keelman.manager.calls import Clear, Send
from keelman.manager.nodes import Status
from keelman.manager.placement import Copy, Placement
from keelman.manager.scheduler import Placed
from keelman.task import Reason, State, Task, Wish
from tests.unit.given import NOW, RUN, STOP, TASK_ID, a_task
from tests.unit.given_assign import OLD, READY, a_sight, chosen, listed, moved, on_a

S = State
BEARS = 100
ALONE = {"stop_after_disconnect": BEARS, "stop_timeout": 20}
WAITS = BEARS + 1 + 20 + alone.MARGIN_SECONDS
TO_B = Placed(task_id=TASK_ID, node="b")
A_HERE = Copy(node="a", number=2)


def lost(seconds_ago: float) -> NodeView:
    return NodeView(status=Status.LOST, heard=NOW - seconds_ago)


def a_lone(state: State = S.RUNNING, **known: Any) -> Task:
    return a_task(state, asked=ALONE, node="a", **known)


def decided(task: Task, placement: Placement, wish: Wish = RUN, **seen: Any) -> Step:
    return step(wish, task, placement, a_sight(**seen), NOW)


# -- a lost node -----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, TO_B])
@pytest.mark.parametrize("state", [S.PENDING, S.SCHEDULED, S.RUNNING])
def test_it_is_not_moved_before_its_copy_must_be_gone(state: State, place: Placed | None) -> None:
    """It says so, wants no place, and is looked at when it must be."""
    for placement in (on_a(), chosen()):
        after = decided(a_lone(state), placement, nodes={"a": lost(WAITS - 7)}, place=place)
        assert (after.placement.node, after.wants, after.call) == ("a", False, None)
        assert (after.transition, after.task.reason) == (None, Reason.NODE_LOST)
        assert after.wake == pytest.approx(NOW + 7)


def test_then_it_is() -> None:
    """And the copy on the lost node is not forgotten."""
    nodes = {"a": lost(WAITS + 0.1)}
    assert decided(a_lone(), on_a(), nodes=nodes).wants
    after = decided(a_lone(), on_a(), nodes=nodes, place=TO_B)
    assert (after.placement.node, after.placement.stale) == ("b", (A_HERE,))


def test_one_that_asks_for_nothing_of_the_kind_is_moved_at_once() -> None:
    after = decided(a_task(S.RUNNING), on_a(), nodes={"a": lost(0)}, place=TO_B)
    assert after.placement.node == "b"


def test_the_worker_s_time_is_over_before_the_manager_s() -> None:
    """Its grace included, and with a clock that goes slower than the manager's."""
    for bears, grace in ((1, 0), (30, 10), (3600, 300)):
        task = a_task(asked={"stop_after_disconnect": bears, "stop_timeout": grace})
        slowest = bears * 1.005 + grace + 25.0
        assert alone.over_at(task, NOW) > NOW + slowest


# -- an older copy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wish", [RUN, STOP])
def test_an_older_copy_that_can_be_stopped_is_before_a_new_one_is_sent(wish: Wish) -> None:
    """Also where that is sent only to be stopped."""
    nodes = {"a": READY, "b": READY}
    after = decided(a_lone(S.SCHEDULED), chosen(stale=(OLD,)), wish, nodes=nodes)
    assert after.call == Clear(copy=OLD)


@pytest.mark.parametrize("wish", [RUN, STOP])
def test_for_one_that_cannot_be_heard_it_waits(wish: Wish) -> None:
    task, placement = a_lone(S.SCHEDULED), chosen(stale=(OLD,))
    waits = decided(task, placement, wish, nodes={"a": READY, "b": lost(WAITS - 5)})
    assert waits.call is None
    assert waits.wake == pytest.approx(NOW + 5)
    sends = decided(task, placement, wish, nodes={"a": READY, "b": lost(WAITS + 1)})
    assert sends.call == Send(copy=placement.here)


def test_one_on_a_node_that_was_removed_is_not_waited_for() -> None:
    placement = chosen(stale=(OLD,))
    assert decided(a_lone(S.SCHEDULED), placement).call == Send(copy=placement.here)


def test_who_may_be_two_is_sent_at_once() -> None:
    placement = chosen(stale=(OLD,))
    nodes = {"a": READY, "b": READY}
    task = a_task(S.SCHEDULED, node="a")
    assert decided(task, placement, nodes=nodes).call == Send(copy=placement.here)


# -- its end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.PENDING, S.SCHEDULED, S.RUNNING])
@pytest.mark.parametrize("how", ["told", "listed"])
def test_one_that_its_worker_stopped_is_placed_anew(state: State, how: str) -> None:
    """It is wished to run: SCHEDULED, nowhere, and the next place has a higher number."""
    known: dict[str, Any] = {
        "reason": Reason.DISCONNECTED,
        "message": "nobody was heard",
        "exit_code": 143,
    }
    news = moved(S.RUNNING, S.FAILED, **known)
    if how == "listed":
        news = listed(S.FAILED, **known)
    task, placement = a_lone(state), on_a()
    for _ in range(5):
        told = mirror.read(RUN, task, placement, news, NOW)
        task, placement = told.task, told.placement
        if told.all:
            break
    assert (task.state, task.reason, task.node) == (S.SCHEDULED, Reason.DISCONNECTED, "")
    assert (placement.node, placement.number, placement.stale) == ("", 2, ())
    after = decided(task, placement, place=TO_B)
    assert (after.placement.node, after.placement.number) == ("b", 3)
    assert placement.refused_by(NOW + mirror.DEAF_SECONDS - 1) == {"a"}
    assert placement.refused_by(NOW + mirror.DEAF_SECONDS) == frozenset()


def test_one_that_was_to_be_stopped_has_ended() -> None:
    news = moved(S.RUNNING, S.FAILED, reason=Reason.DISCONNECTED)
    told = mirror.read(STOP, a_lone(), on_a(), news, NOW)
    assert (told.task.state, told.task.reason) == (S.COMPLETED, Reason.STOPPED)


def test_the_end_of_an_older_copy_moves_nothing() -> None:
    news = moved(S.RUNNING, S.FAILED, number=1, reason=Reason.DISCONNECTED)
    told = mirror.read(RUN, a_lone(), on_a(), news, NOW)
    assert (told.task, told.transition) == (a_lone(), None)


# -- heartbeats ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bears", "every"), [(0, 5.0), (4, 1.0), (20, 5.0), (3600, 5.0)])
def test_a_node_is_asked_often_enough_for_its_least_patient_task(bears: int, every: float) -> None:
    assert alone.beat_seconds(5.0, bears) == every
