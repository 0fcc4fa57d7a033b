"""The handlers that a worker and a manager have in common: decode, do, encode."""

from __future__ import annotations

from uuid import UUID

from aiohttp.web import Request, Response, StreamResponse

from keelman import audit_log, errors, listing, params, sse, wire
from keelman.api import Handler, json_response, send_json
from keelman.auditor import SUBJECT
from keelman.errors import BadField
from keelman.keeper import Keeper
from keelman.routes import Answer, Parameter, Route
from keelman.task import State, TaskEvent
from keelman.values import INT64_MAX

WELL = Answer(200, "it is", wire.StatusReport)
GENERATION = Parameter(
    "generation",
    "stop only a copy that is not newer; 0 is any",
    {"type": "integer", "minimum": 0, "maximum": INT64_MAX},
)


async def get_tasks(request: Request, keeper: Keeper) -> StreamResponse:
    """List tasks: all, some, or a page of them."""
    labels = request.query.getall("label", [])
    listed = keeper.get_tasks(listing.Listing.of(request.query, labels))
    last = f"{keeper.db.log_id}:{listed.seq}"
    return await send_json(request, listed.body, headers={"Last-Event-ID": last})


async def stop_task(request: Request, keeper: Keeper) -> Response:
    """Put "stop" on the queue."""
    generation = params.integer(request.query, "generation", most=INT64_MAX) or 0
    stop = TaskEvent(
        id=None, state=State.COMPLETED, task_id=task_id(request), generation=generation
    )
    request[SUBJECT] = audit_log.subject(stop)
    await keeper.add_task(stop)
    return Response(status=204)


async def get_transitions(request: Request, keeper: Keeper) -> Response:
    """List a task's Transitions."""
    moves = keeper.db.history(keeper.get_task(task_id(request)).id)
    return json_response(wire.encode_list([wire.encode_transition(move) for move in moves]))


async def get_events(request: Request, keeper: Keeper) -> StreamResponse:
    """Stream Transitions as Server-Sent Events."""
    last_id = request.headers.get("Last-Event-ID") or request.query.get("since")
    return await sse.send_events(request, keeper, last_id)


async def livez(_request: Request, _keeper: Keeper) -> Response:
    """Alive: the loop answers."""
    return json_response(b'{"Status":"ok"}')


def task_id(request: Request) -> str:
    """The path's task ID in its canonical form. Raises: BadField."""
    text = request.match_info["taskID"]
    try:
        return str(UUID(text))
    except ValueError as error:
        raise BadField(f"taskID: {text[:80]!r} is not a UUID") from error


READ = (errors.BadField, errors.UnknownTask, errors.CannotRecord)

LIST: Route[Handler[Keeper]] = Route(
    "GET",
    "/tasks",
    get_tasks,
    (
        Answer(
            200,
            "Tasks, in the order in which they were first asked for",
            list[wire.TaskReport],
            headers={"Last-Event-ID": "as of which Transition the list is"},
        ),
    ),
    parameters=listing.PARAMETERS,
    refusals=(errors.BadField, errors.TaskGone, errors.CannotRecord),
)
STOP: Route[Handler[Keeper]] = Route(
    "DELETE",
    "/tasks/{taskID}",
    stop_task,
    (Answer(204, "the stop is on disk, or the task has ended"),),
    parameters=(GENERATION,),
    refusals=(*READ, errors.StaleGeneration),
)
TRANSITIONS: Route[Handler[Keeper]] = Route(
    "GET",
    "/tasks/{taskID}/transitions",
    get_transitions,
    (Answer(200, "its Transitions, oldest first", list[wire.TransitionReport]),),
    refusals=READ,
)
EVENTS: Route[Handler[Keeper]] = Route(
    "GET",
    "/events",
    get_events,
    (Answer(200, "Server-Sent Events, without end", media="text/event-stream"),),
    parameters=sse.PARAMETERS,
    refusals=(errors.BadField, errors.EventsGone, errors.TooMany, errors.CannotRecord),
)
LIVEZ: Route[Handler[Keeper]] = Route(
    "GET", "/livez", livez, (WELL,), parameters=None, open=True, probe=True
)
