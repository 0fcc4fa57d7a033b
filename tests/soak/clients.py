"""Clients that come and go while tasks churn: well-mannered ones, and those that are cut off.

What the worker answers is not looked at here: a stream may end with the engine's. What is wanted is
that nothing of a client is left in the worker once it has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable

import aiohttp

from tests.e2e.machine import EngineLink, Machine

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends a reset
AWAY_SECONDS = 1.5
LISTS = (
    *("/tasks", "/tasks?state=RUNNING", "/tasks?limit=5", "/tasks?name=test", "/stats"),
    *("/openapi.json", "/livez", "/readyz", "/no-such-route"),
)

Visit = Callable[[Machine, random.Random], Awaitable[None]]


async def keep_visiting(machine: Machine, visit: Visit, pause: float, seed: int) -> None:
    """One visit after another until cancelled."""
    chance = random.Random(seed)
    while True:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            await visit(machine, chance)
        await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)


async def listen(machine: Machine, chance: random.Random) -> None:
    """Follow the events for a few seconds, some from long ago."""
    since = {"since": "0"} if chance.random() < 0.2 else {}
    await read(machine, "/events", since, chance.uniform(0.2, 8))


async def follow(machine: Machine, chance: random.Random) -> None:
    """Follow what some task writes, and leave before it has ended."""
    if tasks := await machine.tasks():
        path = f"/tasks/{chance.choice(tasks)['ID']}/logs"
        await read(machine, path, {"follow": "1"}, chance.uniform(0.2, 5))


async def read(machine: Machine, path: str, query: dict[str, str], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), machine.session.get(path, params=query) as answer:
            async for _ in answer.content.iter_any():
                pass


async def ask(machine: Machine, chance: random.Random) -> None:
    """One of the questions that have an end."""
    async with machine.session.get(chance.choice(LISTS)) as answer:
        await answer.read()


async def wait(machine: Machine, chance: random.Random) -> None:
    """A long poll that is given up."""
    if tasks := await machine.tasks():
        path = f"/tasks/{chance.choice(tasks)['ID']}"
        await read(machine, path, {"wait": "ended"}, chance.uniform(0.1, 2))


async def break_off(machine: Machine, chance: random.Random) -> None:
    """A connection that is reset: before a word, in the middle of one, or while it is answered."""
    words = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    heads = (b"", words, words + b"Content-Length: 900\r\n\r\n{", b"GET /events HTTP/1.1\r\n\r\n")
    with socket.socket() as one:
        one.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(one, ("127.0.0.1", machine.port))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await loop.sock_sendall(one, chance.choice(heads))
        await asyncio.sleep(chance.uniform(0, 2))


async def never_read(machine: Machine, chance: random.Random) -> None:
    """All events since the beginning, of which not a byte is taken."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(one, ("127.0.0.1", machine.port))
        await loop.sock_sendall(one, b"GET /events?since=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(chance.uniform(10, 40))


# Each kind of visitor, and how many seconds it stays away.
VISITS: tuple[tuple[Visit, float], ...] = (
    *((listen, 1.0), (listen, 1.0), (follow, 1.0), (follow, 1.0)),
    *((ask, 0.3), (wait, 1.0), (break_off, 0.5), (never_read, 5.0)),
)


async def keep_cutting(link: EngineLink, seconds: float) -> None:
    """Now and then the engine is away for a moment, and every stream of it is cut."""
    while True:
        await asyncio.sleep(seconds)
        await link.cut()
        await asyncio.sleep(AWAY_SECONDS)
        await link.join()
