"""Many listeners to one worker's events: `python -m tests.bench.audience PORT COUNT`.

It says "ready" once all are connected, listens until each has what it is told on its standard input
is the last Transition's number, or nothing comes any more, and prints what was heard. What came is
only kept, and read afterwards: the listeners are not to be what is measured.
"""

from __future__ import annotations

import asyncio
import re
import resource
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from tests.bench.figures import Summary, summary

REQUEST = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
MOVE = re.compile(rb'data: (\{"Seq":\d+.*\})\n')


class Told(Struct, frozen=True, kw_only=True):
    """How much came and did not, and how long it was on its way, in ms."""

    heard: int
    lost: int
    lags: Summary


class _Move(Struct, frozen=True):
    seq: int = msgspec.field(name="Seq")
    time: datetime = msgspec.field(name="Time")


class Listener(asyncio.Protocol):
    """Keeps what comes, and when."""

    def __init__(self) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(REQUEST)  # uvloop's are of no such class

    def data_received(self, data: bytes) -> None:
        self.chunks.append((time.time(), data))
        self.begun.set()

    def moves(self) -> Iterator[tuple[int, float]]:
        """Each Transition's number, and how many seconds after its Time it was here whole."""
        rest = b""
        for at, chunk in self.chunks:
            *whole, rest = (rest + chunk).split(b"\n\n")
            for frame in whole:
                if found := MOVE.search(frame + b"\n"):
                    move = msgspec.json.decode(found[1], type=_Move)
                    yield move.seq, at - move.time.timestamp()


def told(listeners: list[Listener], last: int) -> Told:
    """What all of them heard of the Transitions up to the last."""
    lags: list[float] = []
    lost = 0
    for one in listeners:
        heard = dict(one.moves())
        lost += len(set(range(1, last + 1)) - heard.keys())
        lags += [1000 * lag for lag in heard.values()]
    return Told(heard=len(lags), lost=lost, lags=summary(lags))


async def listen(port: int, count: int) -> Told:
    loop = asyncio.get_running_loop()
    listeners = [Listener() for _ in range(count)]
    for one in listeners:
        await loop.create_connection(partial(_itself, one), "127.0.0.1", port)
        await one.begun.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    last = int(await loop.run_in_executor(None, sys.stdin.readline))
    await _until_still(listeners)
    return told(listeners, last)


def _itself(listener: Listener) -> Listener:
    return listener


async def _until_still(listeners: list[Listener]) -> None:
    """Until nothing has come for a while."""
    before = -1
    while (now := sum(len(one.chunks) for one in listeners)) != before:
        before = now
        await asyncio.sleep(1)


def main() -> None:
    port, count = map(int, sys.argv[1:])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(listen(port, count))))


if __name__ == "__main__":
    main()
