"""The worker's handlers and its table of routes: decode, do, encode.

A handler only puts wishes on the queue and reads; it never starts or stops anything. What it raises
becomes a response in `api`.
"""

from __future__ import annotations

from uuid import UUID

from aiohttp.web import Request, Response, StreamResponse

from keelman import params, wire
from keelman.api import Route, json_response, query, read_json, send_json
from keelman.errors import BadField
from keelman.task import State, TaskEvent
from keelman.values import INT64_MAX
from keelman.worker import logs, sse, waiting
from keelman.worker.worker import Worker


async def start_task(request: Request, worker: Worker) -> Response:
    """Put a TaskEvent on the queue."""
    query(request)
    event = wire.decode_event(await read_json(request))
    return json_response(await worker.add_task(event), status=201)


async def get_tasks(request: Request, worker: Worker) -> StreamResponse:
    """List all tasks."""
    query(request)
    listed = worker.get_tasks()
    last = f"{worker.db.log_id}:{listed.seq}"
    return await send_json(request, listed.body, headers={"Last-Event-ID": last})


async def get_task(request: Request, worker: Worker) -> Response:
    """Show one task, at once or when it runs or has ended."""
    wait = waiting.Wait.of(query(request, "wait", "timeout"))
    task = await waiting.until(worker, task_id(request), wait)
    return json_response(wire.encode_task(task))


async def stop_task(request: Request, worker: Worker) -> Response:
    """Put "stop" on the queue."""
    asked = query(request, "generation")
    generation = params.integer(asked, "generation", most=INT64_MAX) or 0
    stop = TaskEvent(
        id=None, state=State.COMPLETED, task_id=task_id(request), generation=generation
    )
    await worker.add_task(stop)
    return Response(status=204)


async def get_logs(request: Request, worker: Worker) -> StreamResponse:
    """Stream a task's output as text."""
    asked = logs.LogRequest.of(query(request, *logs.PARAMETERS))
    return await logs.send_logs(request, worker, task_id(request), asked)


async def get_transitions(request: Request, worker: Worker) -> Response:
    """List a task's Transitions."""
    query(request)
    moves = worker.db.history(worker.get_task(task_id(request)).id)
    return json_response(wire.encode_list([wire.encode_transition(move) for move in moves]))


async def get_events(request: Request, worker: Worker) -> StreamResponse:
    """Stream Transitions as Server-Sent Events."""
    asked = query(request, "since").get("since")
    return await sse.send_events(request, worker, request.headers.get("Last-Event-ID") or asked)


async def livez(_request: Request, _worker: Worker) -> Response:
    """Alive: the loop answers."""
    return json_response(b'{"Status":"ok"}')


async def readyz(_request: Request, worker: Worker) -> Response:
    """Ready: engine and Db are usable."""
    await worker.check_ready()
    return json_response(b'{"Status":"ok"}')


ROUTES: tuple[Route[Worker], ...] = (
    Route("POST", "/tasks", start_task),
    Route("GET", "/tasks", get_tasks),
    Route("GET", "/tasks/{taskID}", get_task),
    Route("DELETE", "/tasks/{taskID}", stop_task),
    Route("GET", "/tasks/{taskID}/logs", get_logs),
    Route("GET", "/tasks/{taskID}/transitions", get_transitions),
    Route("GET", "/events", get_events),
    Route("GET", "/livez", livez),
    Route("GET", "/readyz", readyz),
)


def task_id(request: Request) -> str:
    """The path's task ID in its canonical form. Raises: BadField."""
    text = request.match_info["taskID"]
    try:
        return str(UUID(text))
    except ValueError as error:
        raise BadField(f"taskID: {text[:80]!r} is not a UUID") from error
