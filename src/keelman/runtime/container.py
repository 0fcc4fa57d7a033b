"""A Task in the engine's words, and the engine's words as what the worker may know. PURE.

The module that gives the engine's JSON a meaning (`told` has its shape, `pulls` what a pull
tells). It never calls an
engine and knows no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from keelman import spec as specs
from keelman.ending import Ending, Why
from keelman.errors import BadField
from keelman.runtime import Container, Row, guards, marks
from keelman.runtime.marks import Mark
from keelman.runtime.told import Config, ContainerState, Event, Inspect, ListRow
from keelman.seen import Body, Created, Exited, Refused, Running, Unknown
from keelman.task import HostPort, Reason, Spec, Task

ANY_HOST = ""  # every address of the machine
LIVE = frozenset({"running", "paused", "restarting"})
OVER = frozenset({"exited", "dead"})
COMMAND_REASONS = {127: Reason.COMMAND_NOT_FOUND, 126: Reason.COMMAND_NOT_EXECUTABLE}


# -- a Task in the engine's words ----------------------------------------------------------------


def tagged(image: str) -> str:
    """An image's name with the tag that is meant when it has none."""
    return image if re.search(r"[:@][^/]*\Z", image) else f"{image}:latest"


def create_body(
    worker: str, task: Task, attempt: int, pids_usual: int = guards.PIDS_USUAL
) -> dict[str, Any]:
    """The engine's create body for one attempt of a task; null leaves a choice to the engine."""
    spec = task.spec
    return {
        "Image": spec.image,
        "Cmd": list(spec.command) or None,
        "Entrypoint": list(spec.entrypoint) or None,
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "User": spec.user,
        "ExposedPorts": {port: {} for port in spec.ports},
        "Labels": spec.labels | marks.labels_for(worker, task, attempt),
        "StopSignal": spec.stop_signal or None,
        "StopTimeout": spec.stop_timeout,
        "HostConfig": _host_config(spec) | guards.host_config(spec, pids_usual),
    }


def _host_config(spec: Spec) -> dict[str, Any]:
    return {
        "NanoCpus": round(spec.cpu * 1e9),
        "Memory": spec.memory,
        "MemorySwap": spec.memory,  # no swap on top: a limit means what it says
        "PortBindings": {
            # An empty host port is the engine's choice; without an entry nothing is published.
            port: [{"HostIp": ANY_HOST, "HostPort": spec.port_bindings.get(port, "")}]
            for port in spec.ports
        },
        "Mounts": [
            {"Type": "bind", "Source": at.source, "Target": at.target, "ReadOnly": at.read_only}
            for at in spec.mounts
        ],
        "Init": spec.init or None,
        "ReadonlyRootfs": spec.read_only_rootfs,
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "NetworkMode": spec.network or None,
        "RestartPolicy": {"Name": "no"},  # there is one restarter, and it is the worker
        "AutoRemove": False,
    }


def bound_ports(spec: Spec) -> list[tuple[str, int, str]]:
    """The host ports that a spec asks for by number: address, number, protocol."""
    return [
        (ANY_HOST, int(number), port.rpartition("/")[2])
        for port, number in spec.port_bindings.items()
    ]


def row_of(told: object, known: Task | None = None) -> Row | None:
    """One row of a list; None when it is not ours. Raises: msgspec.ValidationError."""
    row = msgspec.convert(told, ListRow)
    mark = marks.owner(row.id, row.names or (), row.labels, known)
    if mark is None:
        return None
    return Row(
        container_id=row.id,
        worker=mark.worker,
        task_id=mark.task_id,
        attempt=mark.attempt,
        live=row.state in LIVE,
    )


def claimed_by(worker: str, shown: Iterable[Inspect]) -> list[Container]:
    """Those whose labels say that they are this worker's, whatever their name is."""
    marked = ((one, marks.claimed(one.config.labels)) for one in shown)
    return [_container(one, mark) for one, mark in marked if mark and mark.worker == worker]


def _container(inspect: Inspect, mark: Mark) -> Container:
    state, host = inspect.state, inspect.host_config
    return Container(
        container_id=inspect.id,
        name=inspect.name.removeprefix("/"),
        worker=mark.worker,
        task_id=mark.task_id,
        attempt=mark.attempt,
        generation=mark.generation,
        live=state.status in LIVE,
        exit_code=state.exit_code if state.status in OVER else None,
        restart_policy=host.restart_policy.name if host.restart_policy else "",
        auto_remove=host.auto_remove,
    )


def task_in_event(line: bytes) -> str | None:
    """The id of the task whose container an event moved. Raises: msgspec.DecodeError."""
    event = msgspec.json.decode(line, type=Event)
    if event.action.startswith("exec_"):  # a health check's command moves nothing
        return None
    return (event.actor.attributes or {}).get(marks.TASK_LABEL)


def epoch(text: str) -> float:
    """An engine's timestamp in seconds since the epoch; 0.0 for none, its zero time, nonsense."""
    try:
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    except ValueError:
        return 0.0


# -- what the worker may know --------------------------------------------------------------------


def body_of(inspect: Inspect, taken: Sequence[str] = (), known: Task | None = None) -> Body:
    """What a container is. One that somebody renamed is still that of the task that `known` is.

    `taken` are those of the host ports it asked for that somebody else holds: the engine's error
    is words, and words change.
    """
    mark = marks.owner_of(inspect, known)
    if mark is None:
        return Unknown(why=f"container {inspect.name} is not ours")
    match inspect.state.status:
        case "created":
            refused = _refused(inspect.state, taken)
            return Created(
                container_id=inspect.id,
                attempt=mark.attempt,
                spec_hash=mark.spec_hash,
                refused=refused,
            )
        case "running" | "paused":
            return _running(inspect, mark)
        case "exited" | "dead":
            return _exited(inspect, mark)
        case status:
            return Unknown(why=f"the engine says {status}")


def _refused(state: ContainerState, taken: Sequence[str]) -> Refused | None:
    if not state.error:
        return None
    words = state.error.strip()
    if state.exit_code in COMMAND_REASONS:
        reason = COMMAND_REASONS[state.exit_code]
        return Refused(reason=reason, message=words, exit_code=state.exit_code)
    # Any other code is the engine's own: no process gave it.
    return Refused(reason=Reason.PORT_TAKEN if taken else Reason.START_REFUSED, message=words)


def _running(inspect: Inspect, mark: Mark) -> Running:
    ports = inspect.network_settings.ports or {}
    published = {
        port: tuple(HostPort(host_ip=at.host_ip, host_port=at.host_port) for at in bindings)
        for port, bindings in ports.items()
        if bindings  # exposed but not published: null
    }
    return Running(
        container_id=inspect.id,
        attempt=mark.attempt,
        spec_hash=mark.spec_hash,
        since=epoch(inspect.state.started_at),
        host_ports=published,
        stop_signal=inspect.config.stop_signal,
    )


def _exited(inspect: Inspect, mark: Mark) -> Exited:
    state = inspect.state
    return Exited(
        container_id=inspect.id,
        attempt=mark.attempt,
        spec_hash=mark.spec_hash,
        code=state.exit_code,
        oom=state.oom_killed,
        since=epoch(state.started_at),
        until=_end_of(state),
    )


def _end_of(state: ContainerState) -> float:
    """Two programs write start and end: of a short run, the end is told as the earlier."""
    return max(epoch(state.started_at), epoch(state.finished_at))


def asked_ports(inspect: Inspect) -> list[tuple[str, int, str]]:
    """The host ports that a container wants for itself: address, number, protocol."""
    return [
        (binding.host_ip, int(binding.host_port), port.rpartition("/")[2])
        for port, bindings in (inspect.host_config.port_bindings or {}).items()
        for binding in bindings or ()
        if binding.host_port.isdecimal() and int(binding.host_port)
    ]


def task_of(inspect: Inspect) -> Task | None:
    """The Task that a container was made from; None when the container is not ours.

    One that ran and ended has that recorded and is never started again; one that was only created
    was asked for, and goes on, though a start of it may be on its way. A spec that differs from its
    own hash label was written by another version, or changed by hand: what runs is adopted.
    """
    mark, made = marks.owner_of(inspect), marks.claimed(inspect.config.labels)
    spec = _spec_in(inspect.config)
    if mark is None or made is None or spec is None:
        return None
    return Task(
        id=mark.task_id,
        spec=spec,
        generation=mark.generation,
        attempt=mark.attempt,
        renames=mark.attempt - made.attempt,
        started=mark.attempt,
        container_id=inspect.id,
        ending=_adopted(inspect.state) if inspect.state.status in OVER else None,
    )


def _adopted(state: ContainerState) -> Ending:
    return Ending(why=Why.ADOPTED, since=_end_of(state))


def _spec_in(config: Config) -> Spec | None:
    """The spec of the label, the values of its Env taken from the container itself."""
    known = {field.encode_name for field in msgspec.structs.fields(Spec)}
    try:
        told = msgspec.json.decode((config.labels or {})[marks.SPEC_LABEL], type=dict[str, Any])
        # A newer worker's label may hold fields that this one does not know.
        shown = msgspec.convert({key: told[key] for key in told if key in known}, Spec)
    except (KeyError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if any(objection.kind is BadField for objection in specs.objections(shown)):
        return None  # no worker took this
    given = dict(pair.split("=", 1) for pair in config.env or () if "=" in pair)
    return msgspec.structs.replace(shown, env={key: given.get(key, "") for key in shown.env})
