"""What a soak found, and how it is told. PURE."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from rich.table import Table

from tests.soak.judge import Bound, Finding, Point, Verdict, judge
from tests.soak.plan import RING_AS_SHIPPED, WARM_UP_SHARE, Plan
from tests.soak.samples import (
    CONTAINERS,
    DESCRIPTORS,
    IN_USE,
    JOURNALS,
    MEMORY,
    ON_DISK,
    ROWS_OF,
    TASKS,
    THREADS,
    WAL,
    Sample,
)

BOUNDS = {
    DESCRIPTORS: Bound(per_1000_tasks=2, in_all=6),
    THREADS: Bound(per_1000_tasks=0.5, in_all=4),  # a pool of them fills as it is needed
    TASKS: Bound(per_1000_tasks=2, in_all=6),
    MEMORY: Bound(per_1000_tasks=0.5, in_all=1.5),
    CONTAINERS: Bound(per_1000_tasks=2, in_all=8),
    IN_USE: Bound(per_1000_tasks=0.03, in_all=0.1),
    WAL: Bound(per_1000_tasks=0.1, in_all=4.5),  # it is filled once
    ON_DISK: Bound(per_1000_tasks=0.1, in_all=0.3),
}
ROWS = Bound(per_1000_tasks=5, in_all=20)  # of any table, those nobody thought of included

# What a worker as shipped keeps for days, or 100,000 of.
KEPT_AS_SHIPPED = {
    *(f"{ROWS_OF}{table}" for table in ("task_events", "tombstones", "transitions")),
    *(IN_USE, ON_DISK),
}
TRANSITIONS = f"{ROWS_OF}transitions"
Load = tuple[float, float]
HEADS = ("series", "at start", "at end", "an hour", "give or take", "1,000 tasks", "verdict")


class Report(Struct, frozen=True, kw_only=True):
    """What became of each series, and what the worker's log complains of."""

    plan: Plan
    findings: dict[str, Finding]
    judged_seconds: float
    judged_tasks: int
    tasks: int
    complaints: tuple[str, ...] = ()

    @property
    def growing(self) -> list[str]:
        return [name for name, one in self.findings.items() if one.verdict is Verdict.GROWS]

    @property
    def unclear(self) -> list[str]:
        return [name for name, one in self.findings.items() if one.verdict is Verdict.UNCLEAR]

    @property
    def status(self) -> int:
        """Exit status: 1 when something grows or the log complains, 2 when it cannot be told."""
        if self.growing or self.complaints:
            return 1
        return 2 if self.unclear else 0


def report_of(plan: Plan, samples: Sequence[Sample], complaints: Sequence[str] = ()) -> Report:
    """Every series, judged from its warm-up on."""
    first = warm_from(plan, samples)
    warm = samples[first:]
    loads = [load_at(samples, number, plan) for number in range(first, len(samples))]
    names = [name for name in warm[0].values if all(name in one.values for one in warm)]
    kept = kept_by_design(plan, warm[0])
    bounds = {name: None if name in kept else BOUNDS.get(name, ROWS) for name in names}
    return Report(
        plan=plan,
        findings={name: judge(series(warm, loads, name), bounds[name]) for name in names},
        judged_seconds=warm[-1].seconds - warm[0].seconds,
        judged_tasks=warm[-1].tasks - warm[0].tasks,
        tasks=samples[-1].tasks,
        complaints=tuple(complaints),
    )


def warm_from(plan: Plan, samples: Sequence[Sample]) -> int:
    """The first sample that counts: a share of the run is over, the ring in memory is full."""
    ring = RING_AS_SHIPPED if plan.shipped else 0
    for number, sample in enumerate(samples):
        full = sample.values[TRANSITIONS] >= ring or sample.seconds > plan.seconds / 2
        if full and sample.seconds >= plan.seconds * WARM_UP_SHARE:
            return number
    raise ValueError("the run ended within its warm-up")


def load_at(samples: Sequence[Sample], number: int, plan: Plan) -> Load:
    """Tasks under way, and those done for as long as a hurried worker remembers."""
    now = samples[number]
    before = [one for one in samples if one.seconds <= now.seconds - plan.remember_seconds]
    return float(now.under_way), float(now.tasks - (before[-1].tasks if before else 0))


def series(samples: Sequence[Sample], loads: Sequence[Load], name: str) -> list[Point]:
    return [
        Point(one.seconds, float(one.tasks), one.values[name], load)
        for one, load in zip(samples, loads, strict=True)
    ]


def kept_by_design(plan: Plan, first: Sample) -> set[str]:
    """What grows in any run; of a worker as shipped more, and memory until its ring is full."""
    if not plan.shipped:
        return {JOURNALS}
    return (
        KEPT_AS_SHIPPED
        | {JOURNALS}
        | ({MEMORY} if first.values[TRANSITIONS] < RING_AS_SHIPPED else set())
    )


# -- for people ----------------------------------------------------------------------------------


def cells(report: Report) -> list[tuple[str, ...]]:
    """One row for each series."""
    return [
        (
            name,
            *(number(one.start), number(one.end)),
            *(signed(one.per_hour), number(one.margin_per_hour), signed(one.per_1000_tasks)),
            str(one.verdict),
        )
        for name, one in report.findings.items()
    ]


def number(value: float) -> str:
    value = round(value, 9)  # what is left by rounding is none
    text = f"{value:,.2f}" if abs(value) < 10 and value != round(value) else f"{value:,.0f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def signed(value: float) -> str:
    text = number(value)
    return text if text.startswith("-") or not float(text.replace(",", "")) else f"+{text}"


def drawn(report: Report) -> Table:
    """For a terminal."""
    table = Table(title=summary(report), title_justify="left")
    for number_, head in enumerate(HEADS):
        figures = 0 < number_ < len(HEADS) - 1
        table.add_column(head, justify="right" if figures else "left", no_wrap=True)
    for row in cells(report):
        style = {Verdict.GROWS: "red", Verdict.UNCLEAR: "yellow"}.get(Verdict(row[-1]))
        table.add_row(*row, style=style)
    return table


def markdown(report: Report) -> str:
    """For a page."""
    lines = [HEADS, ("---",) + ("---:",) * (len(HEADS) - 2) + ("---",), *cells(report)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{summary(report)}\n\n{table}\n"


def summary(report: Report) -> str:
    """What was run, in a sentence."""
    plan = report.plan
    memory = "as shipped" if plan.shipped else f"that remembers for {plan.remember_seconds:.0f} s"
    return (
        f"{plan.seconds / 60:g} min, {report.tasks:,} tasks, a worker {memory}; judged are the last"
        f" {report.judged_seconds / 60:.0f} min with {report.judged_tasks:,} tasks."
    )
