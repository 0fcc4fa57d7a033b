"""Results as a page: tables, and charts beside it. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.bench import chart
from tests.bench.chart import Bar, Group
from tests.bench.figures import TIMES, Figure, Machine, Results, Row
from tests.bench.titles import TITLES

BEGIN, END = "<!-- bench: written by `make bench WRITE=1` -->", "<!-- bench: end -->"
CHARTS = "benchmarks"
OVERVIEW = "overview"
CLOSE = ("", "%", "/s")  # units without a space
HEADS = ("", "figure", "goal", "", "median of each side (middle half), samples")


def between_marks(page: str, results: Results) -> str:
    """The page with what stands between its marks written anew. Raises: ValueError without them."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError("the page has no marks to write between")
    return f"{before}{BEGIN}\n{markdown(results)}{END}{after}"


def markdown(results: Results) -> str:
    rows = in_order(results)
    parts = [machine(results.machine), overview(rows), *(section(row) for row in rows)]
    return "\n".join(parts)


def in_order(results: Results) -> list[Row]:
    return [results.rows[key] for key in TITLES if key in results.rows]


def machine(one: Machine) -> str:
    return (
        f"Measured on {one.cores} cores ({one.processor}), {one.memory_gib:.0f} GiB, Linux"
        f" {one.linux}; {one.engine}, {one.runtime}; Python {one.python}. The data directory is on"
        f" {one.file_system}, where a 4 KiB write with its fsync takes {number(one.sync_ms)} ms.\n"
    )


def overview(rows: Sequence[Row]) -> str:
    judged = [figure for row in rows for figure in row.figures if figure.goal]
    missed = [(row, figure) for row in rows for figure in row.figures if figure.missed]
    words = f"{len(judged) - len(missed)} of {len(judged)} figures with a goal met it."
    if missed:
        names = "; ".join(f"{TITLES[row.key]}: {one.name}" for row, one in missed)
        words += f" **Missed**: {names}."
    return f"{words}\n\n![How much of each goal is used]({CHARTS}/{OVERVIEW}.svg)\n"


def section(row: Row) -> str:
    lines = [f"### {TITLES[row.key]}", ""]
    if row.figures:
        heads = [table_row(HEADS), table_row(["---", "---:", "---:", "---", "---"])]
        lines += [*heads, *map(figure_row, row.figures), ""]
    if has_sides(row):
        lines += [f"![{TITLES[row.key]}]({CHARTS}/{row.key}.svg)", ""]
    lines += [f"{' '.join(row.notes)}{' ' if row.notes else ''}{run(row)}", ""]
    return "\n".join(lines)


def run(row: Row) -> str:
    target = "bench-full" if row.sizes == "full" else "bench"
    return f"`make {target} ONLY={row.key}`, {row.date}, {row.seconds:.0f} s."


def figure_row(one: Figure) -> str:
    goal = f"{one.goal.relation} {number(one.goal.bound)}" if one.goal else ""
    verdict = "" if one.goal is None else "**missed**" if one.missed else "met"
    return table_row([one.name, value(one.value, one.unit), goal, verdict, sides(one)])


def sides(one: Figure) -> str:
    return "; ".join(
        f"{side} {value(told.median, one.sides_unit)}"
        f" ({number(told.low)} to {number(told.high)}), {told.count:,}"
        for side, told in one.sides.items()
    )


def table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def value(amount: float, unit: str) -> str:
    """With its unit, as a person writes it."""
    if unit == TIMES:
        return f"{amount:.2f}"
    return f"{number(amount)}{'' if unit in CLOSE else ' '}{unit}"


def number(amount: float) -> str:
    """Three digits that matter."""
    if amount == 0 or abs(amount) >= 100 or amount == round(amount):
        return f"{amount:,.0f}"
    return f"{amount:.{2 if abs(amount) < 10 else 1}f}"


# -- charts --------------------------------------------------------------------------------------


def charts(results: Results) -> Iterator[tuple[str, str]]:
    """Each chart's name and its SVG."""
    rows = in_order(results)
    yield OVERVIEW, goals(rows)
    for row in rows:
        if has_sides(row):
            yield row.key, chart.svg(title(row), [group(one) for one in row.figures if one.sides])


def has_sides(row: Row) -> bool:
    return any(one.sides for one in row.figures)


def title(row: Row) -> str:
    units = dict.fromkeys(one.sides_unit for one in row.figures if one.sides_unit)
    return f"{TITLES[row.key]} ({', '.join(units)})"


def goals(rows: Sequence[Row]) -> str:
    groups = [
        Group(f"{row.key}: {one.name}"[:42], [_used(one)])
        for row in rows
        for one in row.figures
        if one.goal
    ]
    return chart.svg("How much of each goal is used; the line is where it is just met", groups, 1.0)


USED_MOST = 2.0  # more is not drawn


def _used(one: Figure) -> Bar:
    assert one.goal is not None
    share = one.goal.share(one.value) if one.goal.bound else float(one.missed) * USED_MOST
    words = f"{value(one.value, one.unit)}, goal {one.goal.relation} {number(one.goal.bound)}"
    return Bar(side="", value=min(share, USED_MOST), words=words, bad=one.missed)


def group(one: Figure) -> Group:
    bars = [
        Bar(
            side=side,
            value=told.median,
            words=value(told.median, one.sides_unit),
            low=told.low,
            high=told.high,
        )
        for side, told in one.sides.items()
    ]
    return Group(one.name, bars)
