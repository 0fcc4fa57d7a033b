"""Whether a record and an engine keep the invariants I1 to I8: the table of them. PURE.

What is in flight is broken for a moment and no finding: look twice, and take what is `lasting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from keelman import audit_engine, audit_record
from keelman.facts import Broken, Facts
from keelman.task import State
from keelman.values import Value


class Finding(Value, frozen=True, kw_only=True):
    """An invariant that is broken, and whose task or container it is, where it is one's."""

    invariant: str
    task_id: str = ""
    container_id: str = ""
    words: str


class Invariant(NamedTuple):
    """`looked_at` says what there was to look at, `broken` what is wrong with it."""

    code: str
    rule: str
    looked_at: Callable[[Facts], str]
    broken: Callable[[Facts, float], Iterator[Broken]]


def audit(facts: Facts, now: float) -> list[Finding]:
    """What is broken at `now`, in seconds since the epoch."""
    return [
        Finding(invariant=one.code, **broken._asdict())
        for one in INVARIANTS
        for broken in one.broken(facts, now)
    ]


def lasting(first: Iterable[Finding], second: Iterable[Finding]) -> list[Finding]:
    """What two looks have found alike; a task that moved meanwhile has other words."""
    before = frozenset(first)
    return [finding for finding in second if finding in before]


# -- what there was to look at -------------------------------------------------------------------


def _lives(facts: Facts) -> str:
    live = sum(one.live for one in facts.ours)
    return f"{_tasks(len(facts.record.tasks))}, {_many(live, 'live container')}"


def _answers(facts: Facts) -> str:
    record = facts.record
    kept = (_many(len(record.answered), "event"), _many(len(record.wishes), "wish", "wishes"))
    return ", ".join((*kept, _tasks(len(record.tasks))))


def _containers(facts: Facts) -> str:
    return _many(len(facts.ours), "container")


def _moves(facts: Facts) -> str:
    moves = facts.record.transitions
    return f"{_many(len(moves), 'Transition')} of {_tasks(len({one.task_id for one in moves}))}"


def _running(facts: Facts) -> str:
    running = sum(task.state is State.RUNNING for task in facts.record.tasks)
    return f"{_containers(facts)}, {running} RUNNING"


def _one_shots(facts: Facts) -> str:
    return f"{_tasks(len(audit_record.without_policy(facts)))} without a restart policy"


def _failures(facts: Facts) -> str:
    failed = sum(move.to is State.FAILED for move in facts.record.transitions)
    return f"engine {facts.engine_id}, {_many(failed, 'Transition')} to FAILED"


def _stops(facts: Facts) -> str:
    return _many(sum(wish.stops for wish in facts.record.wishes), "stop")


def _tasks(number: int) -> str:
    return _many(number, "task")


def _many(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


INVARIANTS = (
    Invariant("I1", "at most one live container per task", _lives, audit_engine.one_lives),
    Invariant("I2", "what was answered is on disk", _answers, audit_record.answers_are_kept),
    Invariant(
        "I3",
        "every container of ours is tracked or removed",
        _containers,
        audit_engine.containers_are_tracked,
    ),
    Invariant(
        "I4",
        "only legal moves, numbered without gaps",
        _moves,
        audit_record.moves_are_legal,
    ),
    Invariant(
        "I5",
        "containers live on without the worker",
        _running,
        audit_engine.containers_outlive,
    ),
    Invariant(
        "I6",
        "without a restart policy one start per wish",
        _one_shots,
        audit_record.starts_once,
    ),
    Invariant(
        "I7",
        "no task fails for an engine's silence",
        _failures,
        audit_engine.silence_fails_nothing,
    ),
    Invariant(
        "I8",
        "a stop ends, or is told as stuck",
        _stops,
        audit_record.stops_end,
    ),
)
