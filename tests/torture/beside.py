"""What watches beside whoever is tortured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol


class Follower(Protocol):
    """Follows something until cancelled."""

    def follow(self) -> Coroutine[Any, Any, None]: ...


class Watched(Protocol):
    """Somebody with two who watch it: the engine's truth, and its own word."""

    @property
    def truth(self) -> Follower: ...
    @property
    def listener(self) -> Follower: ...
    async def close(self) -> None: ...


@asynccontextmanager
async def watched(one: Watched) -> AsyncIterator[None]:
    """It is watched while this is entered, and closed then."""
    async with asyncio.TaskGroup() as group:
        watching = [
            group.create_task(one.truth.follow(), name="truth"),
            group.create_task(one.listener.follow(), name="listener"),
        ]
        try:
            yield
        finally:
            for task in watching:
                task.cancel()
            await one.close()
