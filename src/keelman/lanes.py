"""Lanes: one per task, many at once.

A lane is an asyncio task that lives while its Keelman task has something to do, so that a settled
one costs nothing. A wake-up during a step makes the lane look once more; one lost costs time only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Step = Callable[[str], Awaitable[float | None]]

LEAST_SECONDS = 0.001  # the loop's timers may be early by less: the step would find nothing due


class Lanes:
    """Runs `step(id)` for every id that is woken, never twice at once for one id.

    `step` answers when to look again, in `clock`'s seconds: at once if that is past, None for not
    before the next wake-up. It must not raise.
    """

    def __init__(self, step: Step, clock: Callable[[], float]) -> None:
        self._step = step
        self._clock = clock
        self._woken: dict[
            str, bool
        ] = {}  # the running lanes, and whether they were woken meanwhile
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._group: asyncio.TaskGroup | None = None
        self._early: list[str] = []

    @property
    def active(self) -> int:
        """How many lanes run."""
        return len(self._woken)

    async def run(self) -> None:
        """Run lanes until cancelled; from then on nothing starts any more."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for task_id in self._early:
                self.wake(task_id)
            self._early.clear()
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None
                for timer in self._timers.values():
                    timer.cancel()

    def wake(self, task_id: str) -> None:
        """Have a task looked at now."""
        if timer := self._timers.pop(task_id, None):
            timer.cancel()
        if task_id in self._woken:
            self._woken[task_id] = True
        elif self._group is None:
            self._early.append(task_id)
        else:
            self._woken[task_id] = False
            self._group.create_task(self._lane(task_id), name=f"lane {task_id}")

    async def _lane(self, task_id: str) -> None:
        try:
            wake = await self._until_settled(task_id)
        finally:
            del self._woken[task_id]
        if wake is not None:
            delay = max(wake - self._clock(), LEAST_SECONDS)
            loop = asyncio.get_running_loop()
            self._timers[task_id] = loop.call_later(delay, self.wake, task_id)

    async def _until_settled(self, task_id: str) -> float | None:
        while True:
            self._woken[task_id] = False
            wake = await self._step(task_id)
            if not self._woken[task_id] and (wake is None or wake > self._clock()):
                return wake
