"""The worker's handlers and its table of routes: decode, do, encode.

A handler only puts wishes on the queue and reads; it never starts or stops anything. What it raises
becomes a response in `api`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp.web import Request, Response, StreamResponse

from keelman import (
    audit_log,
    description,
    errors,
    explanation,
    machine,
    metrics,
    openapi,
    output,
    params,
    spec,
    task_handlers,
    waiting,
    wire,
)
from keelman.api import Handler, json_response, read_json
from keelman.auditor import SUBJECT
from keelman.routes import Answer, Parameter, Route
from keelman.task_handlers import READ, WELL, task_id
from keelman.worker import describing, logs, reasons, stats
from keelman.worker.levels import Levels
from keelman.worker.trial import trial
from keelman.worker.worker import Worker


async def start_task(request: Request, worker: Worker) -> Response:
    """Put a TaskEvent on the queue, or tell what would come of it."""
    dry_run = params.flag(request.query, "dry_run")
    event = wire.read_event(await read_json(request))
    request[SUBJECT] = audit_log.subject(event)
    if dry_run:
        return json_response(wire.encode_value(await trial(worker, event)))
    if event.spec is not None:
        spec.check(event.spec)
    return json_response(worker.limits.show(await worker.add_task(event)), status=201)


async def get_task(request: Request, worker: Worker) -> Response:
    """Show one task, at once or when it runs or has ended."""
    wait = waiting.Wait.of(request.query)
    task = await waiting.until(worker, task_id(request), wait)
    report = wire.encode_task(task, worker.images.progress(task))
    return json_response(worker.limits.show(report))


async def get_logs(request: Request, worker: Worker) -> StreamResponse:
    """Stream a task's output as text."""
    asked = output.LogRequest.of(request.query)
    return await logs.send_logs(request, worker, task_id(request), asked)


async def get_why(request: Request, worker: Worker) -> Response:
    """Explain why a task is where it is, and what comes next."""
    return json_response(wire.encode_value(await reasons.why(worker, task_id(request))))


async def get_stats(_request: Request, worker: Worker) -> Response:
    """Tell what the machine has and does, as a Cube manager decodes it."""
    return json_response(msgspec.json.encode(await stats.stats(worker)))


async def get_worker(request: Request, worker: Worker) -> Response:
    """Tell who the worker is, what tasks may ask of it, and what it has."""
    if (moment := request.headers.get(description.MOMENT)) is not None:
        worker.heard.had(moment)
    return json_response(wire.encode_value(await describing.describe(worker)))


async def get_metrics(_request: Request, worker: Worker) -> Response:
    """Tell the worker's figures in Prometheus' text format."""
    body = worker.metrics.text(Levels(worker))
    return Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})


async def readyz(_request: Request, worker: Worker) -> Response:
    """Ready: engine and Db are usable."""
    await worker.check_ready()
    return json_response(b'{"Status":"ok"}')


async def get_openapi(_request: Request, _worker: Worker) -> Response:
    """Tell this contract, in OpenAPI."""
    return json_response(CONTRACT)


DRY_RUN = Parameter(
    "dry_run",
    "record nothing; answer what would come of it",
    {"enum": ["0", "1", "false", "true"]},
)

MOMENT = Parameter(
    description.MOMENT,
    "from a manager: `Moment` of the newest answer that it has had, empty before the first",
    {"type": "string", "maxLength": 100},
    place="header",
)

ROUTES: tuple[Route[Handler[Worker]], ...] = (
    Route(
        "POST",
        "/tasks",
        start_task,
        (
            Answer(201, "the Task; the wish is on disk", wire.TaskReport),
            Answer(200, "what would come of it", wire.DryRunReport),
        ),
        parameters=(DRY_RUN,),
        sent=wire.TaskEventIn,
        refusals=(
            *(errors.Malformed, errors.BadField, errors.NotSupported, errors.Forbidden),
            *(errors.UnknownTask, errors.RequestTimeout, errors.EventReused, errors.SpecChanged),
            *(errors.Stopping, errors.TaskCompleted, errors.TaskEnded, errors.StaleGeneration),
            *(errors.InsufficientResources, errors.TooLarge, errors.NotJson, errors.CannotRecord),
            errors.EngineUnavailable,
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
        refusals=(
            *(*READ, errors.ContainerGone, errors.EngineError, errors.EngineAway),
            errors.TooMany,
        ),
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
        "GET",
        "/stats",
        get_stats,
        (Answer(200, "the machine, and what its tasks asked for", machine.Stats),),
        refusals=(errors.BadField, errors.CannotRecord),
    ),
    Route(
        "GET",
        "/worker",
        get_worker,
        (Answer(200, "the worker", description.WorkerReport),),
        parameters=(MOMENT,),
        refusals=(errors.BadField, errors.CannotRecord),
    ),
    Route(
        "GET",
        "/metrics",
        get_metrics,
        (Answer(200, "figures, in Prometheus' text format", media="text/plain"),),
        refusals=(errors.BadField,),
        probe=True,
    ),
    task_handlers.LIVEZ,
    Route(
        "GET",
        "/readyz",
        readyz,
        (WELL,),
        parameters=None,
        refusals=(errors.EngineUnavailable, errors.CannotRecord),
        probe=True,
    ),
    Route(
        "GET",
        "/openapi.json",
        get_openapi,
        (Answer(200, "an OpenAPI document", dict[str, Any]),),
        refusals=(errors.BadField,),
        probe=True,
    ),
)

CONTRACT = openapi.encoded(ROUTES)
