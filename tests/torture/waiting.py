"""Waiting for another process: there is no event to wait for, and the machine may be slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 300.0  # a hang is a failure; nothing is measured by it


async def until(
    holds: Callable[[], Awaitable[bool]], what: str, patience: float = PATIENCE_SECONDS
) -> None:
    """Raises: TimeoutError, in words, when it does not become so."""
    if not await became(holds, patience):
        raise TimeoutError(f"after {patience:g} s it is not so that {what}")


async def became(holds: Callable[[], Awaitable[bool]], patience: float = PATIENCE_SECONDS) -> bool:
    """Whether it became so in time."""
    try:
        async with asyncio.timeout(patience):
            while not await holds():  # noqa: ASYNC110  # another process has no event to wait for
                await asyncio.sleep(0.1)
    except TimeoutError:
        return False
    return True
