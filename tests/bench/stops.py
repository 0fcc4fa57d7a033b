"""A stop: from the DELETE to the signal in the container."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from keelman.task import State
from tests.bench.bench import BARE, Bench
from tests.bench.engine import LABEL
from tests.bench.figures import AT_MOST, Figure, Goal, Row, p99, summary
from tests.bench.worker import BenchWorker, a_folder

KEY = "stops"
GOAL = Goal(AT_MOST, 20.0)
AT_ONCE = 20
PAUSE_SECONDS = 0.1


async def measure(bench: Bench) -> Row:
    """The program itself tells, through a pipe, that its signal has come."""
    async with a_folder() as folder, _pipe(folder / "pipe") as told:
        program = f"exec 3>{folder}/pipe; trap 'echo >&3; exit' TERM; sleep 1000 & wait"
        fields = {
            "Command": ["sh", "-c", program],
            "Init": False,
            "Mounts": [{"Source": str(folder), "Target": str(folder)}],
        }
        async with bench.worker("--allow-mount", str(folder)) as worker:
            ours: list[float] = []
            bare: list[float] = []
            while len(ours) < bench.plan.stops:
                ours += await _stopped(bench, worker, told, fields)
                bare += await _signalled(bench, worker, told, fields)
                bench.say(f"{len(ours)} stops, median {summary(ours).median:.1f} ms")
    return Row(key=KEY, figures=(_figure(ours, bare),))


def _figure(ours: list[float], bare: list[float]) -> Figure:
    figure = p99("DELETE to signal, p99", ours, "ms")
    return replace(figure, goal=GOAL, sides={**figure.sides, BARE: summary(bare)})


class Signals:
    """What containers say of their signals, one at a time."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def next(self) -> float:
        await self._reader.readline()
        return time.monotonic()


@asynccontextmanager
async def _pipe(path: Path) -> AsyncIterator[Signals]:
    os.mkfifo(path)
    path.parent.chmod(0o755)
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        yield Signals(reader)
    finally:
        transport.close()


async def _stopped(
    bench: Bench, worker: BenchWorker, told: Signals, fields: dict[str, object]
) -> list[float]:
    """Milliseconds of each DELETE."""
    task_ids = await worker.run_all(min(AT_ONCE, bench.plan.stops), **fields)
    await asyncio.sleep(1)
    taken = []
    for task_id in task_ids:
        began = time.monotonic()
        await worker.stop(task_id)
        taken.append(1000 * (await told.next() - began))
        await worker.heard.until([task_id], State.COMPLETED)
        await asyncio.sleep(PAUSE_SECONDS)
    await bench.engine.remove_all(worker.label)
    return taken


async def _signalled(
    bench: Bench, worker: BenchWorker, told: Signals, fields: dict[str, object]
) -> list[float]:
    """The same by the engine's own `kill`."""
    body = await worker.create_body(**fields)
    taken = []
    count = min(AT_ONCE, bench.plan.stops)
    ids = await bench.engine.run_all(body, count, bench.slots)
    await asyncio.sleep(1)
    for container_id in ids:
        began = time.monotonic()
        await bench.engine.kill(container_id, "TERM")
        taken.append(1000 * (await told.next() - began))
        await asyncio.sleep(PAUSE_SECONDS)
    await bench.engine.remove_all(LABEL)
    return taken
