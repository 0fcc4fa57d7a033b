"""What the tests of the manager's pure core begin with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from keelman import wire
from keelman.manager.assign import NodeView, Sight, Step, step
from keelman.manager.news import Listed, Missing, Moved, News
from keelman.manager.nodes import Status, Use
from keelman.manager.placement import Copy, Placement
from keelman.task import State, Task, Wish
from keelman.wire import TaskReport, TransitionReport
from tests.unit.given import NOW, TASK_ID, a_task

READY, LOST = NodeView(status=Status.READY), NodeView(status=Status.LOST)
SUSPECT = NodeView(status=Status.SUSPECT)
DRAINING = NodeView(status=Status.READY, use=Use.DRAINING)
NOWHERE = Placement(task_id=TASK_ID)
OLD = Copy(node="b", number=1)


def on_a(**known: Any) -> Placement:
    """Placed on node a under number 2, and known there."""
    usual = {"number": 2, "node": "a", "accepted": True, "taken": True, "known": True, "base": 0}
    return Placement(task_id=TASK_ID, **{**usual, **known})


def chosen(**known: Any) -> Placement:
    """Node a was chosen, and has not said yet that it took it."""
    return on_a(accepted=False, taken=False, known=False, base=None, **known)


def a_sight(**seen: Any) -> Sight:
    return Sight(**{"nodes": {"a": READY}, **seen})


def decided(wish: Wish, task: Task, placement: Placement, **seen: Any) -> Step:
    return step(wish, task, placement, a_sight(**seen), NOW)


def a_move(from_: State, to: State, *, number: int = 2, **told: Any) -> TransitionReport:
    usual: dict[str, Any] = {"reason": "", "message": "", "exit_code": None, "container_id": "c"}
    at = datetime.fromtimestamp(NOW - 1, UTC)
    return TransitionReport(
        **{
            "seq": 1,
            "task_id": TASK_ID,
            "generation": number,
            "attempt": 1,
            "time": at,
            **usual,
            "from_": from_,
            "to": to,
            **told,
        }
    )


def moved(from_: State, to: State, *, node: str = "a", number: int = 2, **told: Any) -> News:
    return Moved(node=node, move=a_move(from_, to, number=number, **told))


def a_report(state: State, *, number: int = 2, **known: Any) -> TaskReport:
    """What a node reports of the task in that state."""
    return wire.report(a_task(state, **{"generation": number, **known}))


def listed(state: State, *, node: str = "a", **known: Any) -> News:
    return Listed(node=node, report=a_report(state, **known))


def missing(*, node: str = "a", number: int = 2) -> News:
    return Missing(node=node, number=number)
