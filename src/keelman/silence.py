"""What becomes of a task whose `StopAfterDisconnect` is over: nobody asks for it any more. PURE."""

from __future__ import annotations

import msgspec

from keelman import moves
from keelman.moves import Step
from keelman.seen import Exited, Seen
from keelman.task import Reason, State, Task

A_MOMENT = 1e-3  # seconds: an alarm by one clock is not before its time by another


def is_over(task: Task, seen: Seen) -> bool:
    """Whether nobody was heard for as long as the task bears."""
    most = task.spec.stop_after_disconnect
    return bool(most) and seen.silence >= most


def in_time(step: Step, seen: Seen, now: float) -> Step:
    """The step, looked at again when its time is over if nobody is heard until then."""
    most = step.task.spec.stop_after_disconnect
    if not most or step.task.state.ended or is_over(step.task, seen):
        return step
    at = now + most - seen.silence + A_MOMENT
    return msgspec.structs.replace(step, wake=at if step.wake is None else min(step.wake, at))


def ended(step: Step | None, task: Task, now: float, *, ran: Exited | None = None) -> Step:
    """The end that came of itself (`step`), where that is one: it is not started again."""
    if step is not None and step.task.state is not State.SCHEDULED:
        return step
    task = task.but(ending=None)
    return moves.finished(task, State.FAILED, Reason.DISCONNECTED, now, ran=ran)
