"""A Docker-compatible engine over its HTTP API, for the containers of one worker.

Calling is dull: no `if` about a task (that is `reconcile`'s), no meaning of JSON (`container`'s).
Here are the calls, what their statuses mean, and the one place where foreign errors become ours.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import assert_never
from urllib.parse import quote

import aiohttp
from aiodocker import Docker, DockerError
from aiodocker.containers import DockerContainer
from aiohttp import ClientResponse, ClientTimeout, TCPConnector, UnixConnector

from keelman.errors import CannotStart, EngineAway, EngineFailed, NameTaken
from keelman.runtime import LogOptions, Row, container, frames, host_ports, marks, statuses, streams
from keelman.runtime.statuses import USUAL, Meanings
from keelman.runtime.told import Inspect, inspect_of, words_of
from keelman.seen import (
    Absent,
    Action,
    Body,
    Create,
    Image,
    Kill,
    Missing,
    Present,
    Pull,
    Remove,
    Seen,
    Signal,
    Start,
    Unknown,
)
from keelman.task import Task

USUAL_URL = "unix:///var/run/docker.sock"
LIST_FIELDS = ("Id", "Names", "Labels", "State")


@contextmanager
def translated(meanings: Meanings = USUAL) -> Iterator[None]:
    """The one place where foreign errors become ours: by status or type, never by their text."""
    try:
        yield
    except DockerError as error:
        ours = statuses.meaning(error.status, meanings)
        if ours is not None:
            raise ours(error.message) from error
    except (OSError, aiohttp.ClientError) as error:
        raise EngineAway(f"no answer from the engine: {error!r}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EngineAway(f"an answer of the engine cannot be read: {error!r}") from error


class DockerRuntime:
    """The `Runtime` on a Docker-compatible engine; made without one being there.

    `url` is `unix://`, `tcp://`, `http://` or `https://` (None: the usual socket); `tls` goes with
    https. `timeout_seconds` bounds every call but a pull and the streams.
    """

    def __init__(
        self,
        worker: str,
        url: str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._worker = worker
        self._url = url or USUAL_URL
        self._timeout = ClientTimeout(total=timeout_seconds)
        self._calls = _client(self._url, tls, self._timeout, connections=100)
        self._streams = _client(self._url, tls, ClientTimeout(sock_connect=10), connections=0)

    async def identity(self) -> str:
        with translated():
            return str((await self._calls.system.info())["ID"])

    async def close(self) -> None:
        for client in (self._calls, self._streams):
            await client.close()
            await client.connector.close()

    # -- seeing ----------------------------------------------------------------------------------

    async def look(self, task: Task) -> Seen:
        labels = _labelled(worker=self._worker, task=task.id)
        rows = await self._list(labels, task.container_id)
        if not rows:
            return Seen(body=Absent(image=await self._image(task.spec.image)))
        *older, newest = marks.by_attempt(rows)
        body = await self._body(newest.container_id, task.container_id)
        return Seen(body=body, others=tuple(row.container_id for row in older))

    async def rows(self) -> list[Row]:
        return await self._list({"label": [marks.WORKER_LABEL]})

    async def rebuild(self, container_id: str) -> Task | None:
        inspect = await self._inspect(container_id)
        if inspect is None:
            return None
        mark = marks.owner_of(inspect)
        return container.task_of(inspect) if mark and mark.worker == self._worker else None

    async def _list(self, filters: Mapping[str, list[str]], known_id: str = "") -> list[Row]:
        """Our containers that pass the filters, whatever their state."""
        with translated():
            listed = await self._calls.containers.list(all=True, filters=json.dumps(filters))
            told = [{key: one[key] for key in LIST_FIELDS if key in one} for one in listed]
            return [row for one in told if (row := container.row_of(one, known_id))]

    async def _body(self, container_id: str, known_id: str) -> Body:
        inspect = await self._inspect(container_id)
        if inspect is None:
            return Unknown(why="it was gone between list and inspect")
        return container.body_of(inspect, self._taken(inspect), known_id)

    def _taken(self, inspect: Inspect) -> list[str]:
        """Which of the asked host ports somebody holds; to be known only where the engine is."""
        if not inspect.state.error or not self._url.startswith("unix:"):
            return []
        return host_ports.taken(container.asked_ports(inspect))

    async def _inspect(self, name: str) -> Inspect | None:
        with translated():
            try:
                return inspect_of(await self._container(name).show())
            except DockerError as error:
                if error.status not in statuses.NOT_THERE:
                    raise
                return None

    async def _image(self, name: str) -> Image:
        with translated():
            try:
                await self._calls.images.inspect(_path(name))
            except DockerError as error:
                if error.status not in statuses.NOT_THERE:
                    raise
                return Missing()
            return Present()

    def _container(self, name: str) -> DockerContainer:
        return self._calls.containers.container(_path(name))

    # -- doing -----------------------------------------------------------------------------------

    async def do(self, task: Task, action: Action) -> None:
        match action:
            case Create():
                await self._create(task, action.attempt)
            case Start():
                with translated(statuses.START):
                    await self._container(action.container_id).start()
            case Signal():
                await self._signal(action.container_id, action.signal)
            case Kill():
                await self._signal(action.container_id, "SIGKILL")
            case Remove():
                await self._remove(action.container_id)
            case Pull():
                await self.pull(action.image)
            case _:
                assert_never(action)

    async def _create(self, task: Task, attempt: int) -> None:
        name = marks.container_name(self._worker, task.id, attempt)
        body = container.create_body(self._worker, task, attempt)
        with translated(statuses.CREATE):
            try:
                await self._calls.containers.create(body, name=name)
            except DockerError as error:
                if error.status not in statuses.MAYBE_NAME_TAKEN:
                    raise
                await self._settle(task, attempt, error)

    async def _settle(self, task: Task, attempt: int, error: DockerError) -> None:
        """A create that failed because it was done before has succeeded."""
        name = marks.container_name(self._worker, task.id, attempt)
        inspect = await self._inspect(name)
        if inspect is None:
            raise error
        mark = marks.owner_of(inspect)
        if mark is None or not mark.is_of(self._worker, task.id):
            raise NameTaken(f"container {name} is there and is not ours") from error

    async def _signal(self, container_id: str, signal: str) -> None:
        with translated(statuses.SIGNAL):
            await self._container(container_id).kill(signal=signal, timeout=self._timeout)

    async def _remove(self, container_id: str) -> None:
        """By force, and with its anonymous volumes, which nobody could find again."""
        with translated(statuses.REMOVE):
            await self._container(container_id).delete(force=True, v=True, timeout=self._timeout)

    async def pull(self, image: str) -> None:
        query = {"fromImage": container.tagged(image)}
        with translated(statuses.PULL):
            async with await self._open("POST", "images/create", query) as response:
                async for line in streams.lines(response):
                    if words := container.trouble_in(line):
                        raise EngineFailed(words)
        if isinstance(await self._image(image), Missing):
            raise EngineFailed("the pull ended early")

    # -- streams ---------------------------------------------------------------------------------

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        path = f"containers/{_path(container_id)}/logs"
        with translated(statuses.LOGS):
            async with await self._open("GET", path, streams.log_query(options)) as response:
                async for frame in streams.output(response):
                    if frame.stream == frames.TROUBLE:
                        raise EngineFailed(frame.payload.decode(errors="replace"))
                    yield frame.payload

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[str]]:
        filters = {"type": ["container"], **_labelled(worker=self._worker)}
        self._negotiate_anew()
        with translated():
            async with asyncio.timeout(self._timeout.total):
                response = await self._open("GET", "events", {"filters": json.dumps(filters)})
        # An error of whoever reads must come out as it is: no translation round this yield.
        try:
            async with response, aclosing(_task_ids(response)) as ids:
                yield ids
        finally:
            self._negotiate_anew()

    def _negotiate_anew(self) -> None:
        """A stream ends with its engine; what comes back may be an upgrade of another version."""
        self._calls.api_version = self._streams.api_version = "auto"

    async def _open(self, method: str, path: str, query: Mapping[str, str]) -> ClientResponse:
        """An answer of which only the head was read. Without a version: the engine's own.

        aiodocker's own streams take a cut for an end, and leave what they broke off open.
        """
        url = f"{self._streams.docker_host}/{path}"
        response = await self._streams.session.request(method, url, params=query)
        if response.status < 400:
            return response
        async with response:
            raise DockerError(response.status, words_of(await response.read()))


async def _task_ids(response: ClientResponse) -> AsyncGenerator[str, None]:
    with translated():
        async for line in streams.lines(response):
            if task_id := container.task_in_event(line):
                yield task_id
    raise EngineAway("the engine's stream of events ended")


def _labelled(**values: str) -> dict[str, list[str]]:
    """The engine's filter for containers with all these of our labels."""
    return {"label": [f"keelman.{name}={value}" for name, value in values.items()]}


def _path(name: str) -> str:
    """A name as part of a path: nothing in it may lead elsewhere."""
    return quote(name, safe="/:@")


def _client(
    url: str, tls: ssl.SSLContext | None, timeout: ClientTimeout, connections: int
) -> Docker:
    """A client with a connector of our own, so that aiodocker looks at no environment."""
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        unix = UnixConnector(rest, limit=connections)
        return Docker("unix://localhost", connector=unix, timeout=timeout)
    if scheme in ("tcp", "http", "https"):
        tcp = TCPConnector(limit=connections, ssl=tls or True)
        return Docker(url, connector=tcp, timeout=timeout)
    raise CannotStart(f"{url}: an engine is at unix://, tcp://, http:// or https://")
