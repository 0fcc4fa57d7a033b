"""The invariants of what the engine has, beside what is on record: I1, I3, I5, I7. PURE."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from keelman import ladder
from keelman.facts import Broken, Facts
from keelman.runtime import Container
from keelman.task import Reason, State, Task

# Within this the worker does what is due, on a slow engine too: two of its own lists.
BOUND_SECONDS = 60.0

NO_RESTART = ("", "no")
# What FAILED never stands for: silence, the worker's own error, and what is only shown.
NO_FAILURES = frozenset(
    {
        *(Reason.NONE, Reason.STOPPED, Reason.INTERNAL_ERROR, Reason.STUCK),
        *(Reason.HEALTHY, Reason.PULLING),
    }
)


# -- I1 ------------------------------------------------------------------------------------------


def one_lives(facts: Facts, _now: float) -> Iterator[Broken]:
    """Copies that somebody made of a container are not ours, and none of our business."""
    live = sorted((one for one in facts.ours if one.live), key=lambda one: one.task_id)
    for task_id, group in groupby(live, key=lambda one: one.task_id):
        *others, newest = group
        for one in others:
            words = f"attempt {one.attempt} lives beside attempt {newest.attempt}"
            yield Broken(f"{words}, container {newest.container_id}", task_id, one.container_id)


# -- I3 ------------------------------------------------------------------------------------------


def containers_are_tracked(facts: Facts, now: float) -> Iterator[Broken]:
    """Each has its record, or is on its way to be removed."""
    tasks = facts.record.by_id
    for one in facts.ours:
        if (task := tasks.get(one.task_id)) is not None:
            words = _astray(one, task, now)
        elif one.task_id in facts.record.tombstones:
            words = "it is left of a task that was cleaned away"
        else:
            words = "its task is not on record"
        if words:
            yield Broken(words, one.task_id, one.container_id)


def _astray(one: Container, task: Task, now: float) -> str:
    """What is wrong with a container of a task on record; empty when nothing is."""
    if one.attempt > task.attempt or one.generation > task.generation:
        made = f"attempt {one.attempt}, Generation {one.generation}"
        return f"{made}, newer than its record: {task.attempt}, {task.generation}"
    if one.live and task.state.ended and not is_ending(task, now):
        return f"it lives, and its task is {task.state.name}"
    if one.attempt == task.attempt or (task.state.ended and not one.live):
        return ""
    if not one.live and task.state is State.SCHEDULED and now < task.due + BOUND_SECONDS:
        return ""  # it is removed when its successor is due
    verb = "lives" if one.live else "is left"
    return f"it {verb} of attempt {one.attempt}, and its task is at attempt {task.attempt}"


def is_ending(task: Task, now: float) -> bool:
    """Whether it goes down the ladder, and no rung is long overdue."""
    if task.ending is None or task.ending.signalled > 2:
        return False
    return now < ladder.due(task, now) + BOUND_SECONDS


# -- I5 ------------------------------------------------------------------------------------------


def containers_outlive(facts: Facts, _now: float) -> Iterator[Broken]:
    """Nobody but the worker restarts or removes them, and what is RUNNING runs."""
    lives = set[tuple[str, int]]()
    for one in facts.ours:
        if one.live:
            lives.add((one.task_id, one.attempt))
        if one.restart_policy not in NO_RESTART:
            words = f"the engine's own restart policy for it is {one.restart_policy}"
            yield Broken(words, one.task_id, one.container_id)
        if one.auto_remove:
            yield Broken("the engine removes it when it ends", one.task_id, one.container_id)
    if not facts.foreign:
        for task in facts.record.tasks:
            if task.state is State.RUNNING and (task.id, task.attempt) not in lives:
                words = f"it is RUNNING, and no container of attempt {task.attempt} lives"
                yield Broken(words, task.id, task.container_id)


# -- I7 ------------------------------------------------------------------------------------------


def silence_fails_nothing(facts: Facts, _now: float) -> Iterator[Broken]:
    """The engine is the right one, and no FAILED stands for its silence."""
    if facts.foreign:
        words = f"engine {facts.engine_id} is here, and the record is of"
        yield Broken(f"{words} {facts.record.engine_id}")
    for move in facts.record.transitions:
        if move.to is State.FAILED and move.reason in NO_FAILURES:
            reason = f"with Reason {move.reason}" if move.reason else "without a Reason"
            yield Broken(f"Transition {move.seq} is to FAILED {reason}", move.task_id)
    yield from _not_vanished(facts)


def _not_vanished(facts: Facts) -> Iterator[Broken]:
    there = {(one.task_id, one.attempt): one.container_id for one in facts.ours}
    for task in facts.record.tasks:
        container_id = there.get((task.id, task.attempt))
        if task.state is State.FAILED and task.reason is Reason.VANISHED and container_id:
            words = f"it FAILED as vanished, and its container of attempt {task.attempt} is there"
            yield Broken(words, task.id, container_id)
