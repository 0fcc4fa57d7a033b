"""Pulls: detached, one at a time per image, a few at once.

No lane waits for a pull: it is told Pulling, and woken when the pull is over. A failure is kept
with its time until the next pull of that image, so that every task that waited learns of it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

import structlog

from keelman.errors import EngineAway, EngineError, ImageNotFound
from keelman.policy import LONGEST_WAIT_SECONDS
from keelman.runtime import Runtime
from keelman.seen import Image, Missing, Pulling, Unavailable

log = structlog.get_logger(__name__)

PULLS_MOST = 3
AWAY_SECONDS = 2.0
KEPT = 2 * LONGEST_WAIT_SECONDS  # by then whoever waited has looked


class Images:
    """The pulls that are under way, and how the last ones failed."""

    def __init__(
        self, runtime: Runtime, clock: Callable[[], float], wake: Callable[[str], None]
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._wake = wake
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        self._failed: dict[str, Unavailable] = {}

    def state(self, image: str, task_id: str, found: Image) -> Image:
        """What the engine says of an image, with what is known here of its pull."""
        if not isinstance(found, Missing):
            return found
        if image in self._waiting:
            self._waiting[image].add(task_id)
            return Pulling()
        return self._failed.get(image, found)

    def pull(self, image: str, task_id: str) -> None:
        """Have an image pulled; the task is woken when that is over."""
        if image not in self._waiting:
            self._wanted.put_nowait(image)
        self._waiting[image].add(task_id)

    async def run(self) -> None:
        """Pull until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(PULLS_MOST):
                group.create_task(self._puller(), name=f"puller {number}")

    async def _puller(self) -> None:
        while True:
            image = await self._wanted.get()
            await self._pull(image)
            for task_id in self._waiting.pop(image):
                self._wake(task_id)

    async def _pull(self, image: str) -> None:
        self._failed.pop(image, None)
        log.info("pull", image=image)
        try:
            await self._runtime.pull(image)
        except EngineAway:  # says nothing of the image: it is looked for again
            await asyncio.sleep(AWAY_SECONDS)
        except EngineError as error:
            log.warning("pull failed", image=image, error=error.message)
            final = isinstance(error, ImageNotFound)
            now = self._clock()
            self._failed = {name: one for name, one in self._failed.items() if now - one.at < KEPT}
            self._failed[image] = Unavailable(at=now, final=final, message=error.message)
