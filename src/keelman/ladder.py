"""The ladder by which a container is ended: stop signal, KILL, force removal, and on. PURE.

`Ending.signalled` counts the rungs taken. Each is recorded after it was tried, so that a crash
tries it once more, and an engine that fails on one still gets to the next in time.
"""

from __future__ import annotations

from keelman.ending import Ending, Why
from keelman.moves import Step
from keelman.seen import Action, Kill, Remove, Running, Signal
from keelman.task import Reason, Task

ANSWER_WAIT_SECONDS = 10.0
KILL_WAIT_SECONDS = 10.0
REMOVE_WAIT_SECONDS = 30.0


def descend(task: Task, body: Running, why: Why, now: float) -> Step:
    """One rung of the ladder: stop signal, KILL, force removal, and that again for ever."""
    if task.ending is None:
        task = task.but(ending=Ending(why=why, since=now))
    wake = due(task, now)
    if now < wake:
        return Step(task=task, wake=wake)
    return Step(task=told(task), action=rung(task, body))


def due(task: Task, now: float) -> float:
    """When the next rung is to be taken, in seconds since the epoch."""
    ending = task.ending
    if ending is None:
        return now
    waits = {0: 0.0, 1: float(task.spec.grace_seconds), 2: KILL_WAIT_SECONDS}
    return ending.since + waits.get(ending.signalled, REMOVE_WAIT_SECONDS)


def rung(task: Task, body: Running) -> Action:
    """The action of the next rung. The signal is the task's, the image's, or the usual one."""
    match task.ending.signalled if task.ending else 0:
        case 0:
            signal = task.spec.stop_signal or body.stop_signal or "SIGTERM"
            return Signal(container_id=body.container_id, signal=signal)
        case 1:
            return Kill(container_id=body.container_id)
        case _:
            return Remove(container_id=body.container_id)


def told(task: Task) -> Task:
    """The task as reported once KILL did not help: stuck, until its process is gone."""
    if task.ending is None or task.ending.signalled < 2:
        return task
    return stuck(task, "its process outlives KILL; removal by force is tried again and again")


def stuck(task: Task, words: str) -> Task:
    """The task whose container does not go away; one that has ended keeps its own Reason."""
    return task if task.state.ended else task.but(reason=Reason.STUCK, message=words)


def freed(task: Task) -> Task:
    """The task once what it was stuck with is gone."""
    return task.but(reason=Reason.NONE, message="") if task.reason is Reason.STUCK else task


def is_rung(task: Task, action: Action) -> bool:
    if isinstance(action, Signal | Kill):
        return True
    late = task.ending is not None and task.ending.signalled >= 2
    return isinstance(action, Remove) and late


def in_vain(task: Task, now: float) -> bool:
    """Whether a rung went unanswered for so long that it counts as taken."""
    return now >= due(task, now) + ANSWER_WAIT_SECONDS


def taken(task: Task, now: float) -> Task:
    """The task with one more rung behind it."""
    if task.ending is None:
        return task
    after = Ending(why=task.ending.why, since=now, signalled=task.ending.signalled + 1)
    return task.but(ending=after)


def failed(task: Task, words: str, now: float) -> Task:
    """The task with a rung behind it that the engine failed on."""
    after = taken(task, now)
    return after if task.state.ended else after.but(message=words)
