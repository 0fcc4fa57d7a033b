"""Api: address, port, worker, router. HTTP in, HTTP out, and nothing of what tasks are.

Routes are a table (`routes`); every path answers with and without a trailing slash, and takes the
query parameters that the table names. Handlers raise; errors become responses in one place. Bodies
are small, JSON and read within a time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from keelman import access, bounds, wire
from keelman.access import Verdict
from keelman.connections import EXPECTS, Connections, listening, unsigned
from keelman.errors import (
    BadField,
    CannotStart,
    KeelmanError,
    MethodNotAllowed,
    NotFound,
    NotJson,
    RequestTimeout,
    TooLarge,
    Unauthorized,
)
from keelman.routes import Parameter, Route

log = structlog.get_logger(__name__)

W = TypeVar("W")
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request, W], Awaitable[web.StreamResponse]]

SHUTDOWN_SECONDS = 1.0
TOO_LARGE = f"the body is larger than {bounds.BODY_MOST_BYTES} bytes (1 MiB)"
CALLER = web.RequestKey("caller", str)  # of a request: who asks, as far as that is known
STRANGER = web.RequestKey("stranger", bool)  # of a request: whether the door lets him in nowhere
CODE = web.ResponseKey("code", str)  # of an answer that is an error: its code


class Door(Protocol):
    """Who is let in, and how it is spoken: in TLS, or as it is."""

    tls: ssl.SSLContext | None

    def judge(self, request: web.Request) -> Verdict:
        """Who asks, and whether he may, from the request's head alone."""


class NoDoor:
    """For who asks nobody."""

    tls = None

    def judge(self, _request: web.Request) -> Verdict:
        """Anybody may."""
        return Verdict(access.ANYBODY)


class Api(Generic[W]):
    """Serves a worker's routes on one address until stopped.

    `bind` and `start` are two steps: a taken port is found before anything is set in motion.
    `around` is put round every answer, errors included, the first outermost; `door` is asked before
    anything else is looked at, and whom it refuses learns nothing but that. `heard` is told of each
    request that it lets in, but for probes.
    """

    def __init__(  # noqa: PLR0913  # all that an address is served with
        self,
        address: str,
        port: int,
        worker: W,
        routes: Sequence[Route[Handler[W]]],
        *,
        around: Sequence[Middleware] = (),
        door: Door | None = None,
        heard: Callable[[], object] = bool,
    ) -> None:
        self.address = address
        self.port = port
        self._door = door or NoDoor()
        self._heard = heard
        self._open: set[web.AbstractRoute] = set()
        middlewares = [*around, _answer_errors, self._let_in]
        self._app = web.Application(middlewares=middlewares, client_max_size=bounds.BODY_MOST_BYTES)
        self._app.on_response_prepare.append(unsigned)
        for route in routes:
            self._add(route, worker)
        self._runner = web.AppRunner(self._app)
        self._socket: socket.socket | None = None
        self._connections: Connections | None = None

    def _add(self, route: Route[Handler[W]], worker: W) -> None:
        heard = bool if route.probe else self._heard

        async def handle(request: web.Request) -> web.StreamResponse:
            heard()
            if route.parameters is not None:
                check_query(request, route.asked)
            return await route.handler(request, worker)

        for path in (route.path, route.path + "/"):
            added = self._app.router.add_route(route.method, path, handle)
            if route.open:
                self._open.add(added)

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        """Before the route, its parameters or its body are looked at."""
        verdict = self._door.judge(request)
        request[CALLER], request[STRANGER] = verdict.caller, verdict.refusal is not None
        if verdict.refusal is not None and request.match_info.route not in self._open:
            raise verdict.refusal
        return await handler(request)

    def bind(self) -> None:
        """Take the address. Port 0 takes a free one, shown in `port`. Raises: CannotStart."""
        if not self.address:
            raise CannotStart("--host is empty; 127.0.0.1 is the usual one")
        self._socket = listening(self.address, self.port)
        self.port = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it is spoken to."""
        scheme = "http" if self._door.tls is None else "https"
        return f"{scheme}://{self.address}:{self.port}"

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        assert self._socket is not None, "bind comes first"
        return ipaddress.ip_address(self._socket.getsockname()[0]).is_loopback

    @property
    def connections(self) -> int:
        """How many are open."""
        return 0 if self._connections is None else len(self._connections)

    async def start(self) -> None:
        """Be ready to answer: who connects waits for `take`."""
        assert self._socket is not None, "bind comes first"
        await self._runner.setup()
        assert self._runner.server is not None
        self._connections = Connections(self._runner.server, self._socket, self._door.tls)

    async def take(self) -> None:
        """Take connections and answer them, until cancelled."""
        assert self._connections is not None, "start comes first"
        await self._connections.run()

    async def stop(self) -> None:
        """Stop answering; requests that still run are cancelled after a short while."""
        if self._connections is not None:
            await self._connections.end(SHUTDOWN_SECONDS)
        await self._runner.cleanup()
        if self._socket is not None:
            self._socket.close()


# -- errors to responses ---------------------------------------------------------------------------


@web.middleware
async def _answer_errors(request: web.Request, handler: Answering) -> web.StreamResponse:
    try:
        return await handler(request)
    except KeelmanError as error:
        return _error_response(error)
    except web.HTTPException as error:
        response = _error_response(_from_aiohttp(request, error))
        if hdrs.ALLOW in error.headers:
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return response
    except Exception:  # the last net: answered as 500, and logged with its traceback
        log.exception("internal_error", method=request.method, path=request.path)
        return _error_response(KeelmanError("an error in the worker; its log has the traceback"))


def _from_aiohttp(request: web.Request, error: web.HTTPException) -> KeelmanError:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = error.headers[hdrs.ALLOW]
            return MethodNotAllowed(f"{request.path} answers {allowed}, not {request.method}")
        case web.HTTPRequestEntityTooLarge():
            return TooLarge(TOO_LARGE)
        case web.HTTPNotFound():
            return NotFound(f"there is no route {request.path}")
        case _:
            return BadField(error.text or error.reason)


def _error_response(error: KeelmanError) -> web.Response:
    body = wire.encode_error(error.status, error.message, error.code)
    headers = {"Retry-After": "1"} if error.retriable else {}
    if isinstance(error, Unauthorized):
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    response = json_response(body, status=error.status, headers=headers)
    response[CODE] = error.code
    return response


# -- what handlers use -----------------------------------------------------------------------------


def json_response(
    body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A response of JSON that is encoded already."""
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


async def send_json(
    request: web.Request, body: bytes, *, headers: dict[str, str]
) -> web.StreamResponse:
    """A response of JSON that may be large, to a client that has to read it."""
    if len(body) <= bounds.WHOLE_BYTES:
        return json_response(body, headers={hdrs.CACHE_CONTROL: "no-store", **headers})
    response = web.StreamResponse(headers=headers)
    response.content_type, response.content_length = "application/json", len(body)
    async with streaming(request, response):
        for start in range(0, len(body), bounds.PART_BYTES):
            await send(response, memoryview(body)[start : start + bounds.PART_BYTES])
    return response


async def read_json(request: web.Request) -> bytes:
    """The request's body. Raises: NotJson, TooLarge, RequestTimeout."""
    if request.content_type != "application/json":
        raise NotJson("Content-Type must be application/json")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise NotJson("Content-Encoding is not supported; send the JSON as it is")
    if (request.content_length or 0) > bounds.BODY_MOST_BYTES:
        raise TooLarge(TOO_LARGE)
    try:
        async with asyncio.timeout(bounds.BODY_SECONDS):
            if request[EXPECTS].lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return await request.read()
    except TimeoutError as error:
        raise RequestTimeout(f"the body did not come within {bounds.BODY_SECONDS:g} s") from error


def check_query(request: web.Request, asked: Mapping[str, Parameter]) -> None:
    """Each parameter known, and given once where it may not be repeated. Raises: BadField."""
    for name in request.query:
        if name not in asked:
            known = ", ".join(asked) or "none"
            raise BadField(f"{name[:80]}: unknown parameter; this route takes {known}")
        if len(request.query.getall(name)) > 1 and not asked[name].repeats:
            raise BadField(f"{name}: given more than once")


@asynccontextmanager
async def streaming(request: web.Request, response: web.StreamResponse) -> AsyncIterator[None]:
    """A response under way: what goes wrong from here on cuts it visibly short, unanswered."""
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    try:
        await response.prepare(request)
    except ConnectionError as error:  # the client went, and its cancellation is on its way
        raise asyncio.CancelledError from error
    try:
        yield
    except (KeelmanError, TimeoutError, ConnectionError):
        _cut_off(request)
    except Exception:  # the last net, as for other answers
        log.exception("internal_error", method=request.method, path=request.path)
        _cut_off(request)


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def send(response: web.StreamResponse, chunk: bytes | memoryview) -> None:
    """Write to a client that has to read. Raises: ConnectionError, TimeoutError."""
    async with asyncio.timeout(bounds.WRITE_SECONDS):
        await response.write(chunk)
