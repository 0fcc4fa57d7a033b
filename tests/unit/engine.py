"""A container engine in memory for one task: values, and every program does as it is told to."""

from __future__ import annotations

import msgspec

from keelman.errors import EngineAway, EngineError, EngineFailed, EngineRefused
from keelman.seen import (
    Action,
    Create,
    Created,
    Exited,
    Kill,
    Pull,
    Refused,
    Remove,
    Rename,
    Running,
    Signal,
    Start,
)

Body = Created | Running | Exited


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a container does: how long it runs (None: until it is ended), and how it ends.

    `outlives` counts the rungs of the ladder that do not end it: 0 none, 1 TERM, 2 KILL, 3 removal.
    `deaf`: the engine gives no answer to a signal for it.
    """

    runs_for: float | None = None
    code: int = 0
    oom: bool = False
    refused: Refused | None = None
    outlives: int = 0
    deaf: bool = False


class Container(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    program: Program
    body: Body

    @property
    def id(self) -> str:
        return self.body.container_id

    @property
    def live(self) -> bool:
        return isinstance(self.body, Running)

    @property
    def ends_at(self) -> float | None:
        if self.program.runs_for is None or not isinstance(self.body, Running):
            return None
        return self.body.since + self.program.runs_for


class Engine:
    """Its containers, oldest first; the n-th ever made runs the n-th program, or the last one.

    `made`, `started` and `lost` (not in the worker's hands) are the attempts it ever happened to;
    `late` are requests that were given up as unanswered and are not carried out yet.
    """

    def __init__(self, programs: tuple[Program, ...]) -> None:
        self.programs = programs or (Program(),)
        self.containers: list[Container] = []
        self.made: list[int] = []
        self.started: list[int] = []
        self.lost: list[int] = []
        self.late: list[Action] = []

    @property
    def live(self) -> int:
        return sum(container.live for container in self.containers)

    def do(self, action: Action, now: float) -> EngineError | None:
        """Carry an action out; the error is its answer."""
        match action:
            case Create(attempt=attempt):
                self._make(attempt)
            case Start(attempt=attempt):
                return self._start(attempt, now)
            case Rename():
                self._rename(action)
            case Signal(container_id=container_id):
                return self._kill(self._find(container_id), 1, 143, now)
            case Kill(container_id=container_id):
                return self._kill(self._find(container_id), 2, 137, now)
            case Remove(container_id=container_id):
                return self._remove(self._find(container_id))
            case Pull():
                pass  # the world's business: images outlive containers
        return None

    def catches_up(self, now: float) -> None:
        """What was asked for long ago is done at last, where it still can be.

        But for a create under a name that was in use before: see the architecture, what is left.
        """
        late, self.late = self.late, []
        for action in late:
            if isinstance(action, Start | Rename):
                self.do(action, now)
            elif not isinstance(action, Create | Pull) and self._has(action.container_id):
                self.lost += [one.attempt for one in self.containers]
                self.do(action, now)
            elif isinstance(action, Create) and action.attempt not in self.made:
                self.do(action, now)

    def exits(self, code: int, now: float, *, oom: bool = False) -> None:
        """The newest container's process ends, by itself or by another's hand."""
        if self.live:
            self._end(self.containers[-1], code, now, oom=oom)

    def vanishes(self) -> None:
        """Somebody removes all that is there."""
        self.lost += [container.attempt for container in self.containers]
        self.containers.clear()

    def lets_programs_end(self, now: float) -> None:
        for container in list(self.containers):
            at, program = container.ends_at, container.program
            if at is not None and at <= now:
                self._end(container, program.code, at, oom=program.oom)

    def _make(self, attempt: int) -> None:
        assert attempt not in self.started, "a container that ran is made anew under its name"
        self.made.append(attempt)
        program = self.programs[min(len(self.made), len(self.programs)) - 1]
        body = Created(container_id=f"c{attempt}", attempt=attempt)
        self.containers.append(Container(attempt=attempt, program=program, body=body))
        self.containers.sort(key=lambda container: container.attempt)

    def _start(self, attempt: int, now: float) -> EngineError | None:
        """By its name; one that has exited runs again."""
        container = next((one for one in self.containers if one.attempt == attempt), None)
        if container is None:
            return EngineRefused("no such container")
        if container.live:
            return None
        if (refused := container.program.refused) is not None:
            self._becomes(container, msgspec.structs.replace(container.body, refused=refused))
            return EngineFailed(refused.message)
        self.started.append(container.attempt)
        body = Running(container_id=container.id, attempt=container.attempt, since=now)
        self._becomes(container, body)
        assert self.live == 1, "I1: two live containers"
        return None

    def _rename(self, action: Rename) -> None:
        """By the name that it had when that was asked."""
        for container in self.containers:
            if (container.id, container.attempt) == (action.container_id, action.attempt - 1):
                body = msgspec.structs.replace(container.body, attempt=action.attempt)
                self._becomes(container, body)

    def _kill(self, container: Container, rung: int, code: int, now: float) -> EngineError | None:
        if container.program.deaf:
            return EngineAway("timed out")
        if container.live and container.program.outlives < rung:
            self._end(container, code, now)
        return None

    def _remove(self, container: Container) -> EngineError | None:
        if container.live and container.program.outlives >= 3:
            return EngineFailed("could not kill container: no exit event came")
        self.containers.remove(container)
        return None

    def _has(self, container_id: str) -> bool:
        return any(one.id == container_id for one in self.containers)

    def _find(self, container_id: str) -> Container:
        return next(one for one in self.containers if one.id == container_id)

    def _becomes(self, container: Container, body: Body) -> None:
        place = self.containers.index(container)
        self.containers[place] = Container(
            attempt=body.attempt, program=container.program, body=body
        )

    def _end(self, container: Container, code: int, at: float, *, oom: bool = False) -> None:
        assert isinstance(container.body, Running)
        body = Exited(
            container_id=container.id,
            attempt=container.attempt,
            code=code,
            oom=oom,
            since=container.body.since,
            until=at,
        )
        self._becomes(container, body)
