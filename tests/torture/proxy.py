"""A bad way to the engine: a socket that passes on what it is asked, or spoils it on purpose.

Which request is spoiled, and how, is decided by one function; everything else here is dull.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

ROUTES = {
    "list": r"GET /containers/json",
    "inspect": r"GET /containers/[^/]+/json",
    "create": r"POST /containers/create",
    "start": r"POST /containers/[^/]+/start",
    "kill": r"POST /containers/[^/]+/kill",
    "remove": r"DELETE /containers/[^/]+",
    "events": r"GET /events",
    "images": r"GET /images/.+/json",
    "pull": r"POST /images/create",
    "info": r"GET /info",
    "logs": r"GET /containers/[^/]+/logs",
    "version": r"GET /version",
}
NO_END = aiohttp.ClientTimeout(total=None)
DELAY_SECONDS = 3.0
HANG_SECONDS = 45.0  # longer than the worker waits for any answer


class Fault(StrEnum):
    """What is done to a request."""

    DELAY = "delay"
    CUT_BEFORE = "reset before"
    CUT_AFTER = "reset after"
    HALF = "half an answer"
    ERROR_BEFORE = "500 before"
    ERROR_AFTER = "500 after"
    HANG = "done, no answer"


Spoil = Callable[[str], Fault | None]  # of the route's name


class Proxy:
    """The socket `path`, which leads to the engine at `target`; `spoil` says what goes wrong."""

    def __init__(self, path: Path, target: str) -> None:
        self.path, self.target = path, target
        self.spoil: Spoil = lambda route: None
        self.hits: Counter[str] = Counter()  # "route: fault"
        self._streams: set[asyncio.BaseTransport] = set()

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(self.target, limit=0)
        self._engine = aiohttp.ClientSession(
            connector=connector, timeout=NO_END, auto_decompress=False
        )
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, handle_signals=False, handler_cancellation=True, shutdown_timeout=1
        )
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut_streams()
        await self._runner.cleanup()
        await self._engine.close()

    def cut_streams(self) -> None:
        """Break off what is open without an end: the stream of events."""
        for transport in self._streams:
            transport.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        route = route_of(request.method, request.path)
        fault = self.spoil(route)
        if fault is not None:
            self.hits[f"{route}: {fault}"] += 1
        match fault:
            case Fault.CUT_BEFORE:
                raise _cut(request)
            case Fault.ERROR_BEFORE:
                return _failed()
            case Fault.DELAY:
                await asyncio.sleep(DELAY_SECONDS)
            case _:
                pass
        with contextlib.suppress(aiohttp.ClientConnectionError):
            return await self._passed_on(request, fault)
        raise _cut(request)

    async def _passed_on(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """What is endless is only begun: its head is the answer that a fault can spoil."""
        body = await request.read()
        url = f"http://engine{request.raw_path}"
        headers = {key: value for key, value in request.headers.items() if key in PASSED}
        async with self._engine.request(
            request.method, url, data=body or None, headers=headers
        ) as told:
            endless = request.path.endswith("/events")
            if fault is None or fault is Fault.DELAY:
                return await self._streamed(request, told)
            whole = b"" if endless else await told.read()
        if fault is Fault.HANG:
            await asyncio.sleep(HANG_SECONDS)
        if fault is Fault.ERROR_AFTER:
            return _failed()
        if fault is Fault.HALF:
            await _half(request, told, whole)
        raise _cut(request)

    async def _streamed(
        self, request: web.Request, told: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        answer = web.StreamResponse(status=told.status, headers=_headers(told))
        if told.content_length is not None:
            answer.content_length = told.content_length
        await answer.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        self._streams.add(transport)
        try:
            async for piece in told.content.iter_any():
                await answer.write(piece)
            await answer.write_eof()
        finally:
            self._streams.discard(transport)
        return answer


PASSED = ("Content-Type", "X-Registry-Auth", "X-Registry-Config")


def route_of(method: str, path: str) -> str:
    """The name of a route; `other` for what the worker is not known to ask."""
    bare = re.sub(r"^/v[0-9.]+", "", path)
    for name, pattern in ROUTES.items():
        if re.fullmatch(pattern, f"{method} {bare}"):
            return name
    return "other"


def _headers(told: aiohttp.ClientResponse) -> dict[str, str]:
    return {"Content-Type": told.headers.get("Content-Type", "application/json")}


def _failed() -> web.Response:
    return web.json_response({"message": "spoiled on purpose"}, status=500)


def _cut(request: web.Request) -> ConnectionResetError:
    """End the connection without a word more."""
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError()


async def _half(request: web.Request, told: aiohttp.ClientResponse, whole: bytes) -> None:
    answer = web.StreamResponse(status=told.status, headers=_headers(told))
    if told.status not in (204, 304):
        answer.content_length = len(whole) + 10
    await answer.prepare(request)
    await answer.write(whole[: len(whole) // 2])
