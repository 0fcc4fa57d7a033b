"""The bench that every scenario works on: a worker, its manager, its engine, and who watches."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.torture import listener
from tests.torture.beside import watched
from tests.torture.engine import Engine
from tests.torture.judge import Evidence, Tally, counted, lost_words
from tests.torture.listener import Listener
from tests.torture.manager import Manager
from tests.torture.orders import RUNNING, Order
from tests.torture.process import Process
from tests.torture.truth import Truth
from tests.torture.waiting import PATIENCE_SECONDS, became, until

SLOTS = 4
Report = dict[str, Any]


class Bench:
    """One worker on one engine, with all that is needed to torture it and to judge."""

    def __init__(
        self, folder: Path, socket: str, chance: random.Random, say: Callable[[str], None]
    ) -> None:
        self.folder, self.chance, self.say = folder, chance, say
        self.starts = folder / "starts"
        self.starts.mkdir(mode=0o777)
        self.starts.chmod(0o777)
        name = f"torture-{chance.getrandbits(32):08x}"
        options = ["--allow-mount", str(folder), "--start-slots", str(SLOTS)]
        options += ["--keep-ended-tasks", "1000000", "--keep-ended-hours", "100000"]
        self.worker = Process(name, folder, f"unix://{socket}", *options)
        self.manager = Manager(self.worker.url, self.starts, chance)
        self.listener = Listener(self.worker.url)
        self.truth = Truth(socket, name)
        self.recoveries: list[float] = []
        self.excused: frozenset[int] = frozenset()  # exit codes that are not a task's own
        self.excused_reasons: frozenset[str] = frozenset()  # of tasks that never ran
        self._settled = 0.0

    # -- the worker ------------------------------------------------------------------------------

    async def up(self) -> None:
        """Start the worker and wait until it is ready."""
        await self.worker.start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until the worker says that it is; how long that took is kept.

        One that ended by itself, on a full disk for one, is started again, as a service would be.
        """

        async def is_ready() -> bool:
            if not self.worker.lives:
                await self.worker.start()
            return await self.manager.answers_at("/readyz")

        began = time.monotonic()
        await until(is_ready, "the worker is ready")
        self.recoveries.append(time.monotonic() - began)

    # -- waiting ---------------------------------------------------------------------------------

    async def until_tasks(self, orders: Sequence[Order], holds: Callable[[Report], bool]) -> None:
        """Wait until something holds of the tasks of all these orders."""

        async def look() -> bool:
            tasks = await self.manager.tasks()
            return all(one.task_id in tasks and holds(tasks[one.task_id]) for one in orders)

        await until(look, f"it holds of {[one.task_id for one in orders]}")

    async def until_running(self, *orders: Order) -> None:
        await self.until_tasks(orders, lambda task: task["State"] == RUNNING)

    async def until_known(self, *orders: Order) -> None:
        await self.until_tasks(orders, lambda task: True)

    async def settle(self, patience: float = PATIENCE_SECONDS) -> None:
        """Wait until every task is where it must be, or for so long that it will never be."""
        began = time.monotonic()

        missing: list[str] = []

        async def at_rest() -> bool:
            evidence = await self._evidence(gaps=[])
            words = (lost_words(order, evidence) for order in evidence.accepted)
            missing[:] = [one for one in words if one]
            return not missing

        if not await became(at_rest, patience):
            self.say(f"after {patience:g} s not at rest: {missing}")
        self._settled = time.monotonic() - began

    # -- judging ---------------------------------------------------------------------------------

    async def _evidence(self, gaps: list[str]) -> Evidence:
        return Evidence(
            orders=self.manager.orders,
            tasks=await self.manager.tasks(),
            containers=await self.truth.containers(),
            starts=self.starts,
            doubles=self.truth.doubles,
            gaps=gaps,
            excused=self.excused,
            excused_reasons=self.excused_reasons,
        )

    async def judge(self, scenario: str, rounds: str, *notes: str) -> Tally:
        """Let it settle, then count."""
        await self.settle()
        await asyncio.sleep(1)  # what should not come any more would come now
        log = await listener.whole_log(self.worker.url)
        states = {one: task["State"] for one, task in (await self.manager.tasks()).items()}
        gaps = [*self.listener.holes, *listener.gaps(log, self.listener.heard, states)]
        evidence = await self._evidence(gaps)
        tally = counted(evidence)
        if self.excused_reasons:
            reasons = " or ".join(sorted(self.excused_reasons))
            notes = (*notes, f"{evidence.excuses} FAILED with {reasons}, not run")
        if "Traceback" in self.worker.log() or "internal_error" in self.worker.log():
            tally = tally.and_wrong("the worker's log tells of a bug")
        return msgspec.structs.replace(
            tally,
            scenario=scenario,
            rounds=rounds,
            transitions=len(log),
            recoveries=tuple(self.recoveries),
            settled=self._settled,
            notes=notes,
        )

    async def close(self) -> None:
        await self.worker.kill()
        await self.manager.close()
        with contextlib.suppress(aiohttp.ClientError):  # the engine is gone, and they with it
            await self.truth.remove_all()


@asynccontextmanager
async def bench(
    chance: random.Random, say: Callable[[str], None], socket: str
) -> AsyncIterator[Bench]:
    """A bench on the engine at `socket`, watched while this is entered; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="keelman-torture-"))
    one = Bench(folder, socket, chance, say)
    try:
        async with watched(one):
            yield one
    finally:
        if one.worker.log_file.exists():
            shutil.copy(one.worker.log_file, folder.with_suffix(".log"))
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def own_engine(chance: random.Random, *, live_restore: bool = False) -> AsyncIterator[Engine]:
    """An engine of its own, with the image, while this is entered; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="keelman-engine-"))
    engine = Engine(folder, f"torture-{chance.getrandbits(32):08x}")
    try:
        await engine.start(live_restore=live_restore)
        await engine.load_image()
        yield engine
    finally:
        await engine.close()
        shutil.rmtree(folder, ignore_errors=True)
