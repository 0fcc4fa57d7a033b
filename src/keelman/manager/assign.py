"""What to do next for one task of the cluster: all the rules. PURE.

`step` is asked with what is wished, what is recorded and what is heard of the nodes, and answers
with the records as they are to be, at most one call to a node, whether the task wants a place, and
when to look again. What a call comes to is `outcome`'s. It never acts and never waits.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from keelman import moves
from keelman.manager import alone, mirror
from keelman.manager.calls import Call, Clear, Look, Send, Stop
from keelman.manager.news import News
from keelman.manager.nodes import Status, Use
from keelman.manager.placement import Copy, Placement
from keelman.manager.scheduler import Placed, Unplaced
from keelman.task import Reason, State, Task, Transition, Wish

DRAIN_SECONDS = 300.0  # a drained copy is stopped then, also if its successor does not run
WORDS_MOST = 2000


class NodeView(Struct, frozen=True, kw_only=True):
    """A node as a step may know it; `heard` is when, in seconds since the epoch."""

    status: Status
    use: Use = Use.OPEN
    heard: float = 0.0


class Sight(Struct, frozen=True, kw_only=True):
    """All that a step may know beside what is on record.

    `nodes` are those that the task is on or was on: what is missing there was removed. `place` is
    what the scheduler decided for it, if it did. `expired`: retention wants it gone.
    """

    news: News | None = None
    nodes: Mapping[str, NodeView] = {}
    place: Placed | Unplaced | None = None
    expired: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """The records as they are to be, a move to log, whether the news are read, at most one call.

    `wants`: the scheduler is to find it a place. `wake` is in seconds since the epoch; None means
    that only a wish, news, a node or the scheduler changes anything.
    """

    task: Task
    placement: Placement
    transition: Transition | None = None
    read: bool = False
    call: Call | None = None
    wants: bool = False
    wake: float | None = None
    forget: bool = False


def step(wish: Wish, task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """The next step for one task, from what is desired, recorded, and seen."""
    placement = placement.within(now, DRAIN_SECONDS)
    if not task.state.ended:
        task = task.but(wish=wish.seq, generation=max(wish.generation, task.generation))
    if sight.news is not None:
        return _read(wish, task, placement, sight.news, now)
    if task.state.ended:
        return _ended(wish, task, placement, sight, now)
    if placement.node and placement.node not in sight.nodes:
        return _removed(wish, task, placement, sight, now)
    if wish.stops:
        return _stop(wish, task, placement, sight, now)
    return _run(task, placement, sight, now)


def _read(wish: Wish, task: Task, placement: Placement, news: News, now: float) -> Step:
    told = mirror.read(wish, task, placement, news, now)
    return Step(task=told.task, placement=told.placement, transition=told.transition, read=told.all)


def _removed(wish: Wish, task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """Its node is no longer one, and its copy there is forgotten."""
    gone = placement.nowhere()
    if wish.stops:
        return _stop(wish, task, gone, sight, now)
    if task.state is State.PENDING:
        return Step(task=task, placement=gone)
    words = f"node {placement.node} was removed"
    after = moves.next_attempt(task, Reason.NODE_LOST, words, None, node="")
    return Step(task=after, placement=gone, transition=moves.moved(task, after, now).transition)


# -- ended -----------------------------------------------------------------------------------------


def _ended(wish: Wish, task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    if wish.begins_anew(task):
        return _begun_again(wish, task, placement, now)
    if wish.stops:
        task = task.but(wish=max(wish.seq, task.wish))
    if not placement.known and _heard(placement.node, sight):
        return _called(task, placement, Look(copy=placement.here), now)
    if sight.expired and not placement.stale:
        return Step(task=task, placement=placement, forget=True)
    return _rest(task, placement, sight, now)


def _begun_again(wish: Wish, task: Task, placement: Placement, now: float) -> Step:
    """SCHEDULED at once, since PENDING is left only once; it has no place yet."""
    begun = moves.begun_again(wish, task.but(node=""), now)
    placement = placement.nowhere().but(refusals=())
    return Step(task=begun.task, placement=placement, transition=begun.transition)


# -- stopping --------------------------------------------------------------------------------------


def _stop(wish: Wish, task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """A copy that may be on its way is sent once more before it is stopped: then it is known."""
    if not placement.node:
        done = moves.finished(task, State.COMPLETED, Reason.STOPPED, now)
        return Step(task=done.task, placement=placement, transition=done.transition)
    if not _heard(placement.node, sight):
        return Step(task=task, placement=placement)
    if not placement.accepted:
        return _send(task, placement, sight, now)
    if placement.stopped < wish.seq:
        return _called(task, placement, Stop(copy=placement.here), now)
    if placement.adopted and not placement.known:
        return _called(task, placement, Look(copy=placement.here), now)
    return _rest(task, placement, sight, now)


# -- running ---------------------------------------------------------------------------------------


def _run(task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    if not placement.node:
        return _find_place(task, placement, sight, now)
    if not _heard(placement.node, sight):
        return _lost(task, placement, sight, now)
    if sight.nodes[placement.node].use is Use.DRAINING and not _being_replaced(placement, sight):
        return _move(task, placement, sight, Reason.DRAINED, now)
    return _attend(task, placement, sight, now)


def _attend(task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """Where it is, is where it is to be."""
    if not placement.accepted:
        return _send(task, placement, sight, now)
    if not placement.known:
        return _called(task, placement, Look(copy=placement.here), now)
    return _rest(task, placement, sight, now)


def _send(task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """Where it is alone, not before each older copy is gone, or must be."""
    for copy in placement.stale if alone.is_alone(task) else ():
        view = sight.nodes.get(copy.node)
        if view is None:
            continue
        if view.status is not Status.LOST:
            return _called(task, placement, Clear(copy=copy), now)
        if (over := alone.over_at(task, view.heard)) > now:
            return Step(task=task, placement=placement, wake=over)
    return _called(task, placement, Send(copy=placement.here), now)


def _lost(task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """Its node is silent for too long. Where it is alone, it may still run there for a while."""
    over = alone.over_at(task, sight.nodes[placement.node].heard)
    if over <= now or not alone.is_alone(task):
        return _move(task, placement, sight, Reason.NODE_LOST, now)
    words = f"node {placement.node} is lost; it waits until its copy there must have been stopped"
    task = task.but(reason=Reason.NODE_LOST, message=words)
    return Step(task=task, placement=placement.but(known=False), wake=over)


def _find_place(task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    match sight.place:
        case Placed(node=node):
            task = task.but(node=node, reason=Reason.NONE, message="")
            return Step(task=task, placement=placement.on(node), wake=now)
        case Unplaced(reasons=reasons):
            task = task.but(node="", reason=Reason.NO_NODE, message=unplaced_words(reasons))
        case None:
            task = task.but(node="")
    return _wanting(_rest(task, placement, sight, now))


def _move(task: Task, placement: Placement, sight: Sight, why: Reason, now: float) -> Step:
    """To another node, if there is one; it stays where it is until then."""
    match sight.place:
        case Placed(node=node) if node != placement.node:
            return _moved(task, placement, node, why, now)
        case _ if why is Reason.DRAINED:
            return _wanting(_attend(task, placement, sight, now))
        case Unplaced(reasons=reasons):
            words = f"node {placement.node} is lost; {unplaced_words(reasons)}"
            task, placement = task.but(reason=why, message=words), placement.but(known=False)
        case _:
            pass
    return _wanting(_rest(task, placement, sight, now))


def _wanting(step: Step) -> Step:
    return Step(
        task=step.task, placement=step.placement, call=step.call, wake=step.wake, wants=True
    )


def _moved(task: Task, placement: Placement, node: str, why: Reason, now: float) -> Step:
    """Away from a node: the copy there is stopped when that is heard, or its successor runs."""
    until = now + DRAIN_SECONDS if why is Reason.DRAINED else 0.0
    old = Copy(node=placement.node, number=placement.number, until=until)
    placement = placement.on(node, stale=(*placement.stale, old))
    if task.state is State.PENDING:  # nobody has said that it was taken
        task = task.but(node=node, reason=Reason.NONE, message="")
        return Step(task=task, placement=placement, wake=now)
    lost = f"node {old.node} is lost" if why is Reason.NODE_LOST else f"node {old.node} is drained"
    after = moves.next_attempt(task, why, f"{lost}; placed on {node}", None, node=node)
    done = moves.moved(task, after, now)
    return Step(task=after, placement=placement, transition=done.transition)


def unplaced_words(reasons: Mapping[str, str]) -> str:
    """Why a task fits nowhere."""
    if not reasons:
        return "there is no node"
    words = "; ".join(f"{node}: {why}" for node, why in sorted(reasons.items()))
    return f"no node takes it: {words}"[:WORDS_MOST]


# -- at rest ---------------------------------------------------------------------------------------


def _rest(task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """Nothing is to be done where it is; older copies elsewhere may be left."""
    for copy in placement.stale:
        if copy.node not in sight.nodes:
            return Step(task=task, placement=placement.without(copy))
        if _heard(copy.node, sight) and _over(task, placement, copy, now):
            return _called(task, placement, Clear(copy=copy), now)
    ahead = [copy.until for copy in placement.stale if copy.until > now]
    return Step(task=task, placement=placement, wake=min(ahead, default=None))


def _over(task: Task, placement: Placement, copy: Copy, now: float) -> bool:
    """Whether an older copy's time is over: its successor runs, or is not waited for."""
    runs = task.state is State.RUNNING and placement.accepted
    return copy.until <= now or runs or task.state.ended


def _being_replaced(placement: Placement, sight: Sight) -> bool:
    """One by one: an older copy of it is still about."""
    return any(copy.node in sight.nodes and copy.until for copy in placement.stale)


def _heard(node: str, sight: Sight) -> bool:
    """Whether it is worth asking a node."""
    view = sight.nodes.get(node)
    return view is not None and view.status is not Status.LOST


def _called(task: Task, placement: Placement, call: Call, now: float) -> Step:
    if placement.due > now:
        return Step(task=task, placement=placement, wake=placement.due)
    return Step(task=task, placement=placement, call=call)
