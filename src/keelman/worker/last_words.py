"""The last lines that a container wrote, for the message of a task that FAILED."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

import msgspec

from keelman import hiding
from keelman.errors import KeelmanError
from keelman.moves import Step
from keelman.runtime import LogOptions, Runtime
from keelman.words import ANNOUNCED

LINES = 10
LINE_MOST = 500
PATIENCE_SECONDS = 5.0


async def added(runtime: Runtime, step: Step) -> Step:
    """The step with the container's last ten lines in its message; without, when there are none.

    A program may write its Env out: values are hidden, as everywhere that others look at.
    """
    move = step.transition
    if move is None or not move.container_id:
        return step
    lines = await _tail(runtime, move.container_id, step.task.spec.env)
    if not lines:
        return step
    message = "\n".join([f"{move.message}{ANNOUNCED}", *lines])
    return msgspec.structs.replace(
        step,
        task=step.task.but(message=message),
        transition=msgspec.structs.replace(move, message=message),
    )


async def _tail(runtime: Runtime, container_id: str, env: Mapping[str, str]) -> list[str]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async with aclosing(runtime.logs(container_id, LogOptions(tail=LINES))) as written:
                chunks = [chunk async for chunk in written]
    except (KeelmanError, TimeoutError):
        return []
    text = hiding.words(b"".join(chunks).decode(errors="replace"), env)
    return [line[:LINE_MOST] for line in text.splitlines()[-LINES:]]
