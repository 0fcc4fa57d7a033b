"""Deliberate faults of a manager, to prove that the nets work: mistakes that somebody could make.

`planted(name)` puts one into the manager's code for as long as the context lasts.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest import mock

import msgspec

from keelman import moves
from keelman.machine import Resources
from keelman.manager import asking, assign, mirror, nodes, outcome, roster, state
from keelman.manager.assign import Sight, Step
from keelman.manager.calls import Send
from keelman.manager.follow import Follow
from keelman.manager.manager import Manager
from keelman.manager.mirror import Mirrored
from keelman.manager.news import Moved, News
from keelman.manager.node_client import NodeClient
from keelman.manager.nodes import Heard, Node, Patience, Status, Use
from keelman.manager.placement import Placement
from keelman.manager.roster import Tenant
from keelman.task import Reason, State, Task, Wish
from keelman.wire import TaskReport
from tests.simulation.faults import answers_first

Planted = dict[str, Any]  # what is replaced: "module attribute", and by what

_on, _moved, _hear, _record = Placement.on, assign._moved, state._hear, Manager._record
_status, _unusable, _read, _tenant = nodes.status, nodes.unusable, mirror.read, roster.tenant
_stop, _sent = assign._stop, outcome.sent


def keeps_the_number(self: Placement, node: str, **changes: Any) -> Placement:
    return _on(self, node, **changes).but(number=max(self.number, 1))


def forgets_the_old_copy(*given: Any) -> Step:
    step = _moved(*given)
    return msgspec.structs.replace(step, placement=step.placement.but(stale=()))


def forgets_what_was_seen(
    connection: sqlite3.Connection, name: str, rows: list[tuple[str, bytes]], seen: str
) -> None:
    """The first number stays, so that who connects again hears all of it once more."""
    (known,) = connection.execute("SELECT seen FROM nodes WHERE name = ?", (name,)).fetchone()
    _hear(connection, name, rows, known or seen)


async def sends_first(
    self: Manager, before: tuple[Task, Placement], step: Step, read: int | None = None
) -> None:
    """A new place is recorded when the node has the task."""
    if step.placement.number > before[1].number and step.placement.node in self.follow.clients:
        wish = self.queue.get(step.task.id)
        client = self.follow.clients[step.placement.node]
        assert wish is not None
        await asking.ask(client, wish, step, Send(copy=step.placement.here), self.clock)
    await _record(self, before, step, read)


def waits_for_ever(heard: Heard, patience: Patience, now: float) -> Status:
    return _status(heard, patience, min(now, heard.at + 1.0))


def has_no_patience(heard: Heard, patience: Patience, now: float) -> Status:
    status = _status(heard, patience, now)
    return Status.LOST if status is Status.SUSPECT else status


def overlooks_cordons(node: Node, heard: Heard, patience: Patience, now: float) -> str:
    opened = msgspec.structs.replace(node, use=Use.OPEN)
    return _unusable(opened, heard, patience, now)


def believes_any_copy(
    wish: Wish | None, task: Task, placement: Placement, news: News, now: float
) -> Mirrored:
    """What an older copy does is taken for what the task does."""
    if isinstance(news, Moved) and placement.node:
        move = msgspec.structs.replace(news.move, generation=placement.number)
        news = Moved(node=placement.node, move=move)
    return _read(wish, task, placement, news, now)


def counts_what_runs(task: Task, placement: Placement) -> Tenant:
    """What was placed and not taken yet needs no room."""
    found = _tenant(task, placement)
    return found if found.taken else msgspec.structs.replace(found, asked=Resources())


async def lists_nothing(self: Follow, name: str, client: NodeClient) -> str:
    """After a gap it is followed from what comes next."""
    _, seen = await client.listed()
    await self._state.hear(name, [], seen)
    return seen


def believes_a_stop(wish: Wish, task: Task, placement: Placement, sight: Sight, now: float) -> Step:
    """A stop of what is on a lost node is done."""
    if placement.node and not assign._heard(placement.node, sight):
        done = moves.finished(task, State.COMPLETED, Reason.STOPPED, now)
        return Step(task=done.task, placement=placement, transition=done.transition)
    return _stop(wish, task, placement, sight, now)


def takes_it_for_new(task: Task, placement: Placement, report: TaskReport, now: float) -> Step:
    """That a node had a copy already is not noticed."""
    new = msgspec.structs.replace(report, state=State.PENDING)
    return _sent(task, placement, new, now)


def runs_nowhere(*given: Any) -> Step:
    """A task whose node was removed is said to be what it was."""
    _, task, placement, _, _ = given
    return Step(task=task, placement=placement.nowhere())


FAULTS: dict[str, Planted] = {
    "number-not-raised": {"keelman.manager.placement.Placement.on": keeps_the_number},
    "old-copy-forgotten": {"keelman.manager.assign._moved": forgets_the_old_copy},
    "news-taken-twice": {"keelman.manager.state._hear": forgets_what_was_seen},
    "sent-before-recorded": {"keelman.manager.manager.Manager._record": sends_first},
    "never-lost": {"keelman.manager.nodes.status": waits_for_ever},
    "lost-at-once": {"keelman.manager.nodes.status": has_no_patience},
    "cordon-overlooked": {"keelman.manager.nodes.unusable": overlooks_cordons},
    "drained-at-once": {"keelman.manager.assign._over": lambda *given: True},
    "any-copy-believed": {"keelman.manager.mirror.read": believes_any_copy},
    "left-copies-overlooked": {
        "keelman.manager.mirror._left": lambda task, placement, news: placement
    },
    "promise-not-counted": {"keelman.manager.roster.tenant": counts_what_runs},
    "gap-overlooked": {"keelman.manager.follow.Follow.take_all": lists_nothing},
    "stop-believed": {"keelman.manager.assign._stop": believes_a_stop},
    "adoption-overlooked": {"keelman.manager.outcome.sent": takes_it_for_new},
    "clock-trusted": {
        "keelman.manager.placement.Placement.within": lambda self, now, drain_seconds: self
    },
    "not-waited-for": {"keelman.manager.alone.over_at": lambda task, heard: heard},
    "runs-nowhere": {"keelman.manager.assign._removed": runs_nowhere},
    "answer-before-commit": {"keelman.queue.Queue.put": answers_first},
}


def planted(name: str) -> AbstractContextManager[None]:
    """The manager with one of the FAULTS in it."""
    stack = ExitStack()
    for target, instead in FAULTS[name].items():
        stack.enter_context(mock.patch(target, instead))
    return stack  # type: ignore[return-value]
