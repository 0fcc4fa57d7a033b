"""The `Runtime` on an engine in memory: shipped, for tests that need no engine.

It is held to the same contract as `docker` (tests/contract), and gives and reads the same bodies
and labels. Several runtimes may share one `FakeEngine`, and it outlives them all.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, assert_never

from keelman.errors import ContainerGone, EngineAway, EngineBusy, ImageNotFound
from keelman.progress import Progress
from keelman.runtime import (
    Container,
    LogOptions,
    Outlook,
    Row,
    Tell,
    container,
    marks,
    to_nobody,
)
from keelman.runtime.fake_container import Line, Program
from keelman.runtime.fake_engine import FakeEngine
from keelman.seen import (
    Absent,
    Action,
    Create,
    Kill,
    Missing,
    Present,
    Pull,
    Remove,
    Rename,
    Seen,
    Signal,
    Start,
)
from keelman.task import Spec, Task

__all__ = ["FakeEngine", "FakeRuntime", "Program"]

VERSION = "in memory"
LAYER_BYTES = 40_000_000  # every image that can be pulled is one such layer


class FakeRuntime:
    """The `Runtime` of one worker on a `FakeEngine`."""

    def __init__(self, engine: FakeEngine, worker: str) -> None:
        self._engine = engine
        self._worker = worker

    async def identity(self) -> str:
        return await self._engine.ask("identity", lambda: self._engine.identity)

    async def version(self) -> str:
        return await self._engine.ask("version", lambda: VERSION)

    async def close(self) -> None:
        """Nothing is held."""

    # -- seeing ----------------------------------------------------------------------------------

    async def look(self, task: Task) -> Seen:
        return await self._engine.ask("look", lambda: self._look(task))

    async def rows(self) -> list[Row]:
        return await self._engine.ask("rows", self._rows)

    async def containers(self) -> list[Container]:
        return await self._engine.ask("containers", self._containers)

    async def rebuild(self, container_id: str) -> Task | None:
        return await self._engine.ask("rebuild", lambda: self._rebuild(container_id))

    async def outlook(self, spec: Spec) -> Outlook:
        return await self._engine.ask("outlook", lambda: self._outlook(spec))

    def _outlook(self, spec: Spec) -> Outlook:
        asked = container.bound_ports(spec)
        taken = (f"{number}/{protocol}" for _, number, protocol in asked)
        held = self._engine.held()
        return Outlook(image=self._image(spec), taken=tuple(port for port in taken if port in held))

    def _image(self, spec: Spec) -> Missing | Present:
        return Present() if container.tagged(spec.image) in self._engine.images else Missing()

    def _look(self, task: Task) -> Seen:
        mine = (self._worker, task.id)
        rows = [row for row in self._rows(task) if (row.worker, row.task_id) == mine]
        if not rows:
            return Seen(body=Absent(image=self._image(task.spec)))
        *older, newest = marks.by_attempt(rows, task.container_id)
        one = self._engine.containers[newest.container_id]
        body = container.body_of(one.inspect(), self._engine.taken(one), task)
        return Seen(body=body, others=tuple(row.container_id for row in older))

    def _rows(self, known: Task | None = None) -> list[Row]:
        told = [container.row_of(one.row(), known) for one in self._engine.containers.values()]
        return [row for row in told if row is not None]

    def _containers(self) -> list[Container]:
        shown = [one.inspect() for one in self._engine.containers.values()]
        return container.claimed_by(self._worker, shown)

    def _rebuild(self, container_id: str) -> Task | None:
        one = self._engine.find(container_id)
        mark = marks.owner_of(one.inspect()) if one else None
        if one is None or mark is None or mark.worker != self._worker:
            return None
        return container.task_of(one.inspect())

    # -- doing -----------------------------------------------------------------------------------

    async def do(self, task: Task, action: Action) -> None:
        await self._engine.ask(type(action).__name__.lower(), lambda: self._do(task, action))

    async def exec_start(self, container_id: str, command: tuple[str, ...]) -> str:
        start = self._engine.exec_start
        return await self._engine.ask("exec_start", lambda: start(container_id, command))

    async def exec_code(self, exec_id: str) -> int | None:
        return await self._engine.ask("exec_code", lambda: self._engine.exec_code(exec_id))

    async def pull(self, image: str, tell: Tell = to_nobody) -> None:
        tell(Progress(layers=1, bytes_total=LAYER_BYTES))
        await self._engine.ask("pull", lambda: self._engine.pull(image))
        whole = LAYER_BYTES
        tell(Progress(layers=1, layers_done=1, bytes_done=whole, bytes_total=whole))

    def _do(self, task: Task, action: Action) -> None:
        match action:
            case Create():
                self._create(task, action.attempt)
            case Start():
                self._engine.start(self._name(task, action.attempt))
            case Rename():
                self._rename(task, action)
            case Signal():
                self._engine.signal(action.container_id, action.signal)
            case Kill():
                self._engine.signal(action.container_id, "SIGKILL")
            case Remove():
                self._engine.remove(action.container_id)
            case Pull():
                self._engine.pull(action.image)
            case _:
                assert_never(action)

    def create_body(self, task: Task, attempt: int) -> dict[str, Any]:
        return container.create_body(self._worker, task, attempt)

    def _create(self, task: Task, attempt: int) -> None:
        if container.tagged(task.spec.image) not in self._engine.images:
            raise ImageNotFound(f"no such image: {task.spec.image}")
        name = self._name(task, attempt)
        if (there := self._engine.find(name)) is not None:
            marks.check_ours(there.inspect(), self._worker, task.id)
        else:
            self._engine.add(name, self.create_body(task, attempt))

    def _rename(self, task: Task, action: Rename) -> None:
        one, attempt = self._engine.find(action.container_id), action.attempt
        if one is None or not marks.rename_from(one.inspect(), self._worker, task.id, attempt):
            return
        name = self._name(task, attempt)
        if (there := self._engine.find(name)) is not None:
            marks.check_ours(there.inspect(), self._worker, task.id)
            raise EngineBusy(f"another container of the task has the name {name}")
        self._engine.rename(one.id, name)

    def _name(self, task: Task, attempt: int) -> str:
        return marks.container_name(self._worker, task.id, attempt)

    # -- streams ---------------------------------------------------------------------------------

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        engine = self._engine
        one = await engine.ask("logs", lambda: engine.find(container_id))
        if one is None:
            raise ContainerGone(f"no such container: {container_id}")
        outages = engine.outages
        at = 0 if options.tail is None else max(len(one.output) - options.tail, 0)
        while True:
            while at < len(one.output):
                at += 1
                if _wanted(one.output[at - 1], options):
                    yield one.output[at - 1].text
            if not (options.follow and one.live):
                return
            await self._moved(outages)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[str]]:
        engine = self._engine
        at, outages = await engine.ask("changes", lambda: (len(engine.events), engine.outages))
        async with aclosing(self._task_ids(at, outages)) as ids:
            yield ids

    async def _task_ids(self, at: int, outages: int) -> AsyncGenerator[str, None]:
        while True:
            for worker, task_id in self._engine.events[at:]:
                at += 1
                if worker == self._worker:
                    yield task_id
            if at == len(self._engine.events):
                await self._moved(outages)

    async def _moved(self, outages: int) -> None:
        """Wait until something has moved. Raises: EngineAway when the engine went down since."""
        if self._engine.outages == outages:
            await self._engine.moved()
        if self._engine.outages != outages:
            raise EngineAway("the stream ended with the engine")


def _wanted(line: Line, options: LogOptions) -> bool:
    return line.time >= options.since and options.stream in ("both", line.stream)
