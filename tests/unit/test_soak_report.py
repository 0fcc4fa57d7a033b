"""What a soak tells: which samples count, what is judged, and how it ends."""

from __future__ import annotations

import io
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

import keelman.db
import keelman.events
import keelman.worker.images
import keelman.worker.watch
from tests.soak import worker
from tests.soak.churn import KINDS, deck
from tests.soak.judge import Verdict
from tests.soak.plan import RING_AS_SHIPPED, Inside, Plan
from tests.soak.report import (
    BOUNDS,
    ROWS,
    Report,
    drawn,
    markdown,
    number,
    report_of,
    signed,
    warm_from,
)
from tests.soak.samples import DESCRIPTORS, MEMORY, ON_DISK, Sample

PLAN = Plan(seconds=600, rate=2, sample_seconds=3)
SHIPPED = replace(PLAN, shipped=True)
QUEUE, TOMBSTONES, TRANSITIONS = "rows of queue", "rows of tombstones", "rows of transitions"


def samples(**leaks: float) -> list[Sample]:
    """A run in which figures gain so much a second, beside those that stay as they are."""
    return [
        Sample(
            seconds=float(second),
            tasks=second * 2,
            under_way=5,
            values={
                DESCRIPTORS: 20 + second * leaks.get("descriptors", 0),
                ON_DISK: 4 + second * leaks.get("on_disk", 0),
                MEMORY: 50 + second * leaks.get("memory", 0),
                QUEUE: 30.0,
                TOMBSTONES: second * leaks.get("tombstones", 0),
                TRANSITIONS: second * leaks.get("transitions", 0),
            },
        )
        for second in range(3, 603, 3)
    ]


def verdicts(report: Report) -> dict[str, Verdict]:
    return {name: one.verdict for name, one in report.findings.items()}


# -- what counts ---------------------------------------------------------------------------------


def test_the_first_quarter_is_warm_up() -> None:
    found = samples()[warm_from(PLAN, samples())]
    assert found.seconds == 150


def test_as_shipped_it_lasts_until_the_ring_in_memory_is_full() -> None:
    """But no longer than half of the run."""
    quick, slow = samples(transitions=RING_AS_SHIPPED / 200), samples(transitions=1)
    assert quick[warm_from(SHIPPED, quick)].seconds == 201
    assert slow[warm_from(SHIPPED, slow)].seconds == 303


def test_the_ring_as_shipped_is_the_worker_s() -> None:
    assert keelman.events.RING_LENGTH == RING_AS_SHIPPED


def test_a_run_that_ended_in_its_warm_up_is_no_run() -> None:
    with pytest.raises(ValueError, match="warm-up"):
        report_of(PLAN, samples()[:20])


def test_a_figure_that_was_not_taken_each_time_is_left_out() -> None:
    found = samples()
    found[-1].values["rows of later"] = 1
    assert "rows of later" not in report_of(PLAN, found).findings


# -- what is judged ------------------------------------------------------------------------------


def test_when_nothing_grows_all_is_well() -> None:
    report = report_of(PLAN, samples())
    assert set(verdicts(report).values()) == {Verdict.FLAT}
    assert (report.status, report.growing, report.unclear) == (0, [], [])


def test_what_grows_is_named() -> None:
    report = report_of(PLAN, samples(descriptors=0.04))
    assert (report.growing, report.status) == ([DESCRIPTORS], 1)


def test_what_the_log_complains_of_is_as_bad_as_growth() -> None:
    assert report_of(PLAN, samples(), ["internal_error"]).status == 1


def test_what_cannot_be_told_is_not_success() -> None:
    chance = random.Random(1)
    uneven = [
        replace(one, values={**one.values, DESCRIPTORS: chance.gauss(500, 100)})
        for one in samples()
    ]
    report = report_of(PLAN, uneven)
    assert (report.unclear, report.status) == ([DESCRIPTORS], 2)


def test_growth_is_worse_than_what_cannot_be_told() -> None:
    report = report_of(PLAN, samples(descriptors=1, tombstones=1))
    doubtful = replace(report.findings[TOMBSTONES], verdict=Verdict.UNCLEAR)
    findings = {**report.findings, TOMBSTONES: doubtful}
    assert replace(report, findings=findings).status == 1


def test_what_is_kept_for_days_is_judged_when_the_worker_forgets_sooner() -> None:
    grown = samples(tombstones=1, on_disk=0.01)
    assert verdicts(report_of(PLAN, grown))[TOMBSTONES] is Verdict.GROWS
    assert verdicts(report_of(PLAN, grown))[ON_DISK] is Verdict.GROWS
    as_shipped = report_of(SHIPPED, grown)
    assert verdicts(as_shipped)[TOMBSTONES] is verdicts(as_shipped)[ON_DISK] is Verdict.KEPT
    assert verdicts(as_shipped)[QUEUE] is Verdict.FLAT
    assert as_shipped.status == 0


def test_memory_is_judged_once_the_ring_in_it_is_full() -> None:
    """Until then each Transition takes some."""
    full, filling = samples(memory=0.1, transitions=50), samples(memory=0.1, transitions=1)
    assert verdicts(report_of(SHIPPED, full))[MEMORY] is Verdict.GROWS
    assert verdicts(report_of(SHIPPED, filling))[MEMORY] is Verdict.KEPT
    assert verdicts(report_of(PLAN, filling))[MEMORY] is Verdict.GROWS


# -- how it is told ------------------------------------------------------------------------------


def test_the_page_has_a_row_for_each_figure() -> None:
    report = report_of(SHIPPED, samples(tombstones=1))
    text = markdown(report)
    assert text.startswith("10 min, 1,200 tasks, a worker as shipped; judged are the last ")
    assert f"| {TOMBSTONES} | 308 | 596 | +3,600 | 0 | +500 | kept by design |" in text
    assert f"| {DESCRIPTORS} | 20 | 20 | 0 | 0 | 0 | flat |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(report.findings)
    assert len({row.count("|") for row in rows}) == 1


def test_the_terminal_has_the_same() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(report_of(PLAN, samples(descriptors=1))))
    shown = console.export_text()
    for words in (DESCRIPTORS, QUEUE, "GROWS", "+3,600"):
        assert words in shown


@pytest.mark.parametrize(
    ("value", "text", "with_sign"),
    [
        (0.0, "0", "0"),
        (0.001, "0.00", "0.00"),
        (-0.001, "0.00", "0.00"),
        (1.234, "1.23", "+1.23"),
        (-1.234, "-1.23", "-1.23"),
        (12345.6, "12,346", "+12,346"),
        (8.0, "8", "+8"),
    ],
)
def test_numbers_are_short(value: float, text: str, with_sign: str) -> None:
    assert (number(value), signed(value)) == (text, with_sign)


# -- the worker under it -------------------------------------------------------------------------


def test_a_hurried_worker_forgets_within_the_run() -> None:
    inside = PLAN.inside
    assert not inside.as_shipped
    assert inside.remember_seconds == 30
    assert inside.transitions_kept == 240
    assert SHIPPED.inside.as_shipped
    assert not replace(SHIPPED, leak="fd").inside.as_shipped


def test_what_is_shortened_is_what_the_worker_goes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant that was renamed would be shortened in vain."""
    places = {
        (keelman.db, "TOMBSTONE_SECONDS"): 60.0,
        (keelman.db, "TRANSITIONS_MOST"): 500,
        (keelman.events, "RING_LENGTH"): 500,
        (keelman.worker.watch, "SWEEP_EVERY"): 1,
        (keelman.worker.images, "KEPT"): 80.0,
    }
    for module, name in places:
        monkeypatch.setattr(module, name, getattr(module, name))
    worker.hurry(Inside(remember_seconds=60, transitions_kept=500))
    assert {place: getattr(*place) for place in places} == places
    with pytest.raises(AttributeError):
        worker.set_constant(keelman.db, "RENAMED", 1)


def test_every_stretch_of_the_run_has_every_kind_as_often() -> None:
    cards = list(islice(deck(random.Random(1)), 3 * len(KINDS)))
    thirds = [cards[start : start + len(KINDS)] for start in range(0, len(cards), len(KINDS))]
    assert [Counter(one) for one in thirds] == [Counter(KINDS)] * 3
    assert thirds[0] != thirds[1]


def test_the_bounds_are_the_documented_ones() -> None:
    """By the first word of each series that a row names."""
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    _, _, table = page.partition("| series | in all | for 1,000 tasks |\n|---|---:|---:|\n")
    told: dict[str, tuple[float, ...]] = {}
    for row in table.partition("\n\n")[0].splitlines():
        names, *figures = (cell.strip() for cell in row.strip("|").split("|"))
        bound = tuple(float(figure.removesuffix(" MiB")) for figure in figures)
        told |= dict.fromkeys((name.split()[0] for name in names.split(", ")), bound)
    coded = {name.split()[0]: bound for name, bound in {**BOUNDS, "rows": ROWS}.items()}
    assert told == {name: (one.in_all, one.per_1000_tasks) for name, one in coded.items()}
