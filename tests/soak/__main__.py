"""`python -m tests.soak`: steady churn on the real engine; does anything of the worker grow?

Exit status: 0 nothing grows · 1 something does, or the worker's log tells of a bug · 2 it cannot be
told: the run was too short, or the machine too uneven.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from tests.soak.plan import Plan
from tests.soak.report import Report, drawn, markdown, report_of
from tests.soak.run import soak
from tests.soak.samples import CONTAINERS, DESCRIPTORS, MEMORY, TASKS, Sample

WIDTH = 120  # of a table that goes to a file

console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=WIDTH)
app = App(name="soak", help=__doc__, result_action="return_value")


@app.default
def main(
    *,
    minutes: float = 20.0,
    rate: float = 1.5,
    seed: int = 0,
    network: str = "",
    shipped: Annotated[bool, Parameter(negative="")] = False,
    leak: str = "",
    leak_every: int = 1,
    write: Path = Path("build/soak"),
) -> int:
    """Churn for so many MINUTES, at RATE tasks a second, on the engine's usual network or another.

    `--shipped` leaves the worker's memory at days: what it keeps by design is told apart, not
    judged. `--leak` puts one in, to see it caught. Samples and table go to WRITE.jsonl and .md.
    """
    plan = Plan(
        seconds=minutes * 60,
        rate=rate,
        seed=seed,
        network=network,
        shipped=shipped,
        leak=leak,
        leak_every=leak_every,
    )
    write.parent.mkdir(parents=True, exist_ok=True)
    with write.with_suffix(".jsonl").open("wb") as lines:

        def keep(sample: Sample) -> None:
            lines.write(msgspec.json.encode(sample) + b"\n")
            lines.flush()
            if console.is_terminal:
                console.print(progress(plan, sample), end="\r", no_wrap=True)

        report = asyncio.run(soak(plan, keep))
    return told(report, write)


@app.command
def again(samples: Path, *, minutes: float, shipped: bool = False) -> int:
    """Judge the SAMPLES of an earlier run anew."""
    lines = samples.read_bytes().splitlines()
    plan = Plan(seconds=minutes * 60, shipped=shipped)
    found = report_of(plan, [msgspec.json.decode(line, type=Sample) for line in lines])
    return told(found, samples)


def progress(plan: Plan, sample: Sample) -> str:
    figures = ", ".join(
        f"{name} {sample.values[name]:.0f}" for name in (DESCRIPTORS, TASKS, CONTAINERS, MEMORY)
    )
    return f"{sample.seconds:5.0f} of {plan.seconds:.0f} s, {sample.tasks:,} tasks: {figures}  "


def told(report: Report, write: Path) -> int:
    write.with_suffix(".md").write_text(markdown(report), encoding="utf-8")
    console.print(drawn(report))
    for line in report.complaints:
        console.print(f"the worker's log: {line}", style="red", markup=False)
    for name in report.growing:
        console.print(f"{name} grows", style="bold red")
    for name in report.unclear:
        console.print(f"whether {name} grows cannot be told: run it longer", style="yellow")
    return report.status


if __name__ == "__main__":
    sys.exit(app())
