"""`python -m tests.bench`: how fast a worker is, beside what is below it.

Exit status: 0 measured, whether or not each goal is met · 2 it cannot be measured here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import structlog
import uvloop
from cyclopts import App, Parameter
from msgspec.structs import replace
from rich.console import Console

from tests.bench import (
    accepts,
    exits,
    footprint,
    growth,
    lists,
    machine,
    page,
    returns,
    slots,
    starts,
    stops,
    swarm,
    watchers,
)
from tests.bench.bench import Bench
from tests.bench.engine import EngineApi, own_engine
from tests.bench.figures import Machine, Results, Row
from tests.bench.plan import FULL, QUICK, Plan

ROOT = Path(__file__).parents[2]
BUILD, DOCS = ROOT / "build" / "bench", ROOT / "docs"
PAGE, RESULTS = "benchmarks.md", "results.json"
MODULES = (
    *(starts, swarm, slots, exits, stops, accepts, lists, watchers, growth, footprint, returns),
)
ROWS: dict[str, Callable[[Bench], Awaitable[Row]]] = {one.KEY: one.measure for one in MODULES}

console = Console(highlight=False)
app = App(name="bench", help=__doc__, result_action="return_value")


@app.default
def main(
    *rows: str,
    full: Annotated[bool, Parameter(negative="")] = False,
    write: Annotated[bool, Parameter(negative="")] = False,
    engine: str = "",
) -> int:
    """Measure all ROWS, or some.

    Results go to build/bench; with --write also into docs/benchmarks.md. Usually on an engine of
    the bench's own, which takes root; --engine unix://… names another.
    """
    unknown = set(rows) - ROWS.keys()
    if unknown:
        console.print(f"keelman: no rows {', '.join(unknown)}; there are {', '.join(ROWS)}")
        return 2
    if not engine and os.geteuid() != 0:
        console.print("keelman: the bench starts an engine of its own, which takes root")
        return 2
    place = DOCS if write else BUILD
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(measured(rows or tuple(ROWS), FULL if full else QUICK, engine, place))
    return 0


async def measured(rows: tuple[str, ...], plan: Plan, engine_url: str, place: Path) -> None:
    """Row by row, each kept as soon as it is there."""
    for key in rows:
        console.print(f"{key}:", style="bold")
        async with engine_at(engine_url) as engine:
            here = await machine.described(engine, Path(tempfile.gettempdir()))
            bench = Bench(
                engine, plan, lambda words: console.print(f"  {words}"), own=not engine_url
            )
            began = time.monotonic()
            row = await ROWS[key](bench)
        row = replace(
            row,
            sizes=plan.name,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            seconds=time.monotonic() - began,
        )
        for figure in row.figures:
            console.print(page.figure_row(figure), markup=False)
        keep(place, here, row)


@contextlib.asynccontextmanager
async def engine_at(url: str) -> AsyncIterator[EngineApi]:
    """The engine that is named, or one of its own: as fresh for each row as for the first."""
    async with contextlib.AsyncExitStack() as undo:
        url = url or (await undo.enter_async_context(own_engine())).url
        engine = EngineApi(url)
        undo.push_async_callback(engine.close)
        yield engine


def keep(place: Path, here: Machine, row: Row) -> None:
    """Into the results that are there already, and the page made of them."""
    charts = place / page.CHARTS
    charts.mkdir(parents=True, exist_ok=True)
    file = charts / RESULTS
    rows = msgspec.json.decode(file.read_bytes(), type=Results).rows if file.exists() else {}
    results = Results(machine=here, rows=rows).having(here, row)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    render(place, results)


def render(place: Path, results: Results) -> None:
    """The page and its charts."""
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    (place / PAGE).write_text(page.between_marks(text, results), encoding="utf-8")
    for name, svg in page.charts(results):
        (place / page.CHARTS / f"{name}.svg").write_text(svg, encoding="utf-8")


@app.command
def again(*, write: Literal["build", "docs"] = "build") -> int:
    """Write the page anew from results that are there."""
    place = DOCS if write == "docs" else BUILD
    file = place / page.CHARTS / RESULTS
    render(place, msgspec.json.decode(file.read_bytes(), type=Results))
    return 0


if __name__ == "__main__":
    sys.exit(app())
