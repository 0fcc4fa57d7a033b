"""What a benchmark's samples come to, and which goals they meet."""

from __future__ import annotations

import pytest

from tests.bench import accepts, growth
from tests.bench.figures import (
    AT_LEAST,
    AT_MOST,
    OURS,
    Figure,
    Goal,
    Machine,
    Results,
    Row,
    p99,
    quantile,
    ratio,
    summary,
    turns,
)
from tests.bench.load import load_in
from tests.bench.machine import processor
from tests.bench.worker import phases_in

MACHINE = Machine(
    cores=2,
    memory_gib=24.0,
    processor="A Processor",
    linux="6.1.0",
    engine="Docker 20.10",
    runtime="runc 1.1.5",
    python="3.11.2",
    file_system="ext4",
    sync_ms=1.5,
)


def test_a_quantile_lies_between_its_neighbours() -> None:
    """Whatever order the samples come in."""
    assert quantile([30.0, 10.0, 20.0, 40.0], 0.5) == 25.0
    assert quantile([10.0, 20.0], 0.99) == pytest.approx(19.9)
    assert quantile([7.0], 0.99) == 7.0


def test_a_summary_tells_the_middle_half_and_the_tail() -> None:
    """One sample that is far off moves the greatest and no other."""
    usual, odd = summary([1.0, 2.0, 3.0, 4.0, 5.0]), summary([1.0, 2.0, 3.0, 4.0, 500.0])
    assert (usual.low, usual.median, usual.high, usual.most) == (2.0, 3.0, 4.0, 5.0)
    assert (odd.low, odd.median, odd.high, odd.most) == (2.0, 3.0, 4.0, 500.0)
    assert odd.p99 > usual.p99


def test_no_samples_are_no_figure() -> None:
    """Nothing measured is not nought."""
    with pytest.raises(ValueError, match="nothing was measured"):
        summary([])


def test_a_ratio_is_of_medians_and_keeps_both_sides() -> None:
    """Ours over the other's."""
    figure = ratio("20 tasks", [1.0, 2.0, 90.0], [4.0, 4.0], "bare", "s")
    assert figure.value == 0.5
    assert {side: told.count for side, told in figure.sides.items()} == {OURS: 3, "bare": 2}


def test_a_tail_is_ours() -> None:
    """The figure is the 99th percentile, the side tells the rest."""
    figure = p99("a stop", [float(number) for number in range(101)], "ms")
    assert (figure.value, figure.sides[OURS].median) == (99.0, 50.0)


@pytest.mark.parametrize(
    ("goal", "value", "met", "share"),
    [
        (Goal(AT_MOST, 20.0), 20.0, True, 1.0),
        (Goal(AT_MOST, 20.0), 25.0, False, 1.25),
        (Goal(AT_LEAST, 0.9), 0.9, True, 1.0),
        (Goal(AT_LEAST, 0.9), 0.6, False, 1.5),
        (Goal(AT_MOST, 0.0), 0.0, True, None),
    ],
)
def test_a_goal_is_met_or_missed(goal: Goal, value: float, met: bool, share: float | None) -> None:
    """On its bound it is met; what is used of it is above 1 when it is missed."""
    figure = Figure(name="a", value=value, unit="", goal=goal)
    assert figure.missed is not met
    if share is not None:
        assert goal.share(value) == pytest.approx(share)


def test_without_a_goal_nothing_is_missed() -> None:
    """A figure may only be told."""
    assert not Figure(name="a", value=1e9, unit="").missed


def test_sides_take_turns_and_each_goes_first_as_often() -> None:
    """What drifts with time is the same for all."""
    assert list(turns(("a", "b"), 3)) == ["a", "b", "b", "a", "a", "b"]


def test_a_row_that_is_measured_again_takes_the_old_ones_place() -> None:
    """The others stay."""
    results = Results(machine=MACHINE, rows={})
    for seconds, key in ((1.0, "a"), (2.0, "b"), (3.0, "a")):
        results = results.having(MACHINE, Row(key=key, figures=(), seconds=seconds))
    assert {key: row.seconds for key, row in results.rows.items()} == {"a": 3.0, "b": 2.0}


@pytest.mark.parametrize(
    ("costs", "grows"),
    [
        ([1.0, 1.0, 1.1], 1.1),
        ([4.0, 1.0, 1.3], 1.3),
        ([4.0, 2.0, 1.0], 0.5),
        ([1.0, 3.0, 2.0], 3.0),
    ],
)
def test_growth_is_against_the_cheapest_smaller_size(costs: list[float], grows: float) -> None:
    """A dear beginning hides nothing, and what falls does not grow."""
    assert growth.growth(costs) == pytest.approx(grows)


def test_small_lists_do_not_count_as_growth() -> None:
    """What any list costs is spread over few tasks there."""
    samples = {
        count: {growth.POST: [1.0], growth.STEP: [1.0], growth.LIST: [cost]}
        for count, cost in ((10, 1.0), (100, 9.0), (1000, 9.0))
    }
    post, step, listed = growth.figures(samples)
    assert (post.value, step.value, listed.value) == (1.0, 1.0, 1.0)
    assert "10 records" not in listed.sides


def test_what_is_acknowledged_and_missing_is_summed() -> None:
    """Over all kills."""
    rates = {side: [1000.0] for side in accepts.PROGRAMS}
    *_, lost = accepts.figures(rates, [(1000, 0), (500, 2)])
    assert (lost.value, lost.missed) == (2, True)
    assert "1,500 acknowledged" in lost.name


SAID = """Running 10s test @ http://127.0.0.1:1
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    10.31ms    4.02ms  40.12ms   90.00%
  Latency Distribution
     50%    9.50ms
     99%  {p99}
  20482 requests in 10.00s, 5.00MB read
{more}Requests/sec:   2048.21
Transfer/sec:      1.00MB
"""


@pytest.mark.parametrize(("p99", "ms"), [("26.26ms", 26.26), ("1.50s", 1500.0), ("900.00us", 0.9)])
def test_what_wrk_says_is_read_with_its_units(p99: str, ms: float) -> None:
    """Of times it chooses the unit."""
    load = load_in(SAID.format(p99=p99, more=""))
    assert (load.per_second, load.answers) == (2048.21, 20482)
    assert load.p99_ms == pytest.approx(ms)
    assert (load.bad, load.broken) == (0, 0)


def test_what_went_wrong_under_wrk_is_counted() -> None:
    """Refusals, and connections that broke."""
    more = "  Socket errors: connect 0, read 3, write 4, timeout 1\n"
    more += "  Non-2xx or 3xx responses: 7\n"
    load = load_in(SAID.format(p99="1.00ms", more=more))
    assert (load.bad, load.broken) == (7, 8)


def test_wrk_without_a_report_is_an_error() -> None:
    """It could not connect, for one."""
    with pytest.raises(ValueError, match="unable to connect"):
        load_in("unable to connect to 127.0.0.1:1 Connection refused")


def test_phases_are_read_from_the_workers_figures() -> None:
    """Seconds in all, and how many; buckets are none."""
    metrics = (
        'keelman_task_phase_seconds_bucket{le="0.1",phase="create"} 1.0\n'
        'keelman_task_phase_seconds_count{phase="create"} 4.0\n'
        'keelman_task_phase_seconds_sum{phase="create"} 0.5\n'
    )
    assert phases_in(metrics) == {"create": (0.5, 4)}


def test_a_processor_is_named_as_the_kernel_names_it() -> None:
    """Once, however many cores it has."""
    text = (
        "processor\t: 0\nmodel name\t: A  Processor\nprocessor\t: 1\nmodel name\t: A  Processor\n"
    )
    assert processor(text) == "A Processor"
