"""What a task waits for, read off the step that was decided for it. PURE.

No rule is made here: a step that acts is not waiting, and one that waits has in its own record and
sight what for.
"""

from __future__ import annotations

from typing import assert_never

from keelman import ladder, policy, recall
from keelman.explanation import Blocker
from keelman.moves import Step
from keelman.seen import (
    Absent,
    Create,
    Created,
    Exited,
    Image,
    Kill,
    Present,
    Pull,
    Pulling,
    Remove,
    Rename,
    Running,
    Seen,
    Signal,
    Start,
    Unknown,
)
from keelman.task import State, Task


def blocker(task: Task, seen: Seen, step: Step, now: float) -> Blocker:
    """What stands before the next move of `task`; nothing if it is made now, or none is due."""
    if isinstance(seen.body, Unknown):
        return Blocker.ENGINE
    if step.transition is not None or step.forget:
        return Blocker.NOTHING
    match step.action:
        case None:
            return _waited_for(seen, step.task, now)
        case Signal() | Kill():
            return Blocker.PROCESS
        case Remove() as action:
            return _in_the_way(task, seen, step.task, action)
        case Pull() | Create() | Rename() | Start():
            return Blocker.NOTHING
        case action:
            assert_never(action)


def _in_the_way(before: Task, seen: Seen, task: Task, action: Remove) -> Blocker:
    """What a removal makes room for; nothing if it is what was asked for."""
    if seen.others or recall.of_another_life(before, seen) is not None:
        return Blocker.CONTAINER
    match seen.body:
        case Running() if ladder.is_rung(task, action):
            return Blocker.PROCESS
        case Created() | Running() | Exited() as body:
            older = not task.state.ended and body.attempt < task.attempt
            return Blocker.CONTAINER if older else Blocker.NOTHING
        case Absent() | Unknown():
            return Blocker.NOTHING
        case body:
            assert_never(body)


def _waited_for(seen: Seen, task: Task, now: float) -> Blocker:
    """What a step waits for that does nothing now."""
    match seen.body:
        case Running() if task.ending is not None:
            return Blocker.PROCESS
        case _ if task.state.ended:
            return Blocker.RETENTION
        case _ if task.state is State.SCHEDULED and now < task.due:
            return Blocker.BACK_OFF
        case Absent(image=image) if is_coming(task, image):
            return Blocker.PULL
        case Absent() | Created():
            return Blocker.NOTHING if seen.slot else Blocker.SLOT
        case Running() | Exited() | Unknown():
            return Blocker.NOTHING
        case body:
            assert_never(body)


def is_coming(task: Task, image: Image) -> bool:
    """Whether a pull is under way that the task waits for, also with the image here already."""
    if isinstance(image, Present):
        return isinstance(image.pull, Pulling) and policy.pulls_anew(task)
    return isinstance(image, Pulling)
