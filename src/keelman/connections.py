"""Connections: so many at once, each with a time for its handshake, its head and its answer.

A connection without a request in hand waits: for its handshake, its head, its next request. When
there is no room, the one that has waited longest makes it, so whoever opens many and says nothing
shuts out nobody but himself. When none waits, the new one is closed. What a request is, and what is
answered, is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError, RawRequestMessage

from keelman import bounds
from keelman.errors import CannotStart

log = structlog.get_logger(__name__)

ACCEPT_AGAIN_SECONDS = 1.0
EXPECTS = web.RequestKey("expects", str)  # of a request: what it expects before its body is sent


def listening(address: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one. Raises: CannotStart."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=1024, reuse_port=False)
    except OSError as error:
        if isinstance(error, socket.gaierror) or (error.errno or 0) < 0:  # a resolver's number
            raise CannotStart(f"--host: no address is known for {address}") from error
        words = os.strerror(error.errno) if error.errno else str(error)
        raise CannotStart(f"cannot listen on {address} port {port}: {words}") from error


async def unsigned(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """An answer does not tell strangers by which versions of what it was made."""
    response.headers.popall(hdrs.SERVER, None)


class _NotHttp(logging.Filter):
    """What is no HTTP has been answered, and anybody may send as much of it as he likes."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_aiohttp_log = logging.getLogger(__name__)
_aiohttp_log.addFilter(_NotHttp())


class Connections(web.Server):
    """Takes connections from a socket that listens, and has `inner` answer what they ask."""

    def __init__(
        self, inner: web.Server, listening: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(
            self._answer,
            request_factory=self._without_expect,
            handler_cancellation=True,
            auto_decompress=False,  # a few bytes may become gigabytes
            access_log=None,
            logger=_aiohttp_log,
            keepalive_timeout=bounds.IDLE_SECONDS,  # from the beginning, for the first head too
            lingering_time=bounds.LINGER_SECONDS,
            read_bufsize=bounds.BODY_AHEAD_BYTES,
            max_line_size=bounds.LINE_MOST_BYTES,
            max_field_size=bounds.FIELD_MOST_BYTES,
            max_headers=bounds.FIELDS_MOST,
        )
        self._inner = inner
        self._listening = listening
        self._tls = tls
        self._ends: dict[web.RequestHandler, Callable[[], object]] = {}  # of each, how to end it
        self._waiting: dict[web.RequestHandler, None] = {}  # without a request; the longest first

    def __len__(self) -> int:
        """How many are open, those in their handshake included."""
        return len(self._ends)

    # -- taking them -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Take connections until cancelled."""
        self._listening.settimeout(0.0)
        async with asyncio.TaskGroup() as group:
            while True:
                peer = await self._accepted()
                if self._has_room():
                    group.create_task(self._welcome(peer), name="handshake")
                    await asyncio.sleep(0)  # it is counted from here on
                else:
                    peer.close()

    async def _accepted(self) -> socket.socket:
        while True:
            try:
                peer, _ = await asyncio.get_running_loop().sock_accept(self._listening)
            except ConnectionError:  # it went before it was taken
                continue
            except OSError as error:  # no descriptor left
                log.warning("no connection taken", error=error.strerror)
                self._make_room()
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
            else:
                return peer

    def _has_room(self) -> bool:
        few = len(self) < bounds.CONNECTIONS_MOST and len(self._waiting) < bounds.WAITING_MOST
        return few or self._make_room()

    def _make_room(self) -> bool:
        """End the connection that has waited longest, if one waits."""
        for longest in self._waiting:
            self._ends[longest]()
            self._forget(longest)
            return True
        return False

    async def _welcome(self, peer: socket.socket) -> None:
        """Hand a connection over, after its handshake. One that fails is nobody's trouble."""
        connection, task = self(), asyncio.current_task()
        assert task is not None
        self._ends[connection], self._waiting[connection] = task.cancel, None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                peer,
                ssl=self._tls,
                ssl_handshake_timeout=bounds.HANDSHAKE_SECONDS if self._tls else None,
            )
        except OSError:
            self._forget(connection)
            peer.close()
        except asyncio.CancelledError:  # it had to make room, or the worker goes
            peer.close()
            raise

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if handler in self._ends:
            self._ends[handler] = transport.abort
        else:  # it had to make room in the very moment
            transport.abort()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._forget(handler)

    def _forget(self, connection: web.RequestHandler) -> None:
        self._ends.pop(connection, None)
        self._waiting.pop(connection, None)

    async def end(self, seconds: float) -> None:
        """Close all, requests that still run after so many seconds."""
        await asyncio.sleep(0)  # what has come is begun
        self.pre_shutdown()
        await self.shutdown(seconds)

    # -- what they ask ---------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Have a request answered; until the answer is sent, its connection makes no room."""
        connection = request.protocol
        self._waiting.pop(connection, None)
        try:
            response = await self._inner.request_handler(request)
            if not request.content.is_eof():
                _stop_parsing(connection, response)
            await _sent(request, response)
        finally:
            if connection in self._ends:
                self._waiting[connection] = None
        return response

    def _without_expect(
        self,
        message: RawRequestMessage,
        *rest: Any,
    ) -> web.BaseRequest:
        """A request that is answered at once, where aiohttp would ask for its body first."""
        expects = message.headers.get(hdrs.EXPECT, "")
        if expects:
            headers = message.headers.copy()
            del headers[hdrs.EXPECT]
            message = message._replace(headers=type(message.headers)(headers))
        request = self._inner.request_factory(message, *rest)
        request[EXPECTS] = expects
        return request


def _stop_parsing(connection: web.RequestHandler, response: web.StreamResponse) -> None:
    """Throw away unparsed what is still sent of a body that was answered already.

    aiohttp would look for its end: seconds of work in a megabyte of one-byte chunks, for anybody.
    """
    response.force_close()
    connection.close()


async def _sent(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """An answer, to a client that has to read it; one that does not is cut off."""
    try:
        async with asyncio.timeout(bounds.WRITE_SECONDS):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:  # aiohttp meets it once more, and ends the connection
        return
