"""A Docker-compatible engine over its HTTP API, for the containers of one worker.

Calling is dull: no `if` about a task (`reconcile`), no meaning of JSON (`container`) or errors.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, assert_never

from aiodocker import DockerError
from aiodocker.containers import DockerContainer
from aiohttp import ClientTimeout

from keelman.errors import EngineBusy, EngineFailed
from keelman.runtime import (
    Container,
    LogOptions,
    Outlook,
    Row,
    Tell,
    container,
    frames,
    guards,
    host_ports,
    marks,
    pulls,
    statuses,
    streams,
    to_nobody,
)
from keelman.runtime.connection import as_path, client, opened, translated
from keelman.runtime.docker_config import DockerConfig
from keelman.runtime.told import Inspect, inspect_of
from keelman.seen import (
    Absent,
    Action,
    Body,
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
    Unknown,
)
from keelman.task import Spec, Task

USUAL_URL = "unix:///var/run/docker.sock"
LIST_FIELDS = ("Id", "Names", "Labels", "State")
CREATE_IMAGE = ("POST", "images/create")


class DockerRuntime:
    """The `Runtime` on a Docker-compatible engine; made without one being there.

    `url` is `unix://`, `tcp://`, `http://` or `https://` (None: the usual socket); `tls` goes with
    https. `timeout_seconds` bounds every call but a pull and the streams, `silence_seconds` how
    long a pull may say nothing. `config` is the folder of Docker's config.json, with its logins,
    `pids_usual` the limit of processes where a task has none (0: none).
    """

    def __init__(  # noqa: PLR0913  # what an engine is told, each by its name
        self,
        worker: str,
        url: str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        config: Path | None = None,
        pids_usual: int = guards.PIDS_USUAL,
        timeout_seconds: float = 30.0,
        silence_seconds: float = 300.0,
    ) -> None:
        self._worker = worker
        self._url = url or USUAL_URL
        self._config = DockerConfig(config)
        self._pids_usual = pids_usual
        self._silence_seconds = silence_seconds
        self._timeout = ClientTimeout(total=timeout_seconds)
        self._calls = client(self._url, tls, self._timeout, connections=100)
        self._streams = client(self._url, tls, ClientTimeout(sock_connect=10), connections=0)

    async def identity(self) -> str:
        with translated():
            return str((await self._calls.system.info())["ID"])

    async def version(self) -> str:
        with translated():
            return str((await self._calls.version())["Version"])

    async def close(self) -> None:
        for one in (self._calls, self._streams):
            await one.close()
            await one.connector.close()

    # -- seeing ----------------------------------------------------------------------------------

    async def look(self, task: Task) -> Seen:
        labels = marks.filter_for(worker=self._worker, task=task.id)
        rows = await self._list(labels, task)
        if not rows:
            return Seen(body=Absent(image=await self._image(task.spec.image)))
        *older, newest = marks.by_attempt(rows, task.container_id)
        body = await self._body(newest.container_id, task)
        return Seen(body=body, others=tuple(row.container_id for row in older))

    async def outlook(self, spec: Spec) -> Outlook:
        taken = self._held(container.bound_ports(spec))
        return Outlook(image=await self._image(spec.image), taken=tuple(taken))

    async def rows(self) -> list[Row]:
        return await self._list({"label": [marks.WORKER_LABEL]})

    async def containers(self) -> list[Container]:
        filters = json.dumps(marks.filter_for(worker=self._worker))
        with translated():
            listed = await self._calls.containers.list(all=True, filters=filters)
        shown = [await self._inspect(one.id) for one in listed]
        return container.claimed_by(self._worker, filter(None, shown))

    async def rebuild(self, container_id: str) -> Task | None:
        inspect = await self._inspect(container_id)
        if inspect is None:
            return None
        mark = marks.owner_of(inspect)
        return container.task_of(inspect) if mark and mark.worker == self._worker else None

    async def _list(self, filters: Mapping[str, list[str]], known: Task | None = None) -> list[Row]:
        """Our containers that pass the filters, whatever their state."""
        with translated():
            listed = await self._calls.containers.list(all=True, filters=json.dumps(filters))
            told = [{key: one[key] for key in LIST_FIELDS if key in one} for one in listed]
            return [row for one in told if (row := container.row_of(one, known))]

    async def _body(self, container_id: str, known: Task) -> Body:
        inspect = await self._inspect(container_id)
        if inspect is None:
            return Unknown(why="it was gone between list and inspect")
        return container.body_of(inspect, self._taken(inspect), known)

    def _taken(self, inspect: Inspect) -> list[str]:
        return self._held(container.asked_ports(inspect)) if inspect.state.error else []

    def _held(self, asked: list[tuple[str, int, str]]) -> list[str]:
        """Which of the asked host ports somebody holds; to be known only where the engine is."""
        return host_ports.taken(asked) if self._url.startswith("unix:") else []

    async def _inspect(self, name: str) -> Inspect | None:
        with translated():
            try:
                return inspect_of(await self._container(name).show())
            except DockerError as error:
                if error.status not in statuses.NOT_THERE:
                    raise
                return None

    async def _image(self, name: str) -> Missing | Present:
        with translated():
            try:
                await self._calls.images.inspect(as_path(name))
            except DockerError as error:
                if error.status in statuses.NOT_THERE:
                    return Missing()
                raise
            return Present()

    def _container(self, name: str) -> DockerContainer:
        return self._calls.containers.container(as_path(name))

    # -- doing -----------------------------------------------------------------------------------

    async def do(self, task: Task, action: Action) -> None:
        match action:
            case Create():
                await self._create(task, action.attempt)
            case Start():
                with translated(statuses.START):
                    await self._container(self._name(task, action.attempt)).start()
            case Rename():
                await self._rename(task, action)
            case Signal():
                await self._signal(action.container_id, action.signal)
            case Kill():
                await self._signal(action.container_id, "SIGKILL")
            case Remove():
                one = self._container(action.container_id)
                with translated(statuses.REMOVE):  # with volumes that nobody could find again
                    await one.delete(force=True, v=True, timeout=self._timeout)
            case Pull():
                await self.pull(action.image)
            case _:
                assert_never(action)

    def create_body(self, task: Task, attempt: int) -> dict[str, Any]:
        return container.create_body(self._worker, task, attempt, self._pids_usual)

    def _name(self, task: Task, attempt: int) -> str:
        return marks.container_name(self._worker, task.id, attempt)

    async def _create(self, task: Task, attempt: int) -> None:
        body = self.create_body(task, attempt)
        with translated(statuses.CREATE):
            try:
                await self._calls.containers.create(body, name=self._name(task, attempt))
            except DockerError as error:
                await self._holder(task, attempt, error)

    async def _rename(self, task: Task, action: Rename) -> None:
        attempt, inspect = action.attempt, await self._inspect(action.container_id)
        at = inspect and marks.rename_from(inspect, self._worker, task.id, attempt)
        if not at:
            return
        with translated(statuses.RENAME):
            try:
                await self._container(at).rename(self._name(task, attempt))
            except DockerError as error:
                if await self._holder(task, attempt, error) != action.container_id:
                    raise EngineBusy("another container of the task has that name") from error

    async def _holder(self, task: Task, attempt: int, error: DockerError) -> str:
        """The id of the container of ours that has a name already, so that a call failed."""
        if error.status not in statuses.MAYBE_NAME_TAKEN:
            raise error
        inspect = await self._inspect(self._name(task, attempt))
        if inspect is None:
            raise error
        marks.check_ours(inspect, self._worker, task.id)
        return inspect.id

    async def _signal(self, container_id: str, signal: str) -> None:
        with translated(statuses.SIGNAL):
            await self._container(container_id).kill(signal=signal, timeout=self._timeout)

    async def exec_start(self, container_id: str, command: tuple[str, ...]) -> str:
        with translated(statuses.EXEC):
            one = await self._container(container_id).exec(command, stdout=False, stderr=False)
        with translated():  # here a 404 may be a command that is not there
            await one.start(detach=True, timeout=self._timeout)
            return str(one.id)

    async def exec_code(self, exec_id: str) -> int | None:
        with translated(statuses.EXEC):
            told = await self._calls.containers.exec(exec_id).inspect()
            return None if told["Running"] else int(told["ExitCode"])

    async def pull(self, image: str, tell: Tell = to_nobody) -> None:
        login = await self._config.headers(image)
        query = {"fromImage": container.tagged(image)}
        layers: Mapping[str, pulls.Layer] = {}
        silence = streams.patience(f"the pull of {image}", self._silence_seconds)
        with translated(statuses.PULL):
            answer = opened(self._streams, *CREATE_IMAGE, query, login)
            async with silence as heard, await answer as response:
                async for text in streams.lines(response):
                    heard()
                    layers = pulls.after(layers, line := pulls.line_of(text))
                    if line.error:
                        raise EngineFailed(line.error)
                    tell(pulls.progress_of(layers.values()))
        if isinstance(await self._image(image), Missing):
            raise EngineFailed("the pull ended early")

    # -- streams ---------------------------------------------------------------------------------

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        path = f"containers/{as_path(container_id)}/logs"
        with translated(statuses.LOGS):
            query = streams.log_query(options)
            async with await opened(self._streams, "GET", path, query) as response:
                async for frame in streams.output(response):
                    if frame.stream == frames.TROUBLE:
                        raise EngineFailed(frame.payload.decode(errors="replace"))
                    yield frame.payload

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[str]]:
        filters = json.dumps({"type": ["container"], **marks.filter_for(worker=self._worker)})
        self._negotiate_anew()
        with translated():
            async with asyncio.timeout(self._timeout.total):
                response = await opened(self._streams, "GET", "events", {"filters": filters})
        # An error of whoever reads must come out as it is: no translation round this yield.
        try:
            async with response, aclosing(streams.task_ids(response)) as ids:
                yield ids
        finally:
            self._negotiate_anew()

    def _negotiate_anew(self) -> None:
        """A stream ends with its engine; what comes back may be an upgrade of another version."""
        self._calls.api_version = self._streams.api_version = "auto"
