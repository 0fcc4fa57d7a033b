"""Long polls: a task, once it runs or has ended, or when the time is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from keelman import params
from keelman.keeper import Keeper
from keelman.routes import Parameter
from keelman.task import State, Task

TIMEOUT_SECONDS = 30.0
TIMEOUT_MOST_SECONDS = 3600.0
PARAMETERS = (
    Parameter("wait", "answer when it runs or has ended", {"enum": ["running", "ended"]}),
    Parameter(
        "timeout",
        f"seconds to wait at most; without it {TIMEOUT_SECONDS:g}",
        {"type": "number", "minimum": 0, "maximum": TIMEOUT_MOST_SECONDS},
    ),
)


class Wait(Struct, frozen=True, kw_only=True):
    """The least State to wait for (None: do not wait), and for how long."""

    state: State | None
    timeout_seconds: float

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Self:
        """From a query. Raises: BadField."""
        states = {None: None, "running": State.RUNNING, "ended": State.COMPLETED}
        timeout = params.seconds(asked, "timeout", most=TIMEOUT_MOST_SECONDS)
        return cls(
            state=states[params.choice(asked, "wait", "running", "ended")],
            timeout_seconds=TIMEOUT_SECONDS if timeout is None else timeout,
        )


async def until(keeper: Keeper, task_id: str, wait: Wait) -> Task:
    """The task as it is when the wait is over. Raises: UnknownTask, TooMany."""
    if wait.state is not None and keeper.get_task(task_id).state < wait.state:
        with keeper.seats.waiters.one(), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait.timeout_seconds):
                await _reached(keeper, task_id, wait.state)
    return keeper.get_task(task_id)


async def _reached(keeper: Keeper, task_id: str, state: State) -> None:
    seq = keeper.events.last_seq
    while keeper.get_task(task_id).state < state and not keeper.events.closed:
        seq = await keeper.events.after_move_of(task_id, seq)
