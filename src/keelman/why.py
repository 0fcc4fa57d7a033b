"""Why a task is where it is, and what comes next, in words: the Explanation. PURE.

The answer is the real decision's: the step is `reconcile.step`'s. Nothing is decided here, only
told. Times are told from the moment of the answer; `At` is what a program goes by.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from keelman import ahead, waits
from keelman.admission import Known, shown
from keelman.explanation import Asked, Block, Blocker, Explanation
from keelman.health import Health
from keelman.moves import exit_words
from keelman.seen import (
    Absent,
    Body,
    Created,
    Exited,
    Image,
    Refused,
    Running,
    Unavailable,
    Unknown,
)
from keelman.situation import Parked, Situation, Unrecorded
from keelman.task import State, Task, Transition, Wish
from keelman.words import about, ago, headline


def explain(here: Situation) -> Explanation:
    """All of it, from one situation."""
    task = shown(Known(wish=here.wish, task=here.task)) or here.task
    by = _by(here)
    next_words = ahead.next_words(here)
    at = _at(here, by)
    return Explanation(
        id=task.id,
        name=task.spec.name,
        state=task.state,
        summary=_summary(here, by, next_words),
        because=_because(here),
        blocked=Block(by=by, message=waits.block_words(here, by)),
        next=next_words,
        at=None if at is None else datetime.fromtimestamp(at, UTC),
        wish=_asked(here.wish),
        seen=_sight(here.seen.body),
    )


def _by(here: Situation) -> Blocker:
    """What the task waits for: a mishap of the worker's before all else."""
    match here.beside.mishap:
        case Parked():
            return Blocker.INTERNAL_ERROR
        case Unrecorded():
            return Blocker.CANNOT_RECORD
        case None:
            return here.waits_for
        case mishap:
            assert_never(mishap)


def _at(here: Situation, by: Blocker) -> float | None:
    """When Next comes; None when only an event or a wish changes anything."""
    if here.beside.mishap is not None:
        return max(here.beside.mishap.until, here.at)
    if ahead.step_words(here.step):
        return here.at
    return waits.kept_until(here) if by is Blocker.RETENTION else here.step.wake


def _asked(wish: Wish | None) -> Asked | None:
    return None if wish is None else Asked(wants="stop" if wish.stops else "run", seq=wish.seq)


def _sight(body: Body) -> str:
    match body:
        case Absent():
            return "absent"
        case Created():
            return "created"
        case Running():
            return "running"
        case Exited():
            return "exited"
        case Unknown():
            return "unknown"
        case _:
            assert_never(body)


# -- summary -------------------------------------------------------------------------------------


def _summary(here: Situation, by: Blocker, next_words: str) -> str:
    """One sentence: what it waits for, or where it stands and what is done now."""
    if by is not Blocker.NOTHING:
        return waits.summary(here, by)
    if ahead.step_words(here.step):
        return f"{_stands(here)}; the worker is about to {next_words}."
    return f"{_stands(here)}."


def _stands(here: Situation) -> str:
    """Where it stands, when nothing holds it up."""
    if here.task.state is State.PENDING:
        return "It is not taken up yet"
    if here.task.state.ended and here.step.transition is not None:
        return f"It {_HAS_ENDED[here.task.state]}, and a newer wish asks for it again"
    match here.seen.body:
        case Absent(image=image):
            return _without_container(image)
        case Created(refused=refused):
            return _made(refused)
        case Running() as body:
            return f"It runs{_health(here.step.task, body)}{_left(here)}"
        case Exited() as body:
            return f"Its process is gone ({exit_words(body)})"
        case Unknown():
            return "Nothing is known of its container"
        case body:
            assert_never(body)


def _without_container(image: Image) -> str:
    if isinstance(image, Unavailable):
        return f"Its image cannot be had ({headline(image.message)})"
    return "It has no container"


def _made(refused: Refused | None) -> str:
    if refused is not None:
        return f"The engine refused to start its container ({headline(refused.message)})"
    return "Its container is made and does not run"


_HAS_ENDED = {State.COMPLETED: "has completed", State.FAILED: "has failed"}


def _health(task: Task, body: Running) -> str:
    """What its probes say, in their own words."""
    words = f" ({headline(body.health_words)})" if body.health_words else ""
    match task.health:
        case Health.NONE:
            return ""
        case Health.STARTING:
            return f", and no probe has passed yet{words}"
        case Health.HEALTHY:
            return f", and its probes pass{words}"
        case Health.UNHEALTHY:
            return f", and its probes fail{words}"
        case health:
            assert_never(health)


def _left(here: Situation) -> str:
    deadline = here.step.task.deadline
    if deadline is None or here.step.task.state is not State.RUNNING:
        return ""
    return f", for {about(deadline - here.at)} more at most: its Timeout"


# -- because -------------------------------------------------------------------------------------

# How a task came along each edge; {n} is the attempt that the Transition tells of.
MOVES: dict[tuple[State, State], str] = {
    (State.PENDING, State.SCHEDULED): "it was taken up",
    (State.PENDING, State.COMPLETED): "it was stopped before it was taken up",
    (State.PENDING, State.FAILED): "it could not run",
    (State.SCHEDULED, State.SCHEDULED): "attempt {n} could not start, and a restart was due",
    (State.SCHEDULED, State.RUNNING): "attempt {n} began to run",
    (State.SCHEDULED, State.COMPLETED): "it was stopped before it ran",
    (State.SCHEDULED, State.FAILED): "it could not start",
    (State.RUNNING, State.RUNNING): "its health changed",
    (State.RUNNING, State.SCHEDULED): "attempt {n} ended, and a restart was due",
    (State.RUNNING, State.COMPLETED): "attempt {n} ended",
    (State.RUNNING, State.FAILED): "attempt {n} ended",
    (State.FAILED, State.SCHEDULED): "it was asked for again",
    (State.COMPLETED, State.SCHEDULED): "a higher Generation asked for it again",
}


def _because(here: Situation) -> str:
    """How it came here: its last move, and what is on record about it."""
    told = _came(here.beside.last, here)
    words = headline(here.task.message) or here.task.reason
    return f"{told}: {words}" if words else told


def _came(last: Transition | None, here: Situation) -> str:
    if last is not None:
        words = MOVES[last.from_, last.to].format(n=last.attempt)
        return f"{words}, {ago(here.at - last.time)}"
    if here.task.state is not State.PENDING:
        return "how it came here is no longer in the log"
    return "it was asked for" if here.wish else "its container was found, and was not on record"
