"""Long polls: a task, once it runs or has ended, or when the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from keelman import params
from keelman.task import State, Task
from keelman.worker.worker import Worker

TIMEOUT_SECONDS = 30.0
TIMEOUT_MOST_SECONDS = 3600.0


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


async def until(worker: Worker, task_id: str, wait: Wait) -> Task:
    """The task as it is when the wait is over. Raises: UnknownTask."""
    task = worker.get_task(task_id)
    if wait.state is None:
        return task
    try:
        async with asyncio.timeout(wait.timeout_seconds):
            while task.state < wait.state and not worker.events.closed:
                await worker.events.news()
                task = worker.get_task(task_id)
    except TimeoutError:
        pass
    return task
