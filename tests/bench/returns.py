"""The return: a worker that was killed is ready again."""

from __future__ import annotations

import asyncio
import time

from tests.bench import records
from tests.bench.bench import Bench
from tests.bench.figures import AT_MOST, OURS, Figure, Goal, Row, summary
from tests.bench.worker import BenchWorker, a_data_dir, a_folder

KEY = "returns"
GOAL = Goal(AT_MOST, 2.0)


async def measure(bench: Bench) -> Row:
    """kill -9, start, and ask until it says that it is ready."""
    count, containers = bench.plan.return_records, bench.plan.return_containers
    async with a_folder() as folder:
        await records.fill(a_data_dir(folder), count, time.time())
        async with bench.worker(folder=folder) as worker:
            await worker.run_all(containers)
            taken = [await _return(bench, worker) for _ in range(bench.plan.returns)]
    sides = {OURS: summary(taken)}
    name = f"{count:,} records, {containers} running containers"
    value = sides[OURS].median
    figure = Figure(name=name, value=value, unit="s", goal=GOAL, sides=sides, sides_unit="s")
    return Row(key=KEY, figures=(figure,))


async def _return(bench: Bench, worker: BenchWorker) -> float:
    await worker.kill()
    began = time.monotonic()
    await worker.start()
    while not await worker.is_ready():  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.005)
    taken = time.monotonic() - began
    bench.say(f"ready again after {taken:.2f} s")
    return taken
