"""Footprint: memory with nothing to do and with many tasks on record, and CPU while idle."""

from __future__ import annotations

import asyncio
import time

from tests.bench import records
from tests.bench.bench import Bench
from tests.bench.figures import AT_MOST, Figure, Goal, Row
from tests.bench.worker import MIB, a_data_dir, a_folder

KEY = "footprint"
MEMORY = {0: 60.0, 1000: 70.0, 10_000: 100.0}  # records: MB
MB = 1e6
IDLE = Goal(AT_MOST, 0.5)
REST_SECONDS = 2.0
LISTS = 5


async def measure(bench: Bench) -> Row:
    """Memory after start and after lists; CPU of a worker whose containers just run."""
    figures = [
        figure for count, most in MEMORY.items() for figure in await _memory(bench, count, most)
    ]
    figures.append(await _idle(bench))
    for one in figures:
        bench.say(f"{one.name}: {one.value:.2f} {one.unit}")
    note = f"After each restart the worker was left alone for {REST_SECONDS:g} s."
    return Row(key=KEY, figures=tuple(figures), notes=(note,))


async def _memory(bench: Bench, count: int, most: float) -> list[Figure]:
    async with a_folder() as folder:
        await records.fill(a_data_dir(folder), count, time.time())
        async with bench.worker(folder=folder) as worker:
            await asyncio.sleep(REST_SECONDS)
            name = f"RSS, {count:,} tasks" if count else "RSS, idle"
            at_rest = worker.memory * MIB / MB
            for _ in range(LISTS):
                async with worker.session.get("/tasks") as response:
                    await response.read()
            listed = worker.memory * MIB / MB
    return [
        Figure(name=name, value=at_rest, unit="MB", goal=Goal(AT_MOST, most)),
        Figure(name=f"{name}, after {LISTS} lists of all", value=listed, unit="MB"),
    ]


async def _idle(bench: Bench) -> Figure:
    count = bench.plan.idle_containers
    async with bench.worker() as worker:
        await worker.run_all(count)
        await asyncio.sleep(REST_SECONDS)
        process, began = worker.process, time.monotonic()
        before = process.cpu_times()
        await asyncio.sleep(bench.plan.idle_seconds)
        after, seconds = process.cpu_times(), time.monotonic() - began
    used = after.user + after.system - before.user - before.system
    name = f"CPU while idle with {count} running containers"
    return Figure(name=name, value=100 * used / seconds, unit="%", goal=IDLE)
