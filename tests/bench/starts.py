"""Tasks to running: from the POST until the event stream says RUNNING for all."""

from __future__ import annotations

import time
from collections import defaultdict

from msgspec.structs import replace

from tests.bench.bench import BARE, Bench
from tests.bench.engine import LABEL, Json
from tests.bench.figures import AT_MOST, OURS, Figure, Goal, Row, ratio, turns
from tests.bench.worker import BenchWorker

KEY = "starts"
ALONE, TOGETHER = Goal(AT_MOST, 1.10), Goal(AT_MOST, 1.05)


async def measure(bench: Bench) -> Row:
    """POST of 1, 20, 100 tasks beside bare create + start calls, as many at once."""
    async with bench.worker() as worker:
        body = await worker.create_body()
        await ours(bench, worker, 1)
        await bare(bench, body, 1, 1)
        figures = [
            await _compared(bench, worker, body, count, rounds)
            for count, rounds in bench.plan.starts.items()
        ]
        phases = await worker.phases()
    told = ", ".join(
        f"{name} {1000 * total / count:.0f}" for name, (total, count) in phases.items()
    )
    note = f"{bench.slots} containers on their way up at once, on either side."
    return Row(
        key=KEY, figures=tuple(figures), notes=(note, f"Means of the worker's phases, ms: {told}.")
    )


async def _compared(
    bench: Bench, worker: BenchWorker, body: Json, count: int, rounds: int
) -> Figure:
    taken: dict[str, list[float]] = defaultdict(list)
    for side in turns((OURS, BARE), rounds):
        if side == OURS:
            taken[side].append(await ours(bench, worker, count))
        else:
            taken[side].append(await bare(bench, body, count, bench.slots))
        bench.say(f"{count} tasks, {side}: {taken[side][-1]:.3f} s")
    name = f"{count} task{'s' if count > 1 else ''}"
    figure = ratio(name, taken[OURS], taken[BARE], BARE, "s")
    return replace(figure, goal=ALONE if count == 1 else TOGETHER)


async def ours(bench: Bench, worker: BenchWorker, count: int) -> float:
    """Seconds until as many tasks run; then they are stopped and removed."""
    began = time.monotonic()
    task_ids = await worker.run_all(count)
    taken = time.monotonic() - began
    await worker.stop_all(task_ids)
    await bench.engine.remove_all(worker.label)
    return taken


async def bare(bench: Bench, body: Json, count: int, at_once: int) -> float:
    """Seconds until the engine has started as many."""
    began = time.monotonic()
    await bench.engine.run_all(body, count, at_once)
    taken = time.monotonic() - began
    await bench.engine.remove_all(LABEL)
    return taken
