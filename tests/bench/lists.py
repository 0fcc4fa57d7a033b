"""GET /tasks beside a bare aiohttp handler that sends the same bytes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec.structs import replace

from tests.bench import load, records
from tests.bench.bench import Bench
from tests.bench.figures import AT_LEAST, OURS, Figure, Goal, Row, ratio, turns
from tests.bench.worker import a_data_dir, a_folder
from tests.e2e.machine import free_port
from tests.torture.waiting import until

KEY, BARE_HTTP = "lists", "bare aiohttp"
GOAL = Goal(AT_LEAST, 0.9)
NOTE = f"{load.CONNECTIONS} connections. The bare handler holds its bytes; a worker's may change."


async def measure(bench: Bench) -> Row:
    """With ever more tasks on record."""
    figures = [await _compared(bench, count) for count in bench.plan.lists]
    return Row(key=KEY, figures=tuple(figures), notes=(NOTE,))


async def _compared(bench: Bench, count: int) -> Figure:
    rates: dict[str, list[float]] = defaultdict(list)
    async with a_folder() as folder:
        await records.fill(a_data_dir(folder), count, time.time())
        async with bench.worker(folder=folder) as worker:
            async with worker.session.get("/tasks") as response:
                (folder / "body").write_bytes(await response.read())
            async with _bare(folder / "body") as bare:
                urls = {OURS: worker.url, BARE_HTTP: bare}
                for side in turns((OURS, BARE_HTTP), bench.plan.list_rounds):
                    loaded = await load.get(f"{urls[side]}/tasks", bench.plan.list_seconds)
                    rates[side].append(loaded.per_second)
                    bench.say(f"{count} tasks, {side}: {loaded.per_second:,.0f} lists a second")
    figure = ratio(f"{count:,} tasks", rates[OURS], rates[BARE_HTTP], BARE_HTTP, "/s")
    return replace(figure, goal=GOAL)


@asynccontextmanager
async def _bare(body: Path) -> AsyncIterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare_http", str(port), str(body))
    )

    async def answers() -> bool:
        try:
            async with aiohttp.request("GET", f"{url}/tasks"):
                return True
        except aiohttp.ClientConnectionError:
            return False

    try:
        await until(answers, "the bare handler answers")
        yield url
    finally:
        serving.kill()
        await serving.wait()
