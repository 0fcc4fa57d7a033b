"""What a call to a node comes to: the records after it. PURE.

No answer means that nothing is known: the same is asked again. A refusal is taken at its word.
"""

from __future__ import annotations

from keelman import moves
from keelman.manager import mirror
from keelman.manager.assign import Step
from keelman.manager.calls import Call, Clear, Look, NoAnswer, Refused, Send, Stop, Trouble
from keelman.manager.placement import REFUSED_SECONDS, Copy, Placement
from keelman.task import Reason, State, Task, Wish
from keelman.wire import TaskReport

GONE = ("unknown_task",)
OVER = ("task_ended", "task_completed")


def sent(task: Task, placement: Placement, report: TaskReport, now: float) -> Step:
    """The node has it on disk; or had it already, of an older number, and tells nothing anew."""
    placement = placement.but(accepted=True, taken=True, known=False, tries=0, due=0.0)
    placement = placement.but(adopted=report.state is not State.PENDING)
    if task.state is State.PENDING:
        up = moves.scheduled(task, now)
        return Step(task=up.task, placement=placement, transition=up.transition, wake=now)
    return Step(task=task, placement=placement, wake=now)


def stopped(wish: Wish, task: Task, placement: Placement) -> Step:
    """The node has the stop on disk; its end comes as news."""
    placement = placement.but(stopped=wish.seq, known=False, tries=0, due=0.0)
    return Step(task=task, placement=placement)


def looked(wish: Wish, task: Task, placement: Placement, report: TaskReport, now: float) -> Step:
    """What its Transitions do not tell."""
    told = mirror.looked(wish, task, placement, report, now)
    return Step(task=told.task, placement=told.placement, transition=told.transition, wake=now)


def cleared(task: Task, placement: Placement, copy: Copy, now: float) -> Step:
    """An older copy has ended, or is not there."""
    placement = placement.without(copy).but(tries=0, due=0.0)
    return Step(task=task, placement=placement, wake=now)


def waiting(task: Task, placement: Placement, now: float) -> Step:
    """It is not so yet: asked again later."""
    placement = placement.later(now)
    return Step(task=task, placement=placement, wake=placement.due)


def failed(
    wish: Wish, call: Call, records: tuple[Task, Placement], error: Trouble, now: float
) -> Step:
    """A call came to nothing."""
    task, placement = records
    if isinstance(error, NoAnswer) or error.later:
        return waiting(task, placement, now)
    match call:
        case Send():
            return _not_sent(wish, task, placement, error, now)
        case Clear(copy=copy):  # unknown there, or a newer one has its place
            return cleared(task, placement, copy, now)
        case Stop() if error.code in GONE:
            return _never_there(task, placement, now)
        case Look() if error.code in GONE:
            return Step(task=task, placement=placement.but(accepted=False, known=True), wake=now)
        case Stop() | Look():
            return _outdated(task, placement, error, now)


def _not_sent(wish: Wish, task: Task, placement: Placement, error: Refused, now: float) -> Step:
    if error.code == "stale_generation":
        return _outdated(task, placement, error, now)
    if error.code in OVER and placement.taken:
        return _end_unknown(wish, task, placement, now)
    placement = placement.refused(error.words, now, REFUSED_SECONDS)
    return Step(task=task.but(node=""), placement=placement, wake=now)


def _outdated(task: Task, placement: Placement, error: Refused, now: float) -> Step:
    """The node knows a greater number than this record, which was put back from a backup."""
    if error.code != "stale_generation":
        return waiting(task, placement, now)
    placement = placement.but(number=placement.number + 1, accepted=False, taken=False)
    return Step(task=task, placement=placement, wake=now)


def _end_unknown(wish: Wish, task: Task, placement: Placement, now: float) -> Step:
    """It ended there while nobody listened, and the node has forgotten how."""
    if wish.stops:
        return _never_there(task, placement, now)
    words = f"it ended on node {placement.node}, which does not know any more how"
    after = task.to(
        State.FAILED, reason=Reason.VANISHED, message=words, finish_time=now, host_ports={}
    )
    done = moves.moved(task, after, now)
    return Step(task=after, placement=placement.but(known=True), transition=done.transition)


def _never_there(task: Task, placement: Placement, now: float) -> Step:
    """Nothing is left of it on its node, and it was to be stopped."""
    done = moves.finished(task, State.COMPLETED, Reason.STOPPED, now)
    return Step(task=done.task, placement=placement.but(known=True), transition=done.transition)
