"""Explanations, each from a situation in one short call, and what must hold of every one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from keelman.explanation import Blocker, Explanation
from keelman.moves import Step
from keelman.reconcile import step
from keelman.seen import (
    Absent,
    Action,
    Create,
    Created,
    Exited,
    Kill,
    Pull,
    Remove,
    Rename,
    Running,
    Seen,
    Signal,
    Start,
    Unknown,
)
from keelman.situation import Beside, Situation
from keelman.task import State, Task, Wish
from keelman.why import explain
from tests.unit.given import NOW

SIGHTS = {
    Absent: "absent",
    Created: "created",
    Running: "running",
    Exited: "exited",
    Unknown: "unknown",
}


def explained(
    wish: Wish | None, task: Task, sight: Seen, now: float = NOW, **beside: Any
) -> Explanation:
    """The Explanation of a task on which the real rules decide."""
    after = step(wish, task, sight, now)
    return explain(
        Situation(wish=wish, task=task, seen=sight, step=after, at=now, beside=Beside(**beside))
    )


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def seconds_of(told: Explanation) -> float | None:
    """At, from NOW on."""
    return None if told.at is None else told.at.timestamp() - NOW


# -- what must hold of every one -----------------------------------------------------------------


def check_explanation(wish: Wish | None, task: Task, sight: Seen, now: float = NOW) -> Explanation:
    """It says something of everything, and nothing but what the step says."""
    after, told = step(wish, task, sight, now), explained(wish, task, sight, now)
    check_words(told)
    check_time(told, after, now)
    check_deed(told, after)
    check_wait(told, task, sight, after, now)
    assert told.seen == SIGHTS[type(sight.body)]
    assert (told.wish is None) == (wish is None)
    return told


def check_words(told: Explanation) -> None:
    for words in (told.summary, told.because, told.next):
        assert words, told
        assert words == words.strip(), told
        assert "\n" not in words, told
    assert told.summary.endswith(".")
    assert bool(told.blocked.by) == bool(told.blocked.message)


def check_time(told: Explanation, after: Step, now: float) -> None:
    """What is done now is done now; what waits says until when it does."""
    if acts(after):
        assert told.at == moment(now)
    elif after.wake is not None:
        assert told.at == moment(after.wake)
    else:
        assert (told.at is not None) == after.task.state.ended


def acts(after: Step) -> bool:
    return after.action is not None or after.transition is not None or after.forget


def check_deed(told: Explanation, after: Step) -> None:
    """A move, an action and a forgetting are each named."""
    if after.transition is not None:
        assert f"record it as {after.transition.to.name}" in told.next
    if after.action is not None:
        assert name_of(after.action) in told.next
    if after.forget:
        assert "drop its record" in told.next
    if acts(after) and told.blocked.by == Blocker.NOTHING:
        assert "is about to" in told.summary


def name_of(action: Action) -> str:
    match action:
        case Pull(image=image):
            return f"pull {image}"
        case Create(attempt=attempt):
            return f"create the container of attempt {attempt}"
        case Start(container_id=container_id):
            return f"start container {container_id}"
        case Rename(attempt=attempt):
            return f"name its container for attempt {attempt}"
        case Signal(signal=signal):
            return f"send {signal}"
        case Kill():
            return "send KILL"
        case Remove(container_id=container_id):
            return f"remove container {container_id}"


def check_wait(told: Explanation, task: Task, sight: Seen, after: Step, now: float) -> None:
    """A task that sleeps waits for something, unless it runs and nothing is to be done."""
    by = told.blocked.by
    assert (by == Blocker.ENGINE) == isinstance(sight.body, Unknown)
    if acts(after):
        assert by in {Blocker.NOTHING, Blocker.CONTAINER, Blocker.PROCESS}
        return
    if by == Blocker.NOTHING:
        assert isinstance(sight.body, Running)
        assert task.state is State.RUNNING
    if by == Blocker.BACK_OFF:
        assert now < after.task.due
    if by == Blocker.SLOT:
        assert not sight.slot
    if by == Blocker.PROCESS:
        assert isinstance(sight.body, Running)
    if by == Blocker.RETENTION:
        assert task.state.ended
