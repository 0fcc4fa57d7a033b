"""Pulls: detached, one at a time per image, a few at once.

No lane waits for a pull: it is told Pulling, and woken when the pull is over. How it ended is kept
with its time until the next pull of that image, so that every task that waited learns of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from msgspec import Struct

from keelman.errors import EngineAway, EngineError, ImageNotFound
from keelman.policy import LONGEST_WAIT_SECONDS, pulls_anew
from keelman.progress import Progress, words_of
from keelman.runtime import Runtime
from keelman.seen import Image, Missing, Present, Pulled, Pulling, Unavailable
from keelman.task import Reason, State, Task

log = structlog.get_logger(__name__)

PULLS_MOST = 3
AWAY_SECONDS = 2.0
KEPT = 2 * LONGEST_WAIT_SECONDS  # by then whoever waited has looked


class UnderWay(Struct, kw_only=True):
    """A pull from when it is wanted until it is over; its progress is None before its turn."""

    waiting: set[str]
    progress: Progress | None = None

    def tell(self, progress: Progress) -> None:
        self.progress = progress


class Images:
    """The pulls that are under way, and how the last ones ended."""

    def __init__(
        self, runtime: Runtime, clock: Callable[[], float], wake: Callable[[str], None]
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._wake = wake
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        self._under_way: dict[str, UnderWay] = {}
        self._ended: dict[str, Unavailable | Pulled] = {}

    def state(self, task: Task, found: Image) -> Image:
        """What `known` says; who asks, waits for a pull that is under way."""
        pull = self._under_way.get(task.spec.image)
        if pull is not None and (isinstance(found, Missing) or pulls_anew(task)):
            pull.waiting.add(task.id)
        return self.known(task, found)

    def known(self, task: Task, found: Image) -> Image:
        """What the engine says of a task's image, with what is known here of its pulls."""
        image = task.spec.image
        known = Pulling() if image in self._under_way else self._ended.get(image)
        if isinstance(found, Present):
            return Present(pull=known)
        return found if known is None or isinstance(known, Pulled) else known

    def shown(self, task: Task) -> Task:
        """The task with what it waits for; not on record, for it changes by the moment."""
        pull = self._under_way.get(task.spec.image)
        if pull is None or task.id not in pull.waiting or task.state is not State.SCHEDULED:
            return task
        words = words_of(task.spec.image, pull.progress)
        return task.but(reason=Reason.PULLING, message=words)

    def progress(self, task: Task) -> Progress | None:
        """How far the pull is that the task waits for."""
        pull = self._under_way.get(task.spec.image)
        return pull.progress if pull and task.reason is Reason.PULLING else None

    def under_way(self, image: str) -> Progress | None:
        """How far the pull of an image is; None before its turn, or without one."""
        pull = self._under_way.get(image)
        return None if pull is None else pull.progress

    def pull(self, image: str, task_id: str) -> None:
        """Have an image pulled; the task is woken when that is over."""
        if image not in self._under_way:
            self._under_way[image] = UnderWay(waiting=set())
            self._wanted.put_nowait(image)
        self._under_way[image].waiting.add(task_id)

    @property
    def waiting(self) -> int:
        """How many images have a pull that is not over."""
        return len(self._under_way)

    async def run(self) -> None:
        """Pull until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(PULLS_MOST):
                group.create_task(self._puller(), name=f"puller {number}")

    async def _puller(self) -> None:
        while True:
            image = await self._wanted.get()
            await self._pull(image, self._under_way[image])
            for task_id in self._under_way.pop(image).waiting:
                self._wake(task_id)

    async def _pull(self, image: str, pull: UnderWay) -> None:
        began = self._clock()
        self._ended.pop(image, None)
        pull.tell(Progress())
        log.info("pull", image=image)
        try:
            await self._runtime.pull(image, pull.tell)
        except EngineAway:  # says nothing of the image: it is looked for again
            await asyncio.sleep(AWAY_SECONDS)
        except EngineError as error:
            log.warning("pull failed", image=image, error=error.message)
            final = isinstance(error, ImageNotFound)
            words = error.message if final else f"pull {image}: {error.message}"
            self._keep(image, Unavailable(at=self._clock(), final=final, message=words))
        else:
            self._keep(image, Pulled(at=began))

    def _keep(self, image: str, end: Unavailable | Pulled) -> None:
        oldest = self._clock() - KEPT
        self._ended = {name: one for name, one in self._ended.items() if one.at > oldest}
        self._ended[image] = end
