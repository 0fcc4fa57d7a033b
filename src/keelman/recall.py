"""What is on record of a task, brought in line with what can be. PURE.

The record may be older than the engine, or its times from before a clock jump; a container may be
older than the record.
"""

from __future__ import annotations

from keelman.ending import Ending
from keelman.policy import LONGEST_WAIT_SECONDS
from keelman.seen import Absent, Created, Exited, Running, Seen, Unknown
from keelman.task import Reason, Task


def in_line(task: Task, seen: Seen, now: float) -> Task:
    """The task as the step may take it."""
    return _caught_up(_mended(_within(task, now)), seen)


def _within(task: Task, now: float) -> Task:
    """Cut stored times that a clock jump made absurd to their own maximum."""
    ending = task.ending
    if ending is not None and ending.since > now:
        ending = Ending(why=ending.why, since=now, signalled=ending.signalled)
    ran = task.first_running
    first_running = None if ran is None else min(ran, now)
    due = min(task.due, now + LONGEST_WAIT_SECONDS)
    return task.but(due=due, ending=ending, first_running=first_running)


def of_another_life(task: Task, seen: Seen) -> str | None:
    """The container of this ID with another spec, from before the Db was lost; its id."""
    body = seen.body
    if task.attempt or isinstance(body, Absent | Unknown):
        return None
    return None if body.spec_hash in ("", task.spec.digest()) else body.container_id


def _mended(task: Task) -> Task:
    """A step that is made at all is past the worker's own error."""
    return (
        task.but(reason=Reason.NONE, message="") if task.reason is Reason.INTERNAL_ERROR else task
    )


def _caught_up(task: Task, seen: Seen) -> Task:
    """The engine's count of attempts is taken over where it is ahead.

    Either the container on record was given a new name, by which no start of it was asked yet. Or
    the Db is older than the engine, or made anew, and nobody knows what was asked of a container
    that is not on record.
    """
    body = seen.body
    if isinstance(body, Absent | Unknown) or body.attempt <= task.attempt:
        return task
    if body.container_id != task.container_id:
        return _of_another_container(task, body)
    return task.but(
        attempt=body.attempt,
        started=task.started if isinstance(body, Created) else body.attempt,
        renames=task.renames + body.attempt - task.attempt,
    )


def _of_another_container(task: Task, body: Created | Running | Exited) -> Task:
    """What was begun with the one before says nothing of this one: no ending, no Timeout."""
    task = task.but(attempt=body.attempt, container_id=body.container_id, started=body.attempt)
    if isinstance(body, Created):
        return task
    first_running = None if task.first_running is None else body.since
    return task.but(ending=None, retries=0, first_running=first_running)
