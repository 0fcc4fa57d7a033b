"""Task, TaskEvent, Wish, Transition, and the states with their edges. PURE.

Values only: frozen, changed by copy. `Task.to` is the one place where a State changes. Times are
seconds since the epoch (float); the wire's form of them is `wire`'s business.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keelman.ending import Ending
from keelman.errors import IllegalMove
from keelman.health import Health, HealthCheck
from keelman.values import Amount, Seconds, Value, digest


class State(IntEnum):
    """Where a Task is. Stopping and starting are not states."""

    PENDING = 0
    SCHEDULED = 1
    RUNNING = 2
    COMPLETED = 3
    FAILED = 4

    @property
    def ended(self) -> bool:
        return self >= State.COMPLETED


EDGES = frozenset(
    {
        (State.PENDING, State.SCHEDULED),
        (State.PENDING, State.COMPLETED),
        (State.PENDING, State.FAILED),
        (State.SCHEDULED, State.SCHEDULED),
        (State.SCHEDULED, State.RUNNING),
        (State.SCHEDULED, State.COMPLETED),
        (State.SCHEDULED, State.FAILED),
        (State.RUNNING, State.RUNNING),
        (State.RUNNING, State.SCHEDULED),
        (State.RUNNING, State.COMPLETED),
        (State.RUNNING, State.FAILED),
        (State.FAILED, State.SCHEDULED),  # only for a greater wish
        (State.COMPLETED, State.SCHEDULED),  # only for a higher Generation
    }
)


class Reason(StrEnum):
    """Why a Task is where it is: the closed list that docs/states.md explains."""

    NONE = ""
    EXITED = "exited"
    STOPPED = "stopped"
    DEADLINE = "deadline"
    OOM_KILLED = "oom_killed"
    KILLED_BY_OTHER = "killed_by_other"
    VANISHED = "vanished"
    IMAGE_UNAVAILABLE = "image_unavailable"
    COMMAND_NOT_FOUND = "command_not_found"
    COMMAND_NOT_EXECUTABLE = "command_not_executable"
    PORT_TAKEN = "port_taken"
    NAME_TAKEN = "name_taken"
    NOT_ALLOWED = "not_allowed"
    CREATE_REFUSED = "create_refused"
    START_REFUSED = "start_refused"
    ENGINE_ERROR = "engine_error"
    INTERNAL_ERROR = "internal_error"
    STUCK = "stuck"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    PULLING = "pulling"
    NO_NODE = "no_node"
    NODE_LOST = "node_lost"
    DRAINED = "drained"
    DISCONNECTED = "disconnected"


class Empty(Value, frozen=True, kw_only=True):
    """The empty object that Go writes for a member of a set."""


class Mount(Value, frozen=True, kw_only=True):
    """A host path bound into the container."""

    source: str
    target: str
    read_only: bool = False


class HostPort(Value, frozen=True, kw_only=True):
    """A published port, named as the engine names it."""

    host_ip: str = ""
    host_port: str = ""


class Spec(Value, frozen=True, kw_only=True):
    """What was asked for. `spec.objections` says what would be wrong with one.

    `constraints` say on which nodes a manager may place it; a worker takes none. After
    `stop_after_disconnect` seconds in which nobody was heard its worker stops it by itself.
    `cpu` in cores, `memory` and `disk` in bytes, timeouts in seconds; 0 is "no limit", and an empty
    `stop_signal` or a `stop_timeout` of None the usual one (SIGTERM, 10 s).
    """

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict)
    cpu: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    memory: Amount = 0
    disk: Amount = 0
    pids_limit: Amount = 0
    exposed_ports: dict[str, Empty] = msgspec.field(default_factory=dict)
    port_bindings: dict[str, str] = msgspec.field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    user: str = ""
    read_only_rootfs: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    network: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    init: bool = False
    restart_policy: str = ""
    health_check: str | HealthCheck = ""
    stop_signal: str = ""
    stop_timeout: Seconds | None = None
    timeout: Seconds = 0
    pull_policy: str = ""
    constraints: tuple[str, ...] = ()
    stop_after_disconnect: Seconds = 0

    @property
    def probe(self) -> HealthCheck | None:
        """The health check; a string is the path of an HTTP one."""
        if isinstance(self.health_check, HealthCheck):
            return self.health_check
        return HealthCheck(path=self.health_check) if self.health_check else None

    @property
    def ports(self) -> list[str]:
        """The container's ports that are exposed: a bound one is exposed too."""
        return list(dict.fromkeys([*self.exposed_ports, *self.port_bindings]))

    @property
    def grace_seconds(self) -> int:
        return 10 if self.stop_timeout is None else self.stop_timeout

    def digest(self) -> str:
        """The sha256 by which two specs are told to be the same.

        Over what differs from the defaults, so that a field of a later version changes no label.
        """
        usual = Spec()
        return digest(
            {
                name: value
                for name in Spec.__struct_fields__
                if (value := getattr(self, name)) != getattr(usual, name)
            }
        )


class TaskEvent(Value, frozen=True, kw_only=True):
    """A wish sent in, decoded: move this Task to this State."""

    id: str | None  # None for a DELETE, which has none
    state: State
    timestamp: float | None = None
    task_id: str
    generation: Amount = 0
    spec: Spec | None = None

    @property
    def wants(self) -> State:
        """RUNNING or COMPLETED: 0, 1 and 2 on the wire all mean "run it"."""
        return State.COMPLETED if self.state is State.COMPLETED else State.RUNNING


class Wish(Value, frozen=True, kw_only=True):
    """The newest thing asked for one task, numbered."""

    seq: int
    task_id: str
    wants: State
    spec: Spec
    generation: int = 0

    @property
    def stops(self) -> bool:
        return self.wants is State.COMPLETED

    def begins_anew(self, task: Task) -> bool:
        """Whether it asks for another life of a task that has ended.

        So does a stop: what has ended takes none, so one that is greater was for a life that was
        asked for and not taken up yet.
        """
        if self.seq <= task.wish:
            return False
        return task.state is State.FAILED or self.generation > task.generation


class Transition(Value, frozen=True, kw_only=True):
    """A fact sent out: a Task moved from one State to another. `seq` is the log's, from 1."""

    seq: int = 0
    task_id: str
    generation: int = 0
    attempt: int = 0
    from_: State = msgspec.field(name="From")
    to: State
    time: float
    reason: Reason = Reason.NONE
    message: str = ""
    exit_code: int | None = None
    container_id: str = ""


class Task(Value, frozen=True, kw_only=True):
    """One container to run: its spec, what became of it, and what the worker remembers.

    `wish` is the number of the wish it serves, `attempt` names its container (`renames`: how often
    that was only a new name), `started` is the attempt whose start was decided (recorded before the
    engine is asked), `due` the time before which it does nothing, `retries` the engine's failures
    in it, `pulled` the attempt whose image was pulled anew (PullPolicy `always`), `node` where a
    manager has placed it.
    """

    id: str
    spec: Spec
    generation: int = 0
    state: State = State.PENDING
    wish: int = 0
    attempt: int = 0
    renames: int = 0
    started: int = 0
    failures: int = 0
    retries: int = 0
    pulled: int = 0
    due: float = 0.0
    ending: Ending | None = None
    first_running: float | None = None
    container_id: str = ""
    host_ports: dict[str, tuple[HostPort, ...]] = msgspec.field(default_factory=dict)
    start_time: float | None = None
    finish_time: float | None = None
    exit_code: int | None = None
    reason: Reason = Reason.NONE
    message: str = ""
    health: Health = Health.NONE
    node: str = ""

    @property
    def restart_count(self) -> int:
        return max(self.attempt - self.renames - 1, 0)

    @property
    def deadline(self) -> float | None:
        """When Timeout ends it, in seconds since the epoch; None without one or before it ran."""
        if not self.spec.timeout or self.first_running is None:
            return None
        return self.first_running + self.spec.timeout

    def but(self, **changes: Any) -> Task:
        """A copy with other values; the State changes only by `to`."""
        if "state" in changes:
            raise IllegalMove("a State changes only by Task.to")
        return msgspec.structs.replace(self, **changes)

    def to(self, state: State, **changes: Any) -> Task:
        """A copy in another State, with other values.

        Raises: IllegalMove when the design has no such edge.
        """
        after = msgspec.structs.replace(self, state=state, **changes)
        if not _legal(self, after):
            raise IllegalMove(f"task {self.id}: {self.state.name} to {state.name} is no edge")
        return after


def _legal(before: Task, after: Task) -> bool:
    if before.state is State.FAILED and after.wish <= before.wish:
        return False
    if before.state is State.COMPLETED and after.generation <= before.generation:
        return False
    return (before.state, after.state) in EDGES


def new_task(wish: Wish) -> Task:
    """The Task that a wish for an unknown id begins with: PENDING, serving no wish yet."""
    return Task(id=wish.task_id, spec=wish.spec, generation=wish.generation)
