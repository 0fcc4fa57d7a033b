"""What calls to a node come to."""

from __future__ import annotations

import pytest

from keelman.manager import outcome
from keelman.manager.calls import Call, Clear, Look, NoAnswer, Refused, Send, Stop, Trouble
from keelman.manager.placement import REFUSED_SECONDS, Copy, Placement
from keelman.task import Reason, State
from tests.unit.given import NOW, RUN, STOP, a_task
from tests.unit.given_assign import OLD, a_report, chosen, on_a

HERE = Copy(node="a", number=2)
SEND, TELL, LOOK, CLEAR = Send(copy=HERE), Stop(copy=HERE), Look(copy=HERE), Clear(copy=OLD)
NOTHING = NoAnswer(words="no answer")
STALE = Refused(code="stale_generation", words="it is at Generation 7")
UNKNOWN = Refused(code="unknown_task", words="there is no such task")
S = State


@pytest.mark.parametrize("call", [SEND, TELL, LOOK, CLEAR], ids=["send", "stop", "look", "clear"])
@pytest.mark.parametrize(
    "trouble", [NOTHING, Refused(code="x", words="busy", later=True)], ids=["silence", "later"]
)
def test_what_is_not_known_is_asked_again(call: Call, trouble: Trouble) -> None:
    """After a while, each time a longer one; nothing is taken for granted."""
    before = on_a(stale=(OLD,))
    after = outcome.failed(RUN, call, (a_task(S.RUNNING), before), trouble, NOW)
    assert after.placement == before.but(tries=1, due=NOW + 1.0)
    assert (after.task, after.transition, after.wake) == (a_task(S.RUNNING), None, NOW + 1.0)
    again = outcome.failed(RUN, call, (after.task, after.placement), trouble, NOW)
    assert again.placement.due == NOW + 2.0


def test_waiting_has_an_end() -> None:
    """However often nobody answered."""
    tired = on_a(tries=50)
    after = outcome.failed(RUN, LOOK, (a_task(S.RUNNING), tired), NOTHING, NOW)
    assert after.placement.due == NOW + 30.0


def test_what_is_taken_is_scheduled() -> None:
    """With its Transition, once."""
    after = outcome.sent(a_task(), chosen(tries=3, due=NOW), a_report(S.PENDING), NOW)
    assert (after.task.state, after.placement.accepted, after.placement.tries) == (
        S.SCHEDULED,
        True,
        0,
    )
    assert after.transition is not None
    assert outcome.sent(after.task, after.placement, a_report(S.PENDING), NOW).transition is None


def test_a_copy_that_was_there_already_is_asked_how_it_is() -> None:
    """It began under an older number, and tells nothing anew."""
    sent = outcome.sent(a_task(), chosen(), a_report(S.RUNNING), NOW)
    assert sent.placement.adopted
    looked = outcome.looked(RUN, sent.task, sent.placement, a_report(S.RUNNING), NOW)
    assert (looked.task.state, looked.placement.known) == (S.RUNNING, False)
    again = outcome.looked(RUN, looked.task, looked.placement, a_report(S.RUNNING), NOW)
    assert (again.transition, again.placement.known) == (None, True)


@pytest.mark.parametrize("code", ["not_allowed", "insufficient_resources"])
def test_a_node_that_refuses_is_remembered(code: str) -> None:
    """The task is nowhere again, and goes there no more for a while."""
    no = Refused(code=code, words="it is not to be")
    after = outcome.failed(RUN, SEND, (a_task(node="a"), chosen()), no, NOW)
    assert (after.placement.node, after.task.node, after.placement.number) == ("", "", 2)
    assert after.placement.refused_by(NOW) == {"a"}
    assert after.placement.refused_by(NOW + REFUSED_SECONDS) == frozenset()


@pytest.mark.parametrize("call", [SEND, TELL], ids=["send", "stop"])
def test_a_record_that_is_behind_catches_up(call: Call) -> None:
    """As after a backup was put back: with a greater number it is sent anew."""
    after = outcome.failed(RUN, call, (a_task(S.RUNNING), on_a()), STALE, NOW)
    assert (after.placement.number, after.placement.accepted) == (3, False)


def test_what_a_node_cleaned_away_has_ended_nobody_knows_how() -> None:
    """It took it once; one that never did is another matter."""
    over = Refused(code="task_ended", words="cleaned away")
    after = outcome.failed(RUN, SEND, (a_task(S.RUNNING), on_a(accepted=False)), over, NOW)
    assert (after.task.state, after.task.reason) == (S.FAILED, Reason.VANISHED)
    stopped = outcome.failed(STOP, SEND, (a_task(S.RUNNING), on_a(accepted=False)), over, NOW)
    assert (stopped.task.state, stopped.task.reason) == (S.COMPLETED, Reason.STOPPED)
    refused = outcome.failed(RUN, SEND, (a_task(), chosen()), over, NOW)
    assert (refused.task.state, refused.placement.node) == (S.PENDING, "")


def test_a_stop_of_what_is_not_there_is_done() -> None:
    """COMPLETED, as asked."""
    after = outcome.failed(RUN, TELL, (a_task(S.RUNNING), on_a()), UNKNOWN, NOW)
    assert (after.task.state, after.task.reason) == (S.COMPLETED, Reason.STOPPED)


def test_what_a_look_does_not_find_is_sent_again() -> None:
    """The node has lost it."""
    after = outcome.failed(RUN, LOOK, (a_task(S.RUNNING), on_a(known=False)), UNKNOWN, NOW)
    assert (after.placement.accepted, after.task.state) == (False, S.RUNNING)


@pytest.mark.parametrize("trouble", [UNKNOWN, STALE], ids=["unknown", "a newer one is there"])
def test_an_older_copy_that_is_not_there_is_gone(trouble: Trouble) -> None:
    """Or a newer one has its place."""
    before = on_a(stale=(OLD,))
    after = outcome.failed(RUN, CLEAR, (a_task(S.RUNNING), before), trouble, NOW)
    assert after.placement == on_a()


def test_a_stop_is_told_once_for_each_wish() -> None:
    """Its end comes as news."""
    after = outcome.stopped(STOP, a_task(S.RUNNING), on_a())
    assert (after.placement.stopped, after.task.state) == (STOP.seq, S.RUNNING)


def test_the_same_copy_is_the_same_event() -> None:
    """However often it is sent; another number is another event."""
    one = Placement(task_id="x", number=1)
    assert one.event_id == one.later(NOW).event_id
    assert one.event_id != one.on("a").event_id


def test_a_copy_where_an_older_one_is_takes_its_place() -> None:
    """The node adopts what runs there."""
    back = on_a(stale=(OLD,)).on("b")
    assert (back.number, back.stale, back.base) == (3, (), None)
