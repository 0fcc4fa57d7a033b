"""Watchers: a thousand listeners to the events while tasks churn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec

from keelman.task import State
from tests.bench.audience import Told
from tests.bench.bench import Bench
from tests.bench.figures import AT_MOST, OURS, Figure, Goal, Row
from tests.bench.worker import BenchWorker

KEY = "watchers"
SOON, NONE = Goal(AT_MOST, 100.0), Goal(AT_MOST, 0.0)
NOTE = (
    "From the Transition's Time, which is before its commit, to the listener. The listeners share"
    " the machine's cores with the worker and the engine."
)


async def measure(bench: Bench) -> Row:
    """The listeners are a process of their own."""
    count = bench.plan.listeners
    async with bench.worker() as worker:
        before = worker.memory
        async with _audience(worker, count) as audience:
            each = 1024 * (worker.memory - before) / count
            task_ids = await worker.send_all(bench.plan.churned, Command=["true"])
            await worker.heard.until(task_ids, State.COMPLETED)
            told = await _told(worker, audience)
            after = worker.memory
    bench.say(f"{told.lost} lost, p99 {told.lags.p99:.1f} ms, {each:.1f} KiB each")
    return Row(key=KEY, figures=figures(told, each), notes=(NOTE, _growth(before, after)))


def figures(told: Told, each: float) -> tuple[Figure, ...]:
    name = f"p99 of {told.heard:,} deliveries"
    return (
        Figure(name="not delivered", value=told.lost, unit="", goal=NONE),
        Figure(
            name=name,
            value=told.lags.p99,
            unit="ms",
            goal=SOON,
            sides={OURS: told.lags},
            sides_unit="ms",
        ),
        Figure(name="memory of a listener", value=each, unit="KiB"),
    )


def _growth(before: float, after: float) -> str:
    return f"The worker's memory was {before:.0f} MiB before them and {after:.0f} MiB at the end."


@asynccontextmanager
async def _audience(worker: BenchWorker, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    port = urlsplit(worker.url).port
    one = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.audience", str(port), str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert one.stdout is not None
    try:
        assert await one.stdout.readline() == b"ready\n"
        yield one
    finally:
        if one.returncode is None:
            one.kill()
        await one.wait()


async def _told(worker: BenchWorker, audience: asyncio.subprocess.Process) -> Told:
    async with worker.session.get("/tasks", params={"limit": "1"}) as response:
        last = response.headers["Last-Event-ID"].rpartition(":")[2]
    said, _ = await audience.communicate(last.encode() + b"\n")
    return msgspec.json.decode(said, type=Told)
