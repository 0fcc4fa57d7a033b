"""The manager's rules: what each case decides, and what holds in every case that there is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from keelman.manager import outcome
from keelman.manager.assign import DRAIN_SECONDS, Sight, Step, step, unplaced_words
from keelman.manager.calls import Clear, Look, Send, Stop
from keelman.manager.nodes import Status
from keelman.manager.placement import Copy, Placement, Refusal
from keelman.manager.scheduler import Placed, Unplaced
from keelman.task import EDGES, Reason, State, Task, Wish
from tests.unit.given import NOW, RUN, STOP, TASK_ID, a_task, a_wish
from tests.unit.given_assign import (
    DRAINING,
    LOST,
    NOWHERE,
    OLD,
    READY,
    SUSPECT,
    a_report,
    chosen,
    decided,
    listed,
    missing,
    moved,
    on_a,
)

HERE = Copy(node="a", number=2)
TO_B = Placed(task_id=TASK_ID, node="b")
NONE = Unplaced(task_id=TASK_ID, reasons={"a": "it is full", "b": "it is cordoned"})
ANEW = a_wish(seq=3, generation=1)
S = State


# -- one by one ------------------------------------------------------------------------------------


def test_a_task_without_a_place_wants_one() -> None:
    """Nobody is asked for anything."""
    found = decided(RUN, a_task(), NOWHERE)
    assert (found.wants, found.call, found.transition) == (True, None, None)


def test_a_place_is_recorded_before_the_node_is_asked() -> None:
    """Under a greater number."""
    found = decided(RUN, a_task(), NOWHERE, place=TO_B)
    assert (found.placement.node, found.placement.number, found.task.node) == ("b", 1, "b")
    assert (found.call, found.wants) == (None, False)


def test_who_fits_nowhere_is_told_why() -> None:
    """PENDING, and asked for again."""
    found = decided(RUN, a_task(), NOWHERE, place=NONE)
    assert (found.task.state, found.task.reason, found.wants) == (S.PENDING, Reason.NO_NODE, True)
    assert found.task.message == "no node takes it: a: it is full; b: it is cordoned"


@pytest.mark.parametrize(
    ("wish", "placement", "call"),
    [
        pytest.param(RUN, chosen(), Send(copy=HERE), id="chosen: sent"),
        pytest.param(RUN, on_a(known=False), Look(copy=HERE), id="taken: looked at"),
        pytest.param(RUN, on_a(), None, id="known: nothing"),
        pytest.param(RUN, on_a(stale=(OLD,)), Clear(copy=OLD), id="older copy: cleared"),
        pytest.param(STOP, chosen(), Send(copy=HERE), id="stop of what may be on its way: sent"),
        pytest.param(STOP, on_a(), Stop(copy=HERE), id="stop: told"),
        pytest.param(STOP, on_a(stopped=STOP.seq), None, id="stop told: waited for"),
        pytest.param(RUN, chosen(due=NOW + 1), None, id="failed just now: later"),
    ],
)
def test_a_node_is_asked_for_one_thing(wish: Wish, placement: Placement, call: object) -> None:
    """In an order in which each can be repeated after a crash."""
    found = decided(wish, a_task(S.RUNNING), placement, nodes={"a": READY, "b": READY})
    assert found.call == call
    assert found.wake == (placement.due or None)


def test_a_lost_node_is_left_when_there_is_another() -> None:
    """With a higher number, the copy there remembered, and the attempt ended."""
    nodes = {"a": LOST, "b": READY}
    waiting = decided(RUN, a_task(S.RUNNING), on_a(), nodes=nodes)
    assert (waiting.wants, waiting.transition, waiting.placement) == (True, None, on_a())
    found = decided(RUN, a_task(S.RUNNING), on_a(), nodes=nodes, place=TO_B)
    assert (found.placement.node, found.placement.number) == ("b", 3)
    assert (found.placement.stale, found.placement.accepted) == ((HERE,), False)
    move = found.transition
    assert move is not None
    assert (move.from_, move.to, move.attempt, found.task.attempt) == (S.RUNNING, S.SCHEDULED, 1, 2)
    assert (move.reason, move.message) == (Reason.NODE_LOST, "node a is lost; placed on b")


def test_a_lost_node_is_not_left_for_nowhere() -> None:
    """What runs there may well run on; once it is heard it is looked at anew."""
    found = decided(RUN, a_task(S.RUNNING), on_a(), nodes={"a": LOST}, place=NONE)
    assert (found.task.state, found.task.reason) == (S.RUNNING, Reason.NODE_LOST)
    assert (found.placement, found.wants) == (on_a(known=False), True)


def test_a_suspect_node_is_not_left() -> None:
    """It may only be slow."""
    found = decided(RUN, a_task(S.RUNNING), on_a(), nodes={"a": SUSPECT}, place=TO_B)
    assert (found.placement, found.wants) == (on_a(), False)


def test_a_stop_waits_for_a_lost_node() -> None:
    """It is COMPLETED only when its process is gone."""
    found = decided(STOP, a_task(S.RUNNING), on_a(), nodes={"a": LOST})
    assert (found.task.state, found.call) == (S.RUNNING, None)


def test_a_stop_of_what_is_nowhere_is_done() -> None:
    """Whether it never was anywhere, or its node was removed."""
    assert decided(STOP, a_task(), NOWHERE).task.state is S.COMPLETED
    gone = decided(STOP, a_task(S.RUNNING), on_a(), nodes={})
    assert (gone.placement.node, gone.task.state) == ("", S.COMPLETED)


def test_a_task_whose_node_was_removed_is_not_running() -> None:
    """Another attempt waits for a place; one that nobody has taken is what it was."""
    found = decided(RUN, a_task(S.RUNNING, node="a"), on_a(), nodes={})
    assert (found.task.state, found.task.node, found.placement.node) == (S.SCHEDULED, "", "")
    assert (found.task.reason, found.task.message) == (Reason.NODE_LOST, "node a was removed")
    assert (found.task.attempt, found.transition is not None) == (2, True)
    assert decided(RUN, a_task(), chosen(), nodes={}).task.state is S.PENDING


@pytest.mark.parametrize("place", [None, NONE], ids=["not decided", "nowhere"])
def test_who_waits_for_a_place_gives_up_older_copies(place: Unplaced | None) -> None:
    """They may have the very room that it needs."""
    nodes = {"a": LOST, "b": READY}
    nowhere = NOWHERE.but(number=2, stale=(OLD,))
    found = decided(RUN, a_task(S.SCHEDULED), nowhere, nodes=nodes, place=place)
    assert (found.call, found.wants) == (Clear(copy=OLD), True)
    found = decided(RUN, a_task(S.RUNNING), on_a(stale=(OLD,)), nodes=nodes, place=place)
    assert (found.call, found.wants) == (Clear(copy=OLD), True)


def test_a_clock_that_was_set_back_keeps_nothing_waiting() -> None:
    """A time that is further ahead than any is cut to its most."""
    ahead = NOW + 10_800
    refusal = Refusal(node="c", words="full", until=ahead)
    old = Copy(node="b", number=1, until=ahead)
    before = on_a(known=False, due=ahead, stale=(old,), refusals=(refusal,))
    found = decided(RUN, a_task(S.RUNNING), before, nodes={"a": READY, "b": READY})
    assert found.placement.due == found.wake == NOW + 30.0
    assert [one.until for one in found.placement.stale] == [NOW + DRAIN_SECONDS]
    assert [one.until for one in found.placement.refusals] == [NOW + 60.0]


def test_a_stop_of_an_adopted_copy_is_looked_after() -> None:
    """It does not tell all that it does under its new number."""
    there = on_a(stopped=STOP.seq, adopted=True, known=False)
    assert decided(STOP, a_task(S.RUNNING), there).call == Look(copy=HERE)


def test_a_drained_node_is_left_and_its_copy_stopped_when_the_other_runs() -> None:
    """Or after a while."""
    nodes = {"a": DRAINING, "b": READY}
    assert decided(RUN, a_task(S.RUNNING), on_a(), nodes=nodes).wants
    found = decided(RUN, a_task(S.RUNNING), on_a(), nodes=nodes, place=TO_B)
    old = Copy(node="a", number=2, until=NOW + DRAIN_SECONDS)
    assert found.placement.stale == (old,)
    taken = found.placement.but(accepted=True, known=True)
    assert decided(RUN, found.task, taken, nodes=nodes).call is None
    running = found.task.to(S.RUNNING)
    assert decided(RUN, running, taken, nodes=nodes).call == Clear(copy=old)
    late = step(RUN, found.task, taken, Sight(nodes=nodes), NOW + DRAIN_SECONDS)
    assert late.call == Clear(copy=old)


def test_a_task_that_failed_begins_anew_without_a_place() -> None:
    """SCHEDULED: PENDING is left only once."""
    found = decided(a_wish(seq=3), a_task(S.FAILED), on_a())
    assert (found.task.state, found.task.node, found.placement.node) == (S.SCHEDULED, "", "")
    assert found.placement.number == 2


def test_an_older_copy_on_a_removed_node_is_forgotten() -> None:
    """Its operator said so."""
    assert decided(RUN, a_task(S.RUNNING), on_a(stale=(OLD,))).placement == on_a()


def test_retention_waits_for_older_copies() -> None:
    """They are to be stopped first."""
    done, nodes = a_task(S.COMPLETED), {"a": READY, "b": LOST}
    assert decided(RUN, done, on_a(), expired=True).forget
    assert not decided(RUN, done, on_a(stale=(OLD,)), expired=True, nodes=nodes).forget


def test_why_there_is_no_place_fits_on_a_page() -> None:
    """However many nodes there are."""
    assert unplaced_words({}) == "there is no node"
    assert len(unplaced_words({f"node-{number}": "it is full" for number in range(1000)})) <= 2000


# -- all of them -----------------------------------------------------------------------------------

WISHES = (RUN, STOP, ANEW, a_wish(seq=3))
TASKS = (a_task(), *(a_task(state, node="a") for state in State))
PLACEMENTS = (
    NOWHERE,
    chosen(),
    chosen(due=NOW + 1),
    on_a(),
    on_a(known=False),
    on_a(stopped=STOP.seq),
    on_a(stale=(OLD,)),
    on_a(stale=(Copy(node="b", number=1, until=NOW + 9),)),
    NOWHERE.but(number=2, stale=(OLD,)),
)
A_NODES = (None, READY, SUSPECT, LOST, DRAINING)
B_NODES = (None, READY, LOST)
PLACES = (None, TO_B, Placed(task_id=TASK_ID, node="a"), NONE)
NEWS = (
    None,
    *(moved(from_, to) for from_, to in EDGES),
    moved(S.RUNNING, S.COMPLETED, number=1),
    moved(S.RUNNING, S.COMPLETED, node="b"),
    *(listed(state) for state in State),
    listed(S.RUNNING, attempt=3),
    listed(S.RUNNING, number=1),
    missing(),
    missing(number=1),
)


def every_case() -> Iterator[tuple[Wish, Task, Placement, Sight]]:
    views = product(A_NODES, B_NODES)
    nodes = [{k: v for k, v in (("a", a), ("b", b)) if v is not None} for a, b in views]
    for wish, task, placement, known in product(WISHES, TASKS, PLACEMENTS, nodes):
        for news in NEWS:
            yield wish, task, placement, Sight(nodes=known, news=news)
        for place in PLACES:
            yield wish, task, placement, Sight(nodes=known, place=place)


def broken_law(
    wish: Wish, task: Task, placement: Placement, sight: Sight, found: Step
) -> str | None:
    """The first law that a step breaks; Task.to has seen to it that its move is an edge."""
    laws: dict[str, bool] = {
        "a move is of this task": found.transition is None
        or (found.transition.from_, found.transition.to) == (task.state, found.task.state),
        "no move is silent": found.task.state is task.state or found.transition is not None,
        "numbers only grow": found.placement.number >= placement.number,
        "another node is another number": found.placement.node in ("", placement.node)
        or found.placement.number > placement.number,
        "who is asked can be heard": found.call is None or _can_be_heard(found, sight),
        "who is asked has a copy": found.call is None
        or found.call.copy in (found.placement.here, *found.placement.stale),
        "no copy is forgotten": _remembered(wish, task, placement, sight, found),
        "a stop places nothing": not wish.stops
        or (not found.wants and found.placement.number == placement.number),
        "news come first": sight.news is None or (found.call is None and not found.wants),
        "what ended stays so": not task.state.ended
        or found.task.state is task.state
        or wish.begins_anew(task),
        "nothing ends for a node's silence": not found.task.state.ended
        or task.state.ended
        or sight.news is not None
        or wish.stops,
        "a stop waits for its node": not (wish.stops and _stopped_now(task, found))
        or sight.news is not None
        or placement.node not in sight.nodes,
    }
    return next((law for law, holds in laws.items() if not holds), None)


def _can_be_heard(found: Step, sight: Sight) -> bool:
    assert found.call is not None
    view = sight.nodes.get(found.call.copy.node)
    return view is not None and view.status is not Status.LOST


def _remembered(wish: Wish, task: Task, placement: Placement, sight: Sight, found: Step) -> bool:
    """A copy that may run is the present one, or among the older ones, while its node is one."""
    if task.state.ended or not placement.node or placement.node not in sight.nodes:
        return True
    kept = {(one.node, one.number) for one in (found.placement.here, *found.placement.stale)}
    return (placement.node, placement.number) in kept


def _stopped_now(task: Task, found: Step) -> bool:
    return found.task.state.ended and not task.state.ended


def test_the_laws_hold_in_every_case() -> None:
    """All that there is: wishes, records, nodes, places and news."""
    count = 0
    for wish, task, placement, sight in every_case():
        found = step(wish, task, placement, sight, NOW)
        law = broken_law(wish, task, placement, sight, found)
        assert law is None, (law, wish, task, placement, sight, found)
        count += 1
    assert count > 50_000


def test_every_case_comes_to_rest() -> None:
    """Step after step, calls answered well: nothing goes round for ever."""
    for wish, task, placement, sight in every_case():
        assert _steps_to_rest(wish, task, placement, sight) <= 8, (wish, task, placement, sight)


def _steps_to_rest(wish: Wish, task: Task, placement: Placement, sight: Sight) -> int:
    seen: dict[str, Any] = {"nodes": sight.nodes, "news": sight.news, "place": sight.place}
    for count in range(20):
        found = step(wish, task, placement, Sight(**seen), NOW)
        if found.read or sight.news is None:
            seen["news"] = None
        seen["place"] = None
        after = _answered(wish, found)
        if (after.task, after.placement) == (task, placement) and not found.read:
            return count
        task, placement = after.task, after.placement
    return 20


def _answered(wish: Wish, found: Step) -> Step:
    match found.call:
        case Send():
            return outcome.sent(found.task, found.placement, a_report(State.PENDING), NOW)
        case Stop():
            return outcome.stopped(wish, found.task, found.placement)
        case Look():
            placement = found.placement.but(known=True)
            return Step(task=found.task, placement=placement)
        case Clear(copy=copy):
            return outcome.cleared(found.task, found.placement, copy, NOW)
        case None:
            return found
