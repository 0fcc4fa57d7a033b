"""How benchmarks are told: tables, charts, and a page between marks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from tests.bench import chart, page
from tests.bench.__main__ import ROWS
from tests.bench.chart import Bar, Group
from tests.bench.figures import AT_MOST, TIMES, Figure, Goal, Results, Row, ratio
from tests.bench.titles import TITLES
from tests.unit.test_bench_figures import MACHINE

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def results(*figures: Figure) -> Results:
    row = Row(key="starts", figures=figures, notes=("A note.",), sizes="quick", date="2026-01-02")
    return Results(machine=MACHINE, rows={"starts": row})


def a_ratio(value: float, bound: float) -> Figure:
    figure = ratio("20 tasks", [value], [1.0], "bare", "s")
    return msgspec.structs.replace(figure, goal=Goal(AT_MOST, bound))


def test_every_row_has_a_title_and_every_title_a_row() -> None:
    """In one order."""
    assert list(TITLES) == list(ROWS)


def test_a_missed_goal_is_told_as_missed() -> None:
    """In its row, and at the top."""
    told = page.markdown(results(a_ratio(1.5, 1.1)))
    assert "| 20 tasks | 1.50 | ≤ 1.10 | **missed** |" in told
    assert "0 of 1 figures with a goal met it. **Missed**: Tasks to running: 20 tasks." in told


def test_a_goal_that_is_met_is_told_as_met() -> None:
    """And nothing is called missed."""
    told = page.markdown(results(a_ratio(1.0, 1.1)))
    assert "| met |" in told
    assert "issed" not in told


def test_a_row_tells_both_sides_its_notes_and_how_to_repeat_it() -> None:
    """So that a reader can judge the ratio."""
    told = page.markdown(results(a_ratio(1.5, 1.1)))
    assert "Keelman 1.50 s (1.50 to 1.50), 1; bare 1 s (1 to 1), 1" in told
    assert "A note. `make bench ONLY=starts`, 2026-01-02" in told


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [
        (1.0, TIMES, "1.00"),
        (12345.6, "/s", "12,346/s"),
        (0.0, "%", "0%"),
        (0.123, "s", "0.12 s"),
        (12.34, "ms", "12.3 ms"),
        (7.0, "", "7"),
    ],
)
def test_values_are_short_and_have_their_unit(amount: float, unit: str, words: str) -> None:
    """Three digits that matter."""
    assert page.value(amount, unit) == words


def test_only_what_stands_between_the_marks_is_written_anew() -> None:
    """What people wrote round it stays."""
    before = f"# Title\n\n{page.BEGIN}\nold\n{page.END}\n\nReasons.\n"
    after = page.between_marks(before, results(a_ratio(1.0, 1.1)))
    assert after.startswith(f"# Title\n\n{page.BEGIN}\nMeasured on 2 cores")
    assert after.endswith(f"{page.END}\n\nReasons.\n")
    assert "old" not in after
    assert page.between_marks(after, results(a_ratio(1.0, 1.1))) == after


def test_a_page_without_marks_is_not_written() -> None:
    """Rather than lose what stands there."""
    with pytest.raises(ValueError, match="no marks"):
        page.between_marks("# Title\n", results())


def test_a_chart_has_a_bar_for_each_side_as_long_as_its_value() -> None:
    """And says the value beside it; what could be markup is not."""
    bars = [Bar(side="<ours>", value=2.0, words="2 s"), Bar(side="bare", value=1.0, words="1 s")]
    root = ET.fromstring(chart.svg("A & B", [Group("20 tasks", bars)]))
    _, long, short, *_ = [float(one.attrib["width"]) for one in root.iter(f"{SVG}rect")]
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert long == pytest.approx(2 * short)
    assert {"A & B", "20 tasks", "2 s", "1 s", "<ours>", "bare"} <= set(words)


def test_the_chart_of_goals_shows_which_are_missed() -> None:
    """In another colour, however far off: a bar has an end."""
    drawn = dict(page.charts(results(a_ratio(1.0, 1.1), a_ratio(99.0, 1.1))))[page.OVERVIEW]
    root = ET.fromstring(drawn)
    fills = [one.attrib["fill"] for one in root.iter(f"{SVG}rect")]
    assert fills.count(chart.BAD) == 1
    assert all(float(one.attrib["width"]) <= chart.WIDTH for one in root.iter(f"{SVG}rect"))


def test_a_count_that_must_be_none_is_drawn_when_it_is_some() -> None:
    """There is no share of nought."""
    lost = Figure(name="missing", value=3, unit="", goal=Goal(AT_MOST, 0.0))
    assert chart.BAD in dict(page.charts(results(lost)))[page.OVERVIEW]


def test_the_page_and_its_charts_are_made_of_the_results_that_are_kept() -> None:
    """Nobody has touched a figure."""
    file = DOCS / page.CHARTS / "results.json"
    kept = msgspec.json.decode(file.read_bytes(), type=Results)
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    assert page.between_marks(text, kept) == text
    for name, svg in page.charts(kept):
        assert (DOCS / page.CHARTS / f"{name}.svg").read_text(encoding="utf-8") == svg
