"""Accepted durably: how many POSTs in a second, and whether an acknowledged one is ever lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

from msgspec.structs import replace

from tests.bench import load
from tests.bench.bench import Bench
from tests.bench.figures import AT_LEAST, AT_MOST, OURS, Figure, Goal, Row, ratio, summary, turns
from tests.bench.load import Load
from tests.bench.worker import a_folder

KEY = "accepts"
UNWRITTEN, WHOLE = "the same, not written", "Keelman, taking them up meanwhile"
PROGRAMS: dict[str, tuple[str, ...]] = {
    OURS: ("tests.bench.inside", "lanes"),
    UNWRITTEN: ("tests.bench.inside", "write"),
    WHOLE: ("keelman.cli",),
}
RATE, SHARE, NONE = Goal(AT_LEAST, 9000.0), Goal(AT_LEAST, 0.9), Goal(AT_MOST, 0.0)
NOTE = (
    f"{load.CONNECTIONS} connections. Either of the first two goals is enough. For both, lanes hold"
    " still: what is measured is a POST from its decoding to its 201. *Taken up as well* is the"
    " worker as it is. It carries each task through to its end at once, here: FAILED, since its"
    " image is not there. That takes looks at the engine, and commits of its own."
)


async def measure(bench: Bench) -> Row:
    """wrk against the worker, its like that does not write, and the whole of it."""
    rates: dict[str, list[float]] = defaultdict(list)
    for mark, side in enumerate(turns(list(PROGRAMS), bench.plan.load_rounds)):
        loaded = await _load(bench, side, mark)
        rates[side].append(loaded.per_second)
        bench.say(f"{side}: {loaded.per_second:,.0f} a second, p99 {loaded.p99_ms:.1f} ms")
    lost = [await _lost(bench, mark) for mark in range(bench.plan.load_rounds)]
    return Row(key=KEY, figures=tuple(figures(rates, lost)), notes=(NOTE,))


def figures(rates: dict[str, list[float]], lost: list[tuple[int, int]]) -> list[Figure]:
    share = ratio("÷ not written", rates[OURS], rates[UNWRITTEN], UNWRITTEN, "/s")
    acknowledged = sum(count for count, _ in lost)
    name = f"of {acknowledged:,} acknowledged, missing after {len(lost)} kill -9"
    whole = summary(rates[WHOLE])
    return [
        Figure(name="accepted", value=summary(rates[OURS]).median, unit="/s", goal=RATE),
        replace(share, goal=SHARE),
        Figure(
            name="taken up as well",
            value=whole.median,
            unit="/s",
            sides={WHOLE: whole},
            sides_unit="/s",
        ),
        Figure(name=name, value=sum(missing for _, missing in lost), unit="", goal=NONE),
    ]


async def _load(bench: Bench, side: str, mark: int) -> Load:
    async with bench.worker(program=PROGRAMS[side]) as worker:
        loaded = await load.post(worker.url, bench.plan.load_seconds, mark)
    assert not loaded.bad, f"{loaded.bad} of {loaded.answers} POSTs were refused"
    return loaded


async def _lost(bench: Bench, mark: int) -> tuple[int, int]:
    """How many were acknowledged before a kill -9, and how many of these are missing after it."""
    async with a_folder() as folder, bench.worker(folder=folder) as worker:
        loading = asyncio.gather(
            load.post(worker.url, bench.plan.load_seconds, mark, folder / "acknowledged")
        )
        await asyncio.sleep(bench.plan.load_seconds * 0.6)
        await worker.kill()
        await loading
        acknowledged = acknowledged_in(folder)
        await worker.up()
        async with worker.session.get("/tasks") as response:
            known = {one["ID"] for one in await response.json()}
    bench.say(f"{len(acknowledged):,} acknowledged, {len(acknowledged - known)} missing")
    return len(acknowledged), len(acknowledged - known)


def acknowledged_in(folder: Path) -> set[str]:
    """All but a last line that was cut off."""
    lines = "".join(path.read_text() for path in folder.glob("acknowledged.*"))
    return {line.strip() for line in lines.splitlines(keepends=True) if line.endswith("\n")}
