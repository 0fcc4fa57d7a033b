"""The manager's handlers and its table of routes: decode, do, encode.

What concerns tasks is as a worker has it. A handler only puts wishes on the queue, changes which
nodes there are, and reads.
"""

from __future__ import annotations

from typing import Any

from aiohttp.web import Request, Response, StreamResponse

from keelman import (
    audit_log,
    errors,
    explanation,
    metrics,
    node_report,
    openapi,
    output,
    params,
    spec,
    task_handlers,
    waiting,
    wire,
)
from keelman.api import Handler, json_response, read_json
from keelman.audit_log import Subject
from keelman.auditor import SUBJECT
from keelman.manager import join_handlers, logs, reasons
from keelman.manager.levels import Levels
from keelman.manager.manager import Manager
from keelman.manager.nodes import Use
from keelman.routes import Answer, Parameter, Route
from keelman.task_handlers import READ, WELL, task_id


async def start_task(request: Request, manager: Manager) -> Response:
    """Put a TaskEvent on the queue."""
    event = wire.read_event(await read_json(request))
    request[SUBJECT] = audit_log.subject(event)
    if event.spec is not None:
        spec.check(event.spec)
    return json_response(manager.limits.show(await manager.add_task(event)), status=201)


async def get_task(request: Request, manager: Manager) -> Response:
    """Show one task, at once or when it runs or has ended."""
    wait = waiting.Wait.of(request.query)
    report = wire.encode_task(await waiting.until(manager, task_id(request), wait))
    return json_response(manager.limits.show(report))


async def get_logs(request: Request, manager: Manager) -> StreamResponse:
    """Stream a task's output as text, from its node."""
    asked = output.LogRequest.of(request.query)
    return await logs.send_logs(request, manager, task_id(request), asked)


async def get_why(request: Request, manager: Manager) -> Response:
    """Explain why a task is where it is, and what comes next."""
    return json_response(wire.encode_value(await reasons.why(manager, task_id(request))))


async def get_nodes(_request: Request, manager: Manager) -> Response:
    """List the nodes."""
    members = manager.membership
    told = [wire.encode_value(members.report(name)) for name in members.names()]
    return json_response(wire.encode_list(told))


async def add_node(request: Request, manager: Manager) -> Response:
    """Let a node join."""
    asked = node_report.decode_node(await read_json(request))
    request[SUBJECT] = Subject(name=asked.name)
    await manager.membership.add(asked)
    return _node(manager, asked.name, status=201)


async def get_node(request: Request, manager: Manager) -> Response:
    """Show one node."""
    return _node(manager, request.match_info["node"])


async def cordon_node(request: Request, manager: Manager) -> Response:
    """Place nothing more on a node."""
    return await _use(request, manager, Use.CORDONED)


async def uncordon_node(request: Request, manager: Manager) -> Response:
    """Place tasks on a node again."""
    return await _use(request, manager, Use.OPEN)


async def drain_node(request: Request, manager: Manager) -> Response:
    """Move a node's tasks elsewhere, one by one."""
    return await _use(request, manager, Use.DRAINING)


async def remove_node(request: Request, manager: Manager) -> Response:
    """Let a node go."""
    force = params.flag(request.query, "force")
    await manager.membership.remove(request.match_info["node"], force=force)
    return Response(status=204)


async def _use(request: Request, manager: Manager, use: Use) -> Response:
    name = request.match_info["node"]
    await manager.membership.use(name, use)
    return _node(manager, name)


def _node(manager: Manager, name: str, *, status: int = 200) -> Response:
    return json_response(wire.encode_value(manager.membership.report(name)), status=status)


async def get_metrics(_request: Request, manager: Manager) -> Response:
    """Tell the manager's figures in Prometheus' text format."""
    body = manager.metrics.text(Levels(manager))
    return Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})


async def readyz(_request: Request, manager: Manager) -> Response:
    """Ready: the Db is usable. A manager without nodes is ready."""
    await manager.check_ready()
    return json_response(b'{"Status":"ok"}')


async def get_openapi(_request: Request, _manager: Manager) -> Response:
    """Tell this contract, in OpenAPI."""
    return json_response(CONTRACT)


FORCE = Parameter(
    "force",
    "also with tasks on it: they are placed elsewhere, and what runs there is forgotten",
    {"enum": ["0", "1", "false", "true"]},
)
_NODE = (errors.BadField, errors.UnknownNode)
_CHANGED = (*_NODE, errors.CannotRecord)
_THE_NODE = (Answer(200, "the node", node_report.NodeReport),)

ROUTES: tuple[Route[Handler[Manager]], ...] = (
    Route(
        "POST",
        "/tasks",
        start_task,
        (Answer(201, "the Task; the wish is on disk", wire.TaskReport),),
        sent=wire.TaskEventIn,
        refusals=(
            *(errors.Malformed, errors.BadField, errors.NotSupported, errors.UnknownTask),
            *(errors.RequestTimeout, errors.EventReused, errors.SpecChanged, errors.Stopping),
            *(errors.TaskCompleted, errors.TaskEnded, errors.StaleGeneration, errors.TooLarge),
            *(errors.NotJson, errors.CannotRecord),
        ),
    ),
    task_handlers.LIST,
    Route(
        "GET",
        "/tasks/{taskID}",
        get_task,
        (Answer(200, "the Task", wire.TaskReport),),
        parameters=waiting.PARAMETERS,
        refusals=(*READ, errors.TooMany),
    ),
    task_handlers.STOP,
    Route(
        "GET",
        "/tasks/{taskID}/logs",
        get_logs,
        (Answer(200, "its output, as it was written", media="text/plain"),),
        parameters=output.PARAMETERS,
        refusals=(*READ, errors.ContainerGone, errors.NodeUnavailable, errors.TooMany),
    ),
    task_handlers.TRANSITIONS,
    Route(
        "GET",
        "/tasks/{taskID}/why",
        get_why,
        (Answer(200, "the Explanation", explanation.Explanation),),
        refusals=READ,
    ),
    task_handlers.EVENTS,
    Route(
        "POST",
        "/nodes",
        add_node,
        (Answer(201, "the node; it is on disk", node_report.NodeReport),),
        sent=node_report.NodeIn,
        refusals=(
            *(errors.Malformed, errors.BadField, errors.RequestTimeout, errors.NodeKnown),
            *(errors.TooLarge, errors.NotJson, errors.CannotRecord),
        ),
    ),
    Route(
        "GET",
        "/nodes",
        get_nodes,
        (Answer(200, "the nodes, by name", list[node_report.NodeReport]),),
        refusals=(errors.BadField,),
    ),
    Route("GET", "/nodes/{node}", get_node, _THE_NODE, refusals=_NODE),
    Route(
        "DELETE",
        "/nodes/{node}",
        remove_node,
        (Answer(204, "the node is no longer one"),),
        parameters=(FORCE,),
        refusals=(*_NODE, errors.NodeInUse, errors.CannotRecord),
    ),
    Route("POST", "/nodes/{node}/cordon", cordon_node, _THE_NODE, refusals=_CHANGED),
    Route("POST", "/nodes/{node}/uncordon", uncordon_node, _THE_NODE, refusals=_CHANGED),
    Route("POST", "/nodes/{node}/drain", drain_node, _THE_NODE, refusals=_CHANGED),
    *join_handlers.ROUTES,
    Route(
        "GET",
        "/metrics",
        get_metrics,
        (Answer(200, "figures, in Prometheus' text format", media="text/plain"),),
        refusals=(errors.BadField,),
    ),
    task_handlers.LIVEZ,
    Route("GET", "/readyz", readyz, (WELL,), parameters=None, refusals=(errors.CannotRecord,)),
    Route(
        "GET",
        "/openapi.json",
        get_openapi,
        (Answer(200, "an OpenAPI document", dict[str, Any]),),
        refusals=(errors.BadField,),
    ),
)

CONTRACT = openapi.encoded(ROUTES, "Keelman manager")
