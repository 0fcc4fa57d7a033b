"""Invariants I1 to I8: a sound world has no finding, and each that is broken is told by its own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from keelman import db
from keelman.audit import INVARIANTS, Finding, audit, lasting
from keelman.audit_engine import BOUND_SECONDS, NO_FAILURES
from keelman.audit_record import TOMBSTONE_SECONDS
from keelman.ending import Ending, Why
from keelman.facts import Answered, Damage, Facts, Record
from keelman.runtime import Container
from keelman.task import Reason, State, Wish
from tests.unit.given_facts import (
    ADOPTED,
    DONE,
    ENGINE,
    FAILS,
    GONE,
    NOW,
    ONCE,
    RUNS,
    SOUND,
    STOPS,
    STRAY,
    WAITS,
    WORKER,
    C,
    F,
    P,
    R,
    S,
    a_container,
    a_spec,
    a_task,
    holding,
    logged,
    moves_of,
    numbered,
    recorded,
    with_container,
    with_move,
    with_task,
    without_container,
)
from tests.unit.given_wire import an_id

LOG = SOUND.record.transition_seq


def found(facts: Facts, now: float = NOW) -> list[tuple[str, str, str]]:
    """What an audit says, without the words."""
    return [(one.invariant, one.task_id, one.container_id) for one in audit(facts, now)]


def the_words(facts: Facts, now: float = NOW) -> str:
    (finding,) = audit(facts, now)
    return finding.words


def ending(signalled: int, seconds_ago: float, why: Why = Why.STOPPED) -> Ending:
    return Ending(why=why, since=NOW - seconds_ago, signalled=signalled)


def test_a_sound_world_has_no_finding() -> None:
    assert audit(SOUND, NOW) == []


def test_an_empty_world_has_no_finding() -> None:
    assert audit(Facts(record=Record(worker=WORKER), engine_id=ENGINE), NOW) == []


def test_the_invariants_are_those_of_the_design_in_their_order() -> None:
    assert [one.code for one in INVARIANTS] == [f"I{number}" for number in range(1, 9)]


def test_what_was_looked_at_is_counted() -> None:
    assert {one.code: one.looked_at(SOUND) for one in INVARIANTS} == {
        "I1": "7 tasks, 3 live containers",
        "I2": "7 events, 6 wishes, 7 tasks",
        "I3": "7 containers",
        "I4": f"{LOG} Transitions of 7 tasks",
        "I5": "7 containers, 2 RUNNING",
        "I6": "6 tasks without a restart policy",
        "I7": "engine FAKE, 2 Transitions to FAILED",
        "I8": "2 stops",
    }


# -- I1 ------------------------------------------------------------------------------------------


def test_two_that_live_are_one_too_many() -> None:
    """The one on record was renamed, and another took its place."""
    renamed = with_task(RUNS, with_container(RUNS, name="renamed"), container_id="c-runs")
    twice = holding(a_container(RUNS, container_id="c-2"), facts=renamed)
    assert found(twice) == [("I1", RUNS, "c-runs")]
    assert "attempt 1 lives beside attempt 1, container c-2" in the_words(twice)


def test_each_that_lives_beside_the_newest_is_told() -> None:
    facts = with_task(RUNS, attempt=3, started=3)
    facts = holding(a_container(RUNS, 2), a_container(RUNS, 3), facts=facts)
    told = [one for one in found(facts) if one[0] == "I1"]
    assert told == [("I1", RUNS, "c-runs"), ("I1", RUNS, f"c-{RUNS}-2")]


@pytest.mark.parametrize(
    "other",
    [
        a_container(RUNS, container_id="c-2", name=f"keelman-{WORKER}-{RUNS}-2"),
        a_container(RUNS, container_id="c-2", worker="w-2"),
        a_container(RUNS, container_id="c-2", name="copy"),
    ],
    ids=["a name of another attempt", "another worker's", "a copy"],
)
def test_one_whose_name_and_labels_differ_is_not_ours(other: Container) -> None:
    assert found(holding(other)) == []


# -- I2 ------------------------------------------------------------------------------------------

LOST = Answered(event_id="e-lost", task_id=an_id(99))


@pytest.mark.parametrize(
    ("facts", "task_id", "words"),
    [
        (recorded(answered=(LOST,)), an_id(99), "event e-lost was answered, and nothing is left"),
        (recorded(journal_mode="delete"), "", "journal is delete, not wal"),
        (recorded(complaints=("row 3 missing",)), "", "the database is damaged: row 3 missing"),
        (
            recorded(damage=(Damage(task_id=RUNS, words="its task cannot be read"),)),
            RUNS,
            "its task cannot be read",
        ),
        (recorded(wish_seq=7), STRAY, "its wish is number 8, and only 7 were given out"),
        (with_task(RUNS, wish=5), RUNS, "it serves wish 5, which is not in the queue"),
        (with_task(ADOPTED, wish=7), ADOPTED, "it serves wish 7, which is not in the queue"),
    ],
    ids=["a task", "the journal", "the file", "a row", "the counter", "a wish", "the only wish"],
)
def test_what_was_answered_and_is_not_there_is_told(facts: Facts, task_id: str, words: str) -> None:
    assert found(facts) == [("I2", task_id, "")]
    assert words in the_words(facts)


def test_an_event_outlives_all_but_its_tombstone() -> None:
    """Retention empties its answer; a tombstone is as good as a task."""
    gone = Answered(event_id="e", task_id=GONE)
    forgotten = Answered(event_id="f", task_id=an_id(99), emptied=True)
    adopted = Answered(event_id="g", task_id=ADOPTED)  # a stop that found it ended
    assert found(recorded(answered=(gone, forgotten, adopted))) == []


# -- I3 ------------------------------------------------------------------------------------------

NOBODY = an_id(99)
STRAY_ID = f"c-{STRAY}-2"


@pytest.mark.parametrize(
    ("facts", "task_id", "container_id", "words"),
    [
        (
            holding(a_container(NOBODY, live=False)),
            NOBODY,
            f"c-{NOBODY}-1",
            "its task is not on record",
        ),
        (
            holding(a_container(GONE, live=False)),
            GONE,
            f"c-{GONE}-1",
            "left of a task that was cleaned away",
        ),
        (with_task(STRAY, ending=None), STRAY, STRAY_ID, "it lives, and its task is COMPLETED"),
        (
            with_task(STRAY, ending=ending(3, 5, Why.STRAY)),
            STRAY,
            STRAY_ID,
            "it lives, and its task is COMPLETED",
        ),
        (
            with_task(STRAY, ending=ending(2, 11 + BOUND_SECONDS, Why.STRAY)),
            STRAY,
            STRAY_ID,
            "it lives, and its task is COMPLETED",
        ),
        (
            with_task(WAITS, due=NOW - BOUND_SECONDS),
            WAITS,
            f"c-{WAITS}-1",
            "it is left of attempt 1, and its task is at attempt 2",
        ),
        (
            with_container(WAITS, live=True, exit_code=None),
            WAITS,
            f"c-{WAITS}-1",
            "it lives of attempt 1, and its task is at attempt 2",
        ),
        (
            holding(a_container(RUNS, 2, live=False)),
            RUNS,
            f"c-{RUNS}-2",
            "attempt 2, Generation 0, newer than its record: 1, 0",
        ),
        (
            with_container(DONE, generation=3),
            DONE,
            f"c-{DONE}-1",
            "attempt 1, Generation 3, newer than its record: 1, 0",
        ),
    ],
    ids=[
        *("no record", "a tombstone", "a live one of an ended task", "its ladder was in vain"),
        *("its ladder stands still", "overdue", "an older one that lives", "a newer one"),
        "one of a higher Generation",
    ],
)
def test_one_that_nobody_looks_after_is_told(
    facts: Facts, task_id: str, container_id: str, words: str
) -> None:
    assert found(facts) == [("I3", task_id, container_id)]
    assert words in the_words(facts)


def test_one_left_of_an_earlier_attempt_beside_the_present_one_is_told() -> None:
    facts = holding(a_container(FAILS, live=False))
    assert found(facts) == []  # ended: it goes with its task
    facts = with_task(RUNS, attempt=2, started=2, due=NOW - 1)
    facts = holding(a_container(RUNS, 2), facts=facts)
    containers = tuple(
        msgspec.structs.replace(one, live=False) if one.container_id == "c-runs" else one
        for one in facts.containers
    )
    facts = msgspec.structs.replace(facts, containers=containers)
    assert found(facts) == [("I3", RUNS, "c-runs")]


@pytest.mark.parametrize(
    "stray",
    [ending(0, 59), ending(1, 10 + 59), ending(2, 10 + 59)],
    ids=["signal", "grace", "kill"],
)
def test_a_stray_that_is_being_ended_is_in_flight(stray: Ending) -> None:
    assert found(with_task(STRAY, ending=stray)) == []


# -- I4 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "task_id", "words"),
    [
        (recorded(transition_seq=LOG + 1), "", f"the log ends with Transition {LOG}, and its"),
        (with_task(DONE, state=F), DONE, "it is FAILED, and its last Transition, 9, was to COMPL"),
        (with_task(ADOPTED, state=S), ADOPTED, "it is SCHEDULED, and the log has nothing of it"),
        (
            logged(moves_of(an_id(50), (S, R), (R, C))),
            an_id(50),
            f"Transition {LOG + 1} is its first, and from SCHEDULED",
        ),
        (
            logged(moves_of(an_id(50), *ONCE)),
            an_id(50),
            f"its last Transition, {LOG + 2}, was to RUNNING, and it is not on record",
        ),
        (
            logged(moves_of(DONE, (C, S), (S, R), (R, C))),
            DONE,
            "leaves COMPLETED, and Generation 0 is not higher",
        ),
        (
            logged(moves_of(DONE, (F, S), (S, R), (R, C), generation=1)),
            DONE,
            "is from FAILED, and 9 before it was to COMPLETED",
        ),
        (
            logged(moves_of(DONE, *ONCE, (R, C))),
            DONE,
            "is from PENDING, and 9 before it was to COMPLETED",
        ),
        (
            logged(moves_of(an_id(50), (P, S), (S, P), (P, C))),
            an_id(50),
            "is from SCHEDULED to PENDING: no edge",
        ),
    ],
    ids=[
        *("its counter", "another state", "no Transition"),
        *("not from its beginning", "a lost record", "COMPLETED left", "a leap"),
        *("begun anew too soon", "no edge"),
    ],
)
def test_a_move_that_cannot_be_is_told(facts: Facts, task_id: str, words: str) -> None:
    assert found(facts) == [("I4", task_id, "")]
    assert words in the_words(facts)


def test_a_gap_in_the_log_is_told() -> None:
    log = numbered(moves_of(GONE, *ONCE, (R, C)))
    later = numbered(moves_of(an_id(50), (P, C)), first=5)
    record = Record(
        worker=WORKER,
        transitions=(*log, *later),
        transition_seq=5,
        tombstones=frozenset({GONE, an_id(50)}),
    )
    facts = Facts(record=record, engine_id=ENGINE)
    assert found(facts) == [("I4", "", "")]
    assert the_words(facts) == "after Transition 3 the log goes on with 5"


def test_a_trimmed_log_may_begin_anywhere() -> None:
    """Of what was trimmed nothing is known."""
    log = numbered(moves_of(an_id(50), (R, C)), first=7)
    task = a_task(an_id(51), R)
    record = Record(worker=WORKER, tasks=(task.but(wish=0),), transitions=log, transition_seq=7)
    alive = (a_container(an_id(51)),)
    assert found(Facts(record=record, engine_id=ENGINE, containers=alive)) == []


def test_an_id_may_begin_anew_when_its_tombstone_is_gone() -> None:
    """A week after its end."""
    moves = moves_of(GONE, *ONCE, (R, C))
    late = [msgspec.structs.replace(one, time=NOW - 50 + TOMBSTONE_SECONDS) for one in moves]
    assert found(logged(late)) == []
    early = [msgspec.structs.replace(one, time=NOW - 51 + TOMBSTONE_SECONDS) for one in moves]
    assert found(logged(early)) == [("I4", GONE, "")]
    assert TOMBSTONE_SECONDS == db.TOMBSTONE_SECONDS
    assert found(logged(moves_of(RUNS, (P, S), (S, R), time=late[0].time))) == [("I4", RUNS, "")]


# -- I5 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "container_id", "words"),
    [
        (
            with_container(RUNS, restart_policy="always"),
            "c-runs",
            "the engine's own restart policy for it is always",
        ),
        (with_container(RUNS, auto_remove=True), "c-runs", "the engine removes it when it ends"),
        (
            with_container(RUNS, live=False, exit_code=0),
            "",
            "it is RUNNING, and no container of attempt 1 lives",
        ),
        (without_container(RUNS), "", "it is RUNNING, and no container of attempt 1 lives"),
    ],
    ids=["a restart policy", "auto-remove", "an ended one", "none"],
)
def test_one_that_depends_on_the_worker_is_told(
    facts: Facts, container_id: str, words: str
) -> None:
    assert found(facts) == [("I5", RUNS, container_id)]
    assert words in the_words(facts)


@pytest.mark.parametrize("name", ["", "no"])
def test_no_restart_policy_has_two_names(name: str) -> None:
    assert found(with_container(RUNS, restart_policy=name)) == []


# -- I6 ------------------------------------------------------------------------------------------

AGAIN = logged(moves_of(RUNS, (R, S), (S, R)))


@pytest.mark.parametrize("name", ["", "no"])
def test_a_second_start_under_one_wish_is_told(name: str) -> None:
    facts = with_task(RUNS, AGAIN, spec=a_spec(restart_policy=name))
    assert found(facts) == [("I6", RUNS, "")]
    assert the_words(facts) == "it has no restart policy, and was started 2 times"


@pytest.mark.parametrize("name", ["always", "unless-stopped", "on-failure", "on-failure:1"])
def test_a_policy_may_start_it_again(name: str) -> None:
    assert found(with_task(RUNS, AGAIN, spec=a_spec(restart_policy=name))) == []


# -- I7 ------------------------------------------------------------------------------------------


def test_another_engine_is_told_and_nothing_that_follows_from_it() -> None:
    careless = a_container(RUNS, 2, restart_policy="always")
    facts = msgspec.structs.replace(SOUND, engine_id="OTHER", containers=(careless,))
    assert found(facts) == [("I7", "", "")]
    assert the_words(facts) == "engine OTHER is here, and the record is of FAKE"


def test_a_record_that_met_no_engine_yet_is_of_any() -> None:
    assert found(recorded(engine_id=None)) == []


LAST_OF_FAILS = 15


@pytest.mark.parametrize("reason", sorted(NO_FAILURES))
def test_a_failure_that_stands_for_silence_is_told(reason: Reason) -> None:
    facts = with_move(LAST_OF_FAILS, reason=reason)
    assert found(facts) == [("I7", FAILS, "")]
    assert f"Transition {LAST_OF_FAILS} is to FAILED" in the_words(facts)


@pytest.mark.parametrize("reason", sorted(set(Reason) - NO_FAILURES))
def test_a_failure_that_was_one_is_sound(reason: Reason) -> None:
    assert found(with_move(LAST_OF_FAILS, reason=reason)) == []


def test_a_container_that_was_said_to_have_vanished_and_is_there_is_told() -> None:
    facts = with_task(FAILS, reason=Reason.VANISHED)
    assert found(facts) == [("I7", FAILS, f"c-{FAILS}-2")]
    assert "it FAILED as vanished, and its container of attempt 2 is there" in the_words(facts)
    gone = [one for one in facts.containers if one.task_id != FAILS]
    assert found(msgspec.structs.replace(facts, containers=tuple(gone))) == []


def test_a_task_may_be_on_its_way_up_again_after_it_vanished() -> None:
    """Its Reason tells of the attempt before."""
    facts = with_task(WAITS, reason=Reason.VANISHED, due=NOW - 1)
    containers = tuple(one for one in SOUND.containers if one.task_id != WAITS)
    made = a_container(WAITS, 2, live=False)
    assert found(msgspec.structs.replace(facts, containers=(*containers, made))) == []


# -- I8 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"wish": 5}, "its stop, wish 6, is not taken up"),
        ({"ending": None}, "not told as stuck: it is not being ended"),
        ({"ending": ending(0, 60)}, "not told as stuck: rung 0"),
        ({"ending": ending(1, 10 + 60)}, "not told as stuck: rung 1"),
        ({"ending": ending(1, 3 + 60), "spec": a_spec(stop_timeout=3)}, "rung 1"),
        ({"ending": ending(2, 10 + 60)}, "not told as stuck: rung 2"),
        ({"ending": ending(3, 1)}, "not told as stuck: rung 3"),
    ],
    ids=["not taken up", "no ladder", "signal", "grace", "a short grace", "kill", "force"],
)
def test_a_stop_that_does_not_end_is_told(task: dict[str, Any], words: str) -> None:
    facts = with_task(STOPS, **task)
    told = audit(facts, NOW)
    assert [(one.invariant, one.task_id) for one in told if one.invariant != "I2"] == [
        ("I8", STOPS)
    ]
    assert words in told[-1].words


@pytest.mark.parametrize(
    "task",
    [
        {"ending": ending(0, 59)},
        {"ending": ending(1, 10 + 59)},
        {"ending": ending(1, 30 + 59), "spec": a_spec(stop_timeout=30)},
        {"ending": ending(2, 10 + 59)},
        {"ending": ending(3, 1000), "reason": Reason.STUCK},
        {"ending": None, "reason": Reason.STUCK},
    ],
    ids=["signal", "grace", "a long grace", "kill", "stuck", "a container that stays"],
)
def test_a_stop_in_time_or_told_as_stuck_is_sound(task: dict[str, Any]) -> None:
    assert found(with_task(STOPS, **task)) == []


def test_a_stop_of_what_is_not_on_record_is_told() -> None:
    facts = recorded(wishes=(*SOUND.record.wishes, _stop_of(an_id(99), 7)))
    assert found(facts) == [("I8", an_id(99), "")]


def test_a_task_that_failed_before_its_stop_has_ended() -> None:
    wishes = [one for one in SOUND.record.wishes if one.task_id != FAILS]
    assert found(recorded(wishes=(*wishes, _stop_of(FAILS, 7)))) == []


def _stop_of(task_id: str, seq: int) -> Wish:
    wish = next(one for one in SOUND.record.wishes if one.stops)
    return msgspec.structs.replace(wish, task_id=task_id, seq=seq)


# -- two looks -----------------------------------------------------------------------------------


def test_only_what_both_looks_show_is_lasting() -> None:
    first = audit(with_task(STOPS, ending=ending(1, 100)), NOW)
    moved = audit(with_task(STOPS, ending=ending(2, 100)), NOW)
    assert first
    assert moved
    assert lasting(first, first) == first
    assert lasting(first, moved) == []
    assert lasting([], first) == lasting(first, []) == []


def test_a_task_in_another_attempt_has_moved() -> None:
    """One that starts and dies again and again is RUNNING without a container at both looks."""

    def at(attempt: int) -> list[Finding]:
        facts = with_task(RUNS, without_container(RUNS), attempt=attempt, started=attempt)
        return audit(facts, NOW)

    assert lasting(at(1), at(1))
    assert lasting(at(1), at(2)) == []


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED])
def test_time_alone_changes_no_words(state: State) -> None:
    """What stands still is found at both looks, however long the wait between them is."""
    facts = with_task(STRAY, with_task(STOPS, ending=ending(3, 1)), ending=None, state=state)
    assert lasting(audit(facts, NOW), audit(facts, NOW + 1000)) == audit(facts, NOW)
