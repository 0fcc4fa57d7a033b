"""What every row is measured with: an engine, how much to measure, and workers on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.bench.engine import EngineApi
from tests.bench.plan import Plan
from tests.bench.worker import BenchWorker, a_folder, process

BARE = "bare engine API"


class Bench:
    """One engine and one plan. `own` says that the engine is the bench's to do with as it likes."""

    def __init__(
        self, engine: EngineApi, plan: Plan, say: Callable[[str], None], own: bool
    ) -> None:
        self.engine, self.plan, self.say, self.own = engine, plan, say, own

    @property
    def slots(self) -> int:
        """How many containers a worker starts at once here, unless it is told otherwise."""
        return 2 * len(os.sched_getaffinity(0))

    @contextlib.asynccontextmanager
    async def worker(
        self,
        *options: str,
        folder: Path | None = None,
        program: tuple[str, ...] = ("keelman.cli",),
    ) -> AsyncIterator[BenchWorker]:
        """A worker that is ready and listened to; nothing of it is left on the engine."""
        async with contextlib.AsyncExitStack() as undo:
            place = await undo.enter_async_context(a_folder()) if folder is None else folder
            one = BenchWorker(place, self.engine.url, *options)
            one.program = program
            undo.push_async_callback(self.engine.remove_all, one.label)
            yield await undo.enter_async_context(process(one))
