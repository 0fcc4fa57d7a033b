"""Calls to nodes, and what is wrong with their answers in the manager's own words.

Foreign errors become values here, once: by their kind, status and code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from keelman import hiding
from keelman.answers import BadAddress, ClientError, NotTrusted, Unreachable
from keelman.manager import outcome
from keelman.manager.assign import Step
from keelman.manager.calls import Call, Clear, Look, NoAnswer, Refused, Send, Stop, Trouble
from keelman.manager.node_client import NodeClient
from keelman.manager.placement import Placement
from keelman.task import Spec, State, Task, Wish

log = structlog.get_logger(__name__)

CALL_SECONDS = 15.0
SERVERS_FAULT = 500
LATER = ("stopping", "request_timeout", "unauthorized", "forbidden_client", "not_understood")


async def ask(
    client: NodeClient | None,
    wish: Wish,
    step: Step,
    call: Call,
    clock: Callable[[], float],
) -> Step:
    """Make a call; answers what it comes to. `client` None: the node is not connected."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await _answered(_connected(client), wish, step, call, clock)
    except TimeoutError:
        trouble: Trouble = NoAnswer(words=f"no answer within {CALL_SECONDS:g} s")
    except (ClientError, Unreachable, NotTrusted, BadAddress) as error:
        trouble = _trouble(error, step.task.spec)
    log.info("node call failed", task=step.task.id, node=call.copy.node, why=trouble.words)
    return outcome.failed(wish, call, (step.task, step.placement), trouble, clock())


def _connected(client: NodeClient | None) -> NodeClient:
    if client is None:
        raise Unreachable("the node is not connected")
    return client


async def _answered(
    client: NodeClient, wish: Wish, step: Step, call: Call, clock: Callable[[], float]
) -> Step:
    task, placement = step.task, step.placement
    match call:
        case Send():
            report = await client.send(event_of(task, placement))
            return outcome.sent(task, placement, report, clock())
        case Stop(copy=copy):
            await client.stop(task.id, generation=copy.number)
            return outcome.stopped(wish, task, placement)
        case Look():
            report = await client.task(task.id)
            return outcome.looked(wish, task, placement, report, clock())
        case Clear(copy=copy):
            await client.stop(task.id, generation=copy.number)
            report = await client.task(task.id)
            if report.state.ended or report.generation > copy.number:
                return outcome.cleared(task, placement, copy, clock())
            return outcome.waiting(task, placement, clock())


def _trouble(error: ClientError | Unreachable | NotTrusted | BadAddress, spec: Spec) -> Trouble:
    """Its words may quote a value of Env, which need not be told."""
    words = hiding.words(error.message, spec.env)
    if not isinstance(error, ClientError):
        return NoAnswer(words=words)
    later = error.status >= SERVERS_FAULT or error.code in LATER
    return Refused(code=error.code, words=words, later=later)


def event_of(task: Task, placement: Placement) -> dict[str, object]:
    """The TaskEvent that asks a node for a copy; what only a manager knows is left out."""
    usual = Spec()
    fields = msgspec.to_builtins(task.spec)
    plain = msgspec.to_builtins(usual)
    given = {name: value for name, value in fields.items() if value != plain[name]}
    given.pop("Constraints", None)
    return {
        "ID": placement.event_id,
        "State": int(State.RUNNING),
        "Task": {**given, "ID": task.id, "Generation": placement.number},
    }
