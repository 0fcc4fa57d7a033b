"""Why a task is where it is: its node's own Explanation, or why it has no node."""

from __future__ import annotations

import asyncio
from enum import StrEnum

import msgspec

from keelman.answers import ClientError, NotTrusted, Unreachable
from keelman.explanation import Asked, Block, Blocker, Explanation
from keelman.manager.manager import Manager
from keelman.manager.nodes import Status
from keelman.task import Task

ANSWER_SECONDS = 10.0


class Blocked(StrEnum):
    """What a task may wait for at the manager, beside what it waits for on its node."""

    NO_NODE = "no_node"
    NODE = "node"


async def why(manager: Manager, task_id: str) -> Explanation:
    """Raises: UnknownTask, CannotRecord."""
    task = manager.get_task(task_id)
    if task.node and (told := await _told(manager, task)) is not None:
        seen = f"on node {task.node}: {told.seen}"
        return msgspec.structs.replace(told, state=task.state, seen=seen, wish=_wish(manager, task))
    by, message = blocked(manager, task)
    return Explanation(
        id=task.id,
        name=task.spec.name,
        state=task.state,
        summary=_summary(task),
        because=task.message,
        blocked=Block(by=by, message=message),
        next=_next(by),
        at=None,
        wish=_wish(manager, task),
        seen=f"on node {task.node}" if task.node else "on no node",
    )


async def _told(manager: Manager, task: Task) -> Explanation | None:
    """By its node; None when that does not answer, or does not know it yet."""
    client = manager.follow.clients.get(task.node)
    if client is None or not manager.state.placement(task.id).accepted:
        return None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await client.why(task.id)
    except (ClientError, Unreachable, NotTrusted, TimeoutError):
        return None


def blocked(manager: Manager, task: Task) -> tuple[Blocker | Blocked, str]:
    """What the manager waits for, for a task."""
    if task.state.ended:
        return Blocker.NOTHING, ""
    if (mishap := manager.mishaps.of(task.id)) is not None:
        return Blocker.INTERNAL_ERROR, mishap.words
    if task.node:
        view = manager.roster.views([task.node]).get(task.node)
        how = Status.LOST if view is None else view.status
        return Blocked.NODE, f"node {task.node} is {how} and has not answered"
    reasons = manager.scheduling.reasons(task.id)
    words = "; ".join(f"{node}: {why}" for node, why in sorted(reasons.items()))
    return Blocked.NO_NODE, words or "the scheduler has not decided yet, or there is no node"


def _summary(task: Task) -> str:
    if task.state.ended:
        return f"{task.state.name}: {task.reason}"
    return f"{task.state.name}, and its node does not tell" if task.node else "it has no node yet"


def _next(by: Blocker | Blocked) -> str:
    words: dict[Blocker | Blocked, str] = {
        Blocked.NO_NODE: "it is placed as soon as a node can take it",
        Blocked.NODE: "the node is asked again; when it is lost, the task is placed elsewhere",
    }
    return words.get(by, "nothing")


def _wish(manager: Manager, task: Task) -> Asked | None:
    wish = manager.queue.get(task.id)
    if wish is None:
        return None
    return Asked(wants="stop" if wish.stops else "run", seq=wish.seq)
