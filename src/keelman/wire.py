"""The wire: TaskEvents strictly decoded, Tasks and Transitions encoded. PURE.

JSON in PascalCase as the engine's own API and the book's Cube have it. Unknown fields are an error
at every level; `null` means "not given"; worker-owned fields are accepted and ignored.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from keelman import spec as specs
from keelman.errors import BadField, Malformed
from keelman.progress import Progress
from keelman.task import HostPort, Spec, State, Task, TaskEvent, Transition
from keelman.values import Amount, Value

Timestamp = Annotated[datetime, Meta(tz=True)]
UNSAID = ("Constraints", "Node", "StopAfterDisconnect")  # not told of a task without
_ZERO_YEAR = 1  # Go's zero time, 0001-01-01T00:00:00Z


class TaskIn(Spec, frozen=True, kw_only=True):
    """A Task as it is sent: the spec, and worker-owned fields that are not looked at."""

    id: UUID = msgspec.field(name="ID")
    generation: Amount = 0
    state: State = State.PENDING
    container_id: Any = None
    host_ports: Any = None
    start_time: Any = None
    finish_time: Any = None
    exit_code: Any = None
    reason: Any = None
    message: Any = None
    health: Any = None
    restart_count: Any = None
    attempt: Any = None
    pull: Any = None
    node: Any = None


class TaskEventIn(Value, frozen=True, kw_only=True):
    """A TaskEvent as it is sent."""

    id: UUID
    state: State
    timestamp: Timestamp | None = None
    task: TaskIn


class TaskReport(Spec, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A Task as it is reported. Read leniently: a newer worker may say more."""

    id: str = msgspec.field(name="ID")
    generation: Amount = 0
    state: State
    container_id: str = msgspec.field(name="ContainerID", default="")
    host_ports: dict[str, tuple[HostPort, ...]] = msgspec.field(default_factory=dict)
    start_time: datetime | None = None
    finish_time: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    health: str = ""
    restart_count: int = 0
    attempt: int = 0
    pull: Progress | None = None
    node: str = ""


class TransitionReport(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A Transition as it is reported. Read leniently: a newer worker may say more."""

    seq: int
    task_id: str
    generation: int
    attempt: int
    from_: State = msgspec.field(name="From")
    to: State
    time: datetime
    reason: str
    message: str
    exit_code: int | None
    container_id: str


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every error's body."""

    status: int = msgspec.field(name="HTTPStatusCode")
    message: str = msgspec.field(name="Message")
    code: str = msgspec.field(name="Code")


class StatusReport(Value, frozen=True, kw_only=True):
    """The worker is well."""

    status: Literal["ok"] = "ok"


class ObjectionReport(Value, frozen=True, kw_only=True):
    """What stands against a task: the field, in words, and the error's code or the Reason."""

    field: str
    message: str
    code: str


class DryRunReport(Value, frozen=True, kw_only=True):
    """What a TaskEvent would come to.

    Create is the body of the engine's create call for the task's next attempt, the values of Env
    left out; null when the event stops a task. Without Objections the task would be taken.
    """

    create: dict[str, Any] | None
    objections: tuple[ObjectionReport, ...]


# -- in ------------------------------------------------------------------------------------------


def decode_event(body: bytes) -> TaskEvent:
    """A TaskEvent from a request's body, checked but for what only this machine can tell.

    Raises: Malformed when it is no JSON object in UTF-8, BadField naming the field.
    """
    event = read_event(body)
    if event.spec is not None:
        specs.check(event.spec)
    return event


def read_event(body: bytes) -> TaskEvent:
    """A TaskEvent whose spec was not looked at yet. Raises: Malformed, BadField."""
    event = _convert(_without_nulls(_parse(body)))
    _check_event(event)
    task = event.task
    stop = event.state is State.COMPLETED
    spec = None if stop else _spec_of(task)
    return TaskEvent(
        id=str(event.id),
        state=event.state,
        timestamp=_seconds(event.timestamp),
        task_id=str(task.id),
        generation=task.generation,
        spec=spec,
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        body.decode("utf-8")
        fields = msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8: byte {error.start}") from error
    except msgspec.DecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    if not isinstance(fields, dict):
        raise Malformed("the body must be a JSON object: a TaskEvent")
    return fields


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """`null` is what Go writes for an empty map: the same as leaving the field out."""
    kept = _given(fields, TaskEventIn)
    if isinstance(kept.get("Task"), dict):
        kept["Task"] = _given(kept["Task"], TaskIn)
    return kept


def _given(fields: dict[str, Any], known: type[Value]) -> dict[str, Any]:
    """The fields that are given, and the unknown ones: they are an error whatever they hold."""
    names = known.__struct_encode_fields__
    return {key: value for key, value in fields.items() if value is not None or key not in names}


def _convert(fields: dict[str, Any]) -> TaskEventIn:
    try:
        return msgspec.convert(fields, TaskEventIn)
    except msgspec.ValidationError as error:
        raise BadField(field_words(str(error))) from error


def field_words(words: str) -> str:
    """msgspec's words with the field in front: `Task.Cpu: expected float, got str`."""
    words, _, path = words.partition(" - at `$")
    path = path.strip("`.").replace("[...]", "")
    if match := re.fullmatch(
        r"Object (contains unknown|missing required) field `(.*)`", words, re.DOTALL
    ):
        path = f"{path}.{match[2][:80]}".strip(".")
        words = "unknown field" if match[1].startswith("contains") else "is missing"
    return f"{path or 'body'}: {words[:1].lower() + words[1:]}".replace("`", "")


def _check_event(event: TaskEventIn) -> None:
    if event.id.int == 0:
        raise BadField("ID: the nil UUID names no event")
    if event.task.id.int == 0:
        raise BadField("Task.ID: the nil UUID names no task")
    if event.state is State.FAILED:
        raise BadField("State: 4 (FAILED) cannot be asked for; 0, 1, 2 run a task, 3 stops it")
    if event.state is not State.COMPLETED and event.task.state is State.COMPLETED:
        raise BadField("Task.State: 3 (COMPLETED) contradicts an event that asks to run it")


def _spec_of(task: TaskIn) -> Spec:
    return Spec(**{name: getattr(task, name) for name in Spec.__struct_fields__})


def _seconds(when: datetime | None) -> float | None:
    if when is None or when.year == _ZERO_YEAR:
        return None
    return when.timestamp()


# -- out -----------------------------------------------------------------------------------------


def report(task: Task, pull: Progress | None = None) -> TaskReport:
    """The Task as clients see it, with the pull that it waits for."""
    spec = {name: getattr(task.spec, name) for name in Spec.__struct_fields__}
    return TaskReport(
        **spec,
        id=task.id,
        generation=task.generation,
        state=task.state,
        container_id=task.container_id,
        host_ports=task.host_ports,
        start_time=_moment(task.start_time),
        finish_time=_moment(task.finish_time),
        exit_code=task.exit_code,
        reason=task.reason,
        message=task.message,
        health=task.health,
        restart_count=task.restart_count,
        attempt=task.attempt,
        pull=pull,
        node=task.node,
    )


def encode_task(task: Task, pull: Progress | None = None) -> bytes:
    """A Task's JSON, its ID first. What few tasks have is only told of those."""
    fields = msgspec.to_builtins(report(task, pull))
    for name in UNSAID:
        if not fields[name]:
            del fields[name]
    return msgspec.json.encode({"ID": fields.pop("ID"), **fields})


def encode_transition(move: Transition) -> bytes:
    """A Transition's JSON."""
    return msgspec.json.encode(
        TransitionReport(
            seq=move.seq,
            task_id=move.task_id,
            generation=move.generation,
            attempt=move.attempt,
            from_=move.from_,
            to=move.to,
            time=datetime.fromtimestamp(move.time, UTC),
            reason=move.reason,
            message=move.message,
            exit_code=move.exit_code,
            container_id=move.container_id,
        )
    )


def encode_value(value: Value) -> bytes:
    """The JSON of a report that needs no translation."""
    return msgspec.json.encode(value)


def encode_list(items: list[bytes]) -> bytes:
    """A JSON list of values already encoded."""
    return b"[" + b",".join(items) + b"]"


def encode_error(status: int, message: str, code: str) -> bytes:
    """An error's JSON."""
    return msgspec.json.encode(ErrorReport(status=status, message=message, code=code))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
