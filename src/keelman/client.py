"""Client: what a manager, the command line or a user's Python may ask of a worker.

It speaks the worker's wire and nothing else; it keeps no state but the connection. What the worker
refuses comes back as ClientError in the worker's own words, no answer as Unreachable. Ids are
arguments, so that a call repeated after a lost answer is the same wish and not a second one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Self, TypedDict, Unpack
from uuid import NAMESPACE_OID, uuid5

import aiohttp
import msgspec
from aiohttp import hdrs
from yarl import URL

from keelman.access import checked_token, own_token
from keelman.answers import (
    BadAddress,
    BadToken,
    ClientError,
    NotTrusted,
    OtherHost,
    Unreachable,
    decoded,
    keeps_secrets,
    refusal,
    translated,
    url,
)
from keelman.description import MOMENT, WorkerReport
from keelman.errors import CannotStart
from keelman.explanation import Explanation
from keelman.frames import Frames
from keelman.machine import Stats
from keelman.task import State
from keelman.tls import read_secret
from keelman.values import digest
from keelman.wire import DryRunReport, TaskReport, TransitionReport

__all__ = [
    "BadAddress",
    "BadToken",
    "Client",
    "ClientError",
    "NotTrusted",
    "OtherHost",
    "Unreachable",
]

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
SILENCE_SECONDS = 45.0  # an event stream says something every 15 s

JSON = {"Content-Type": "application/json"}
_AWAY = HTTPStatus.SERVICE_UNAVAILABLE
_PLAIN = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
_ENDLESS = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
_EVENTS = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)


class _Options(TypedDict, total=False):
    params: dict[str, str]
    headers: dict[str, str]
    data: bytes
    timeout: aiohttp.ClientTimeout


class Client:
    """One worker's HTTP API. `address` is a URL or `host:port`.

    An asynchronous context manager: the connections live as long as the `async with`.
    `token`, `token_file` (a line TOKEN or NAME TOKEN, for nobody else to read) and `tls` (a context
    with a certificate) show who asks; without `tls` an https address is trusted as the system
    trusts. `retry_seconds` is the wait before a lost event stream is taken up again.
    Raises: BadToken; BadAddress, also for a token that would be read on the way, and for `tls`
    where none is spoken.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        token_file: str | Path | None = None,
        tls: ssl.SSLContext | None = None,
        retry_seconds: float = 1.0,
    ) -> None:
        self.address = url(address)
        if tls is not None and self.address.scheme != "https":
            raise BadAddress(f"{address}: `tls` is for an address that begins with https://")
        self._headers = _authorization(self.address, _token(token, token_file))
        self._tls = tls or True
        self._retry_seconds = retry_seconds

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            headers=self._headers,
            timeout=_PLAIN,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    # -- wishes ----------------------------------------------------------------------------------

    async def run(
        self, task_id: str, /, *, event_id: str | None = None, **fields: object
    ) -> TaskReport:
        """Asks for a task; `fields` are named as on the wire: `Image="busybox"`, `Command=[…]`.

        The same call twice is one wish. A task that FAILED runs again for another `event_id`.
        Raises: ClientError, Unreachable.
        """
        task = {"ID": task_id, **fields}
        event = event_id or str(uuid5(NAMESPACE_OID, f"{task_id}/{digest(task)}"))
        return await self.send({"ID": event, "State": State.RUNNING, "Task": task})

    async def send(self, event: Mapping[str, object]) -> TaskReport:
        """Sends a TaskEvent as it is written on the wire, and answers the Task."""
        body = msgspec.json.encode(event)
        async with self._call("POST", "tasks", data=body, headers=JSON) as response:
            return decoded(await response.read(), TaskReport)

    async def dry_run(self, event: Mapping[str, object]) -> DryRunReport:
        """What would come of the same event; nothing is put on the queue."""
        body = msgspec.json.encode(event)
        options: _Options = {"params": {"dry_run": "1"}, "headers": JSON, "data": body}
        async with self._call("POST", "tasks", **options) as response:
            return decoded(await response.read(), DryRunReport)

    async def stop(self, task_id: str, *, generation: int | None = None) -> None:
        """Asks for a task to be stopped; that it has ended already is no error.

        With `generation` only a copy that is not newer.
        """
        params = _params(generation=generation)
        async with self._call("DELETE", "tasks", task_id, params=params):
            pass

    # -- questions -------------------------------------------------------------------------------

    async def tasks(self) -> list[TaskReport]:
        """All tasks of the worker, ended ones that are still kept included."""
        return (await self.listed())[0]

    async def listed(self) -> tuple[list[TaskReport], str]:
        """The same, and the id of the last event that the list knows of, to follow from."""
        async with self._call("GET", "tasks") as response:
            last_id = response.headers.get("Last-Event-ID", "")
            return decoded(await response.read(), list[TaskReport]), last_id

    async def task(
        self, task_id: str, *, wait: str | None = None, timeout_seconds: float | None = None
    ) -> TaskReport:
        """One task; with `wait` of `running` or `ended` once it is that, or when time is up."""
        params = _params(wait=wait, timeout=timeout_seconds)
        limit = _ENDLESS if wait else _PLAIN
        async with self._call("GET", "tasks", task_id, params=params, timeout=limit) as response:
            return decoded(await response.read(), TaskReport)

    async def transitions(self, task_id: str) -> list[TransitionReport]:
        """The task's history, oldest first."""
        async with self._call("GET", "tasks", task_id, "transitions") as response:
            return decoded(await response.read(), list[TransitionReport])

    async def why(self, task_id: str) -> Explanation:
        """Why the task is where it is, what it waits for, and what comes next."""
        async with self._call("GET", "tasks", task_id, "why") as response:
            return decoded(await response.read(), Explanation)

    async def stats(self) -> Stats:
        """The worker's machine, and what its live tasks asked of it."""
        async with self._call("GET", "stats") as response:
            return decoded(await response.read(), Stats)

    async def worker(self, *, moment: str | None = None) -> WorkerReport:
        """The worker itself: what tasks may ask of it, and what it has.

        With `moment` a manager asks, whose word its tasks wait for: `moment` of the answer that it
        had before, or "".
        """
        headers = {} if moment is None else {MOMENT: moment}
        async with self._call("GET", "worker", headers=headers) as response:
            return decoded(await response.read(), WorkerReport)

    async def ready(self) -> bool:
        """Whether the worker can do its work: its engine and its Db are usable."""
        try:
            async with self._call("GET", "readyz"):
                return True
        except ClientError as error:
            if error.status == _AWAY:
                return False
            raise

    # -- streams ---------------------------------------------------------------------------------

    async def logs(
        self,
        task_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        stream: str | None = None,
        attempt: int | None = None,
    ) -> AsyncGenerator[bytes]:
        """What the task wrote, in pieces as they arrive; with `follow` until the task has ended.

        `since` in seconds since the epoch; `stream` is `stdout` or `stderr`, without it both;
        `attempt` which of its containers, without it the last. Raises: ClientError with status 410
        when the container is gone.
        """
        params = _params(
            follow=1 if follow else None, tail=tail, since=since, stream=stream, attempt=attempt
        )
        call = self._call("GET", "tasks", task_id, "logs", params=params, timeout=_ENDLESS)
        async with call as response:
            async for piece in response.content.iter_any():
                yield piece

    async def events(self, since: str = "") -> AsyncGenerator[tuple[str, TransitionReport]]:
        """Transitions as they happen, each with its id, for ever.

        A stream that breaks is taken up again after the last id that came, without a hole. `since`
        is such an id. Raises: Unreachable when there is no stream to begin with, ClientError with
        status 410 when the log is another one or no longer reaches back so far.
        """
        last_id, began = since, False
        while True:
            frames = Frames(last_id)
            try:
                async for piece in self._event_pieces(last_id):
                    began = True
                    for frame_id, text in frames.feed(piece):
                        yield frame_id, decoded(text, TransitionReport)
                    last_id = frames.last_id
            except (Unreachable, ClientError) as error:
                if not began or not (error.retriable or error.status == _AWAY):
                    raise
            await asyncio.sleep(self._retry_seconds)

    async def _event_pieces(self, last_id: str) -> AsyncGenerator[bytes]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        async with self._call("GET", "events", headers=headers, timeout=_EVENTS) as response:
            yield b""  # connected: from here on a break is taken up again
            async for piece in response.content.iter_any():
                yield piece

    @asynccontextmanager
    async def _call(
        self, method: str, *path: str, **options: Unpack[_Options]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        where = self.address.joinpath(*path)
        with translated(self.address):
            async with self._session.request(
                method, where, allow_redirects=False, **options
            ) as response:
                if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                    raise refusal(response.status, await response.read())
                yield response


def _authorization(address: URL, token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if not keeps_secrets(address):
        raise BadAddress(f"{address}: a token is sent over https only, or to loopback")
    return {hdrs.AUTHORIZATION: f"Bearer {token}"}


def _token(token: str | None, file: str | Path | None) -> str | None:
    """The token, from wherever it was given. Raises: BadToken."""
    if token is not None and file is not None:
        raise BadToken("a token and a file with one: one of the two is meant")
    try:
        if file is not None:
            return own_token(read_secret(Path(file)).decode("utf-8", "replace"))
        return token if token is None else checked_token(token)
    except CannotStart as error:
        where = "" if file is None or str(file) in error.message else f"{file}: "
        raise BadToken(f"{where}{error.message}") from error


def _params(**wanted: str | float | None) -> dict[str, str]:
    """Numbers without exponent, as the wire has them."""
    given = {name: value for name, value in wanted.items() if value is not None}
    return {k: f"{v:.3f}" if isinstance(v, float) else str(v) for k, v in given.items()}
