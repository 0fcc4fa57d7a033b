"""The engine's endless answers, taken apart as they arrive.

Errors of the connection come out as they are, but for those of events: `docker` translates them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import ClientResponse

from keelman.errors import EngineAway, EngineFailed
from keelman.runtime import LogOptions, container, frames
from keelman.runtime.connection import translated
from keelman.runtime.frames import Frame


async def lines(response: ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a stream, of any length: an event carries its container's labels."""
    rest = b""
    async for received in response.content.iter_any():
        *whole, rest = (rest + received).split(b"\n")
        for line in whole:
            yield line


async def task_ids(response: ClientResponse) -> AsyncGenerator[str, None]:
    """The tasks whose containers moved. Raises: EngineAway, when the events end as well."""
    with translated():
        async for line in lines(response):
            if task_id := container.task_in_event(line):
                yield task_id
    raise EngineAway("the engine's stream of events ended")


@asynccontextmanager
async def patience(words: str, seconds: float) -> AsyncIterator[Callable[[], None]]:
    """Gives up when the function it gives was not called for so long. Raises: EngineFailed."""
    loop, limit = asyncio.get_running_loop(), asyncio.timeout(seconds)
    try:
        async with limit:
            yield lambda: limit.reschedule(loop.time() + seconds)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise EngineFailed(f"{words} said nothing for {seconds:g} s") from error


async def output(response: ClientResponse) -> AsyncIterator[Frame]:
    """The frames of a log. Raises: ValueError when it ends inside of one."""
    rest = b""
    async for received in response.content.iter_any():
        whole, rest = frames.split(rest + received)
        for frame in whole:
            yield frame
    if rest:
        raise ValueError("it ended inside a frame")


def log_query(options: LogOptions) -> dict[str, str]:
    """The options in the engine's words. It counts `tail` over both streams, then drops one."""
    asked = ("stdout", "stderr") if options.stream == "both" else (options.stream,)
    return dict.fromkeys(asked, "1") | {
        "follow": "1" if options.follow else "0",
        "tail": "all" if options.tail is None else str(options.tail),
        "since": f"{options.since:.6f}",
    }
