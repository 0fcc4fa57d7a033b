"""What a node's news make of the manager's own record of a task. PURE.

One piece of news may take several moves, one after another, so that the manager's log has no holes
either: what was placed is SCHEDULED before it is RUNNING, also where only the end was heard.

The spec is the manager's own: of what a node says of it nothing is taken, for a node hides values
of Env. Its words are taken without those, as a worker takes those of its engine.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from keelman import hiding, moves
from keelman.health import Health
from keelman.manager.news import Listed, Missing, Moved, News, lives, number_of
from keelman.manager.placement import Copy, Placement
from keelman.task import Reason, State, Task, Transition, Wish
from keelman.wire import TaskReport, TransitionReport

DEAF_SECONDS = 10.0  # so long another node is better than one that did not hear the manager
_UP = (State.SCHEDULED, State.RUNNING)
_HEALTH = {"healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY}


class Mirrored(Struct, frozen=True, kw_only=True):
    """The records after a piece of news, a move to log, and whether that was all of it."""

    task: Task
    placement: Placement
    transition: Transition | None = None
    all: bool = True


def read(wish: Wish | None, task: Task, placement: Placement, news: News, now: float) -> Mirrored:
    """The next move that a piece of news makes. News of an older copy make none."""
    if (news.node, number_of(news)) != (placement.node, placement.number) or task.state.ended:
        return Mirrored(task=task, placement=_left(task, placement, news))
    if isinstance(news, Missing):
        return Mirrored(task=task, placement=placement.but(accepted=False))
    placement = placement.but(accepted=True, taken=True, known=False, tries=0, due=0.0)
    if task.state is State.PENDING:
        return _mirrored(moves.scheduled(task, now), placement, more=True)
    match news:
        case Moved(move=move):
            placement = placement.based(move.attempt, task.attempt)
            return _moved(wish, task, placement, move, now)
        case Listed(report=report):
            if report.attempt:
                placement = placement.based(report.attempt, task.attempt)
            return _listed(wish, task, placement, report, now)


def _left(task: Task, placement: Placement, news: News) -> Placement:
    """A copy that lives and is not the present one is left over, however it came there.

    Its node was removed and has joined again, or a request arrived after it was given up. One of an
    older number on the task's own node is the present one: what it does while it is told its new
    number is only seen by another look.
    """
    if news.node == placement.node and not task.state.ended:
        return placement.but(known=placement.known and not placement.adopted)
    if not lives(news):
        return placement
    return placement.beside(Copy(node=news.node, number=number_of(news)))


def _mirrored(step: moves.Step, placement: Placement, *, more: bool = False) -> Mirrored:
    return Mirrored(task=step.task, placement=placement, transition=step.transition, all=not more)


# -- Transitions -----------------------------------------------------------------------------------


def _moved(
    wish: Wish | None, task: Task, placement: Placement, move: TransitionReport, now: float
) -> Mirrored:
    move = msgspec.structs.replace(move, message=hiding.words(move.message, task.spec.env))
    at, attempt = move.time.timestamp(), placement.attempt_of(move.attempt)
    task = task.but(attempt=max(task.attempt, attempt), container_id=move.container_id)
    match move.to:
        case _ if placement.adopted and _is_told(task, placement, move):
            return Mirrored(task=task, placement=placement)
        case _ if move.from_ is State.RUNNING and task.state is State.SCHEDULED:
            ran = msgspec.structs.replace(move, to=State.RUNNING, reason="", message="")
            return _mirrored(_runs(task, ran, at), placement, more=True)
        case State.SCHEDULED if move.from_ in _UP:
            return _mirrored(_restarted(task, reason(move.reason), move, at), placement)
        case State.RUNNING:
            return _mirrored(_runs(task, move, at), placement)
        case State.FAILED if move.reason == Reason.DISCONNECTED and not _stops(wish):
            placement = placement.refused("it did not hear the manager", now, DEAF_SECONDS)
            homeless = _restarted(task, Reason.DISCONNECTED, move, at, node="")
            return _mirrored(homeless, placement)
        case State.COMPLETED | State.FAILED:
            return _mirrored(_ended(wish, task, move, at), placement)
        case _:  # it took it up, which is known
            return Mirrored(task=task, placement=placement)


def _is_told(task: Task, placement: Placement, move: TransitionReport) -> bool:
    """Whether it was seen already, in the whole Task, that it had moved there."""
    attempt = placement.attempt_of(move.attempt)
    if move.to is State.SCHEDULED:
        return attempt < task.attempt
    starts = move.to is State.RUNNING and move.from_ is not State.RUNNING
    return attempt < task.attempt or (starts and task.state is State.RUNNING)


def _restarted(
    task: Task, why: Reason, move: TransitionReport, at: float, **changes: object
) -> moves.Step:
    after = moves.next_attempt(task, why, move.message, move.exit_code, **changes)
    return moves.moved(task, after, at)


def _runs(task: Task, move: TransitionReport, at: float) -> moves.Step:
    began = task.start_time if task.state is State.RUNNING else at
    after = task.to(
        State.RUNNING,
        start_time=began,
        reason=reason(move.reason),
        message=move.message,
        exit_code=None,
        health=_HEALTH.get(move.reason, task.health),
    )
    return moves.moved(task, after, at)


def _ended(wish: Wish | None, task: Task, move: TransitionReport, at: float) -> moves.Step:
    """A stop has the last word: what failed meanwhile was stopped, too."""
    stopped = _stops(wish) and move.to is State.FAILED
    after = task.to(
        State.COMPLETED if stopped else move.to,
        reason=Reason.STOPPED if stopped else reason(move.reason),
        message=move.message,
        exit_code=move.exit_code,
        finish_time=at,
        health=Health.NONE,
        host_ports={},
    )
    return moves.moved(task, after, at)


def _stops(wish: Wish | None) -> bool:
    return wish is not None and wish.stops


# -- the whole Task --------------------------------------------------------------------------------


def _listed(
    wish: Wish | None, task: Task, placement: Placement, report: TaskReport, now: float
) -> Mirrored:
    """After a gap: the moves that lead from what is on record to what is."""
    if (move := _next(task, placement, report, now)) is None:
        task = task.but(attempt=max(task.attempt, placement.attempt_of(report.attempt)))
        return Mirrored(task=detailed(task, placement, report), placement=known(placement))
    mirrored = _moved(wish, task, placement, move, now)
    over = mirrored.task.state.ended or not mirrored.placement.node
    return msgspec.structs.replace(mirrored, all=over)


def _next(
    task: Task, placement: Placement, report: TaskReport, now: float
) -> TransitionReport | None:
    """The move that comes next, as if the node had told of it."""
    newer = placement.attempt_of(report.attempt) > task.attempt
    match task.state, report.state:
        case State.RUNNING, State.SCHEDULED | State.PENDING:
            return _told(report, task, State.SCHEDULED, task.attempt - (placement.base or 0), now)
        case State.RUNNING, State.RUNNING if newer:
            return _told(report, task, State.SCHEDULED, task.attempt - (placement.base or 0), now)
        case State.SCHEDULED, State.RUNNING:
            return _told(report, task, State.RUNNING, report.attempt, _at(report.start_time, now))
        case State.SCHEDULED, State.COMPLETED | State.FAILED if report.start_time is not None:
            return _told(report, task, State.RUNNING, report.attempt, _at(report.start_time, now))
        case ((State.SCHEDULED | State.RUNNING), (State.COMPLETED | State.FAILED)):
            return _told(report, task, report.state, report.attempt, _at(report.finish_time, now))
        case _:
            return None


def _told(report: TaskReport, task: Task, to: State, attempt: int, at: float) -> TransitionReport:
    """As the node tells it: a restart tells of the attempt that ended."""
    return TransitionReport(
        seq=0,
        task_id=task.id,
        generation=report.generation,
        attempt=attempt,
        from_=task.state,
        to=to,
        time=datetime.fromtimestamp(at, UTC),
        reason=report.reason if to in (report.state, State.SCHEDULED) else "",
        message=report.message if to in (report.state, State.SCHEDULED) else "",
        exit_code=report.exit_code if to.ended else None,
        container_id=report.container_id,
    )


def _at(when: datetime | None, now: float) -> float:
    return now if when is None else when.timestamp()


def looked(
    wish: Wish, task: Task, placement: Placement, report: TaskReport, now: float
) -> Mirrored:
    """The node was asked how it is. Of a copy that it had already that is all it tells."""
    if placement.adopted and report.generation == placement.number and not task.state.ended:
        if report.attempt:
            placement = placement.based(report.attempt, task.attempt)
        return _listed(wish, task, placement, report, now)
    return Mirrored(task=detailed(task, placement, report), placement=known(placement))


# -- what Transitions do not tell ------------------------------------------------------------------


def detailed(task: Task, placement: Placement, report: TaskReport) -> Task:
    """The Task with what the node's report tells beside its State, which comes as news."""
    if not _fits(task, placement, report):
        return task
    return task.but(
        container_id=report.container_id,
        host_ports=report.host_ports,
        start_time=_seconds(report.start_time),
        finish_time=_seconds(report.finish_time),
        exit_code=report.exit_code,
        reason=Reason.STOPPED if _stopped(task, report) else reason(report.reason),
        message=hiding.words(report.message, task.spec.env),
        health=Health(report.health) if report.health in set(Health) else task.health,
    )


def known(placement: Placement) -> Placement:
    """What was asked for is in the Task, or is about to come as news."""
    return placement.but(known=True, tries=0, due=0.0)


def _fits(task: Task, placement: Placement, report: TaskReport) -> bool:
    """Whether it is of the same moment: else other news are on their way."""
    if (
        report.generation != placement.number
        or placement.attempt_of(report.attempt) != task.attempt
    ):
        return False
    return report.state is task.state or _stopped(task, report)


def _stopped(task: Task, report: TaskReport) -> bool:
    return task.state is State.COMPLETED and report.state is State.FAILED


def _seconds(when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()


def reason(code: str) -> Reason:
    """A node's Reason; one of a newer node's, which is not known here, is none."""
    return Reason(code) if code in set(Reason) else Reason.NONE
