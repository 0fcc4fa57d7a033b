"""The judge of a soak: a leak is told from noise, from a step and from what comes and goes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import islice

import pytest

from tests.soak.judge import (
    Bound,
    Finding,
    Point,
    Verdict,
    blocks_of,
    judge,
    line_through,
    students_t,
)

EVERY_SECONDS = 4.0
TASKS_PER_SECOND = 2.0
SAMPLES = 240  # 16 minutes, 1,920 tasks
FEW = Bound(per_1000_tasks=2, in_all=6)

SEEDS = range(20)
Shape = Callable[[float, random.Random], float]  # the value after so many tasks


def series(shape: Shape, seed: int = 0, count: int = SAMPLES) -> list[Point]:
    chance = random.Random(seed)
    times = [number * EVERY_SECONDS for number in range(count)]
    return [
        Point(time, time * TASKS_PER_SECOND, shape(time * TASKS_PER_SECOND, chance))
        for time in times
    ]


def verdict(shape: Shape, seed: int = 0, bound: Bound = FEW) -> Verdict:
    return judge(series(shape, seed), bound).verdict


def noise(chance: random.Random) -> float:
    """What is open for the tasks under way: whole, and never less than none."""
    return float(max(0, round(chance.gauss(8, 3))))


# -- what does not grow --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_is_flat(seed: int) -> None:
    assert verdict(lambda _, chance: 20 + noise(chance), seed) is Verdict.FLAT


def test_what_never_changes_is_flat_beyond_doubt() -> None:
    found = judge(series(lambda _, __: 12.0), Bound(per_1000_tasks=0.1, in_all=0.1))
    assert found == Finding(
        start=12,
        end=12,
        per_hour=0,
        margin_per_hour=0,
        per_1000_tasks=0,
        verdict=Verdict.FLAT,
    )


def test_noise_that_lasts_is_hardly_ever_taken_for_growth() -> None:
    """A value that resembles the one before drifts, and drifts back: once in a hundred runs."""
    found = [verdict(drift(0.95), seed) for seed in range(300)]
    assert found.count(Verdict.GROWS) <= 3
    assert found.count(Verdict.FLAT) >= 100


def drift(likeness: float) -> Shape:
    level = 0.0

    def drifting(_: float, chance: random.Random) -> float:
        nonlocal level
        level = likeness * level + chance.gauss(0, 3 * math.sqrt(1 - likeness**2))
        return 20 + level

    return drifting


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.35])
def test_a_step_after_which_it_stays_is_flat(seed: int, share: float) -> None:
    """As of a warm-up that lasts longer than was thought."""
    stepped = SAMPLES * EVERY_SECONDS * TASKS_PER_SECOND * share
    found = verdict(lambda done, chance: 20 + chance.gauss(8, 2) + 40 * (done > stepped), seed)
    assert found is Verdict.FLAT


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_a_late_step_is_neither_growth_nor_flat(seed: int, share: float) -> None:
    """Nobody knows whether it stays: the run was too short."""
    stepped = SAMPLES * EVERY_SECONDS * TASKS_PER_SECOND * share
    found = verdict(lambda done, chance: 20 + noise(chance) + 40 * (done > stepped), seed)
    assert found is Verdict.UNCLEAR


def test_a_level_that_is_reached_in_the_end_is_flat() -> None:
    """As memory that fills a ring."""
    bound = Bound(per_1000_tasks=1, in_all=1)
    assert verdict(lambda done, _: 60 - 30 * math.exp(-done / 150), bound=bound) is Verdict.FLAT


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("begins", "ends"), [(0.1, 0.6), (0.3, 0.6), (0.4, 1.0), (0.6, 1.0)])
def test_what_rises_for_a_part_of_the_run_is_neither(seed: int, begins: float, ends: float) -> None:
    """It has stopped, or has just begun: only a longer run tells."""
    whole = SAMPLES * EVERY_SECONDS * TASKS_PER_SECOND

    def rising(done: float, chance: random.Random) -> float:
        return chance.gauss(8, 1) + 40 * min(1, max(0, (done / whole - begins) / (ends - begins)))

    assert verdict(rising, seed) is Verdict.UNCLEAR


def test_what_comes_and_goes_in_waves_is_flat() -> None:
    """As rows that are swept away now and then."""
    assert verdict(lambda done, _: done % 40, bound=Bound(per_1000_tasks=5, in_all=20)) is (
        Verdict.FLAT
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_one_sample_far_out_moves_nothing(seed: int) -> None:
    far_out = SAMPLES * EVERY_SECONDS * TASKS_PER_SECOND * 0.99
    assert verdict(
        lambda done, chance: noise(chance) + 1e6 * (far_out < done < far_out + 16), seed
    ) is (Verdict.FLAT)


def test_what_falls_is_flat() -> None:
    assert verdict(lambda done, chance: 500 - done / 10 + noise(chance)) is Verdict.FLAT


# -- what does -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_one_in_fifty_tasks_is_caught(seed: int) -> None:
    assert verdict(lambda done, chance: 20 + noise(chance) + done // 50, seed) is Verdict.GROWS


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kilobyte_and_a_half_for_each_task_is_caught(seed: int) -> None:
    """In the noise that memory has, after a step at its beginning."""
    bound = Bound(per_1000_tasks=0.5, in_all=0.75)

    def memory(done: float, chance: random.Random) -> float:
        return 60 + 3 * (done > 100) + chance.gauss(0, 0.2) + done * 1.5 / 1024

    assert verdict(memory, seed, bound) is Verdict.GROWS


def test_growth_in_steps_is_growth() -> None:
    """As of an allocator that takes much at once."""
    assert verdict(lambda done, _: 4 * (done // 150)) is Verdict.GROWS


def test_no_leak_is_small_enough_to_hide_in_a_run_that_is_long_enough() -> None:
    """What is under the bound in a short run is over it in a longer one, by the tasks done."""
    bound = Bound(per_1000_tasks=2, in_all=30)
    long = series(lambda done, chance: noise(chance) + done / 100, count=1000)
    assert judge(long[:SAMPLES], bound).verdict is not Verdict.GROWS
    assert judge(long, bound).verdict is Verdict.GROWS


# -- what cannot be told -------------------------------------------------------------------------


def test_a_handful_of_samples_tells_nothing() -> None:
    for count in (1, 2, 17):
        short = list(islice(series(lambda done, _: done), count))
        assert judge(short, FEW).verdict is Verdict.UNCLEAR


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_larger_than_the_bound_is_not_passed_over(seed: int) -> None:
    tight = Bound(per_1000_tasks=0.01, in_all=0.01)
    found = verdict(lambda _, chance: chance.gauss(0, 10), seed, tight)
    assert found is Verdict.UNCLEAR


def test_what_is_kept_by_design_is_told_and_not_judged() -> None:
    found = judge(series(lambda done, _: done * 1.5), None)
    assert (found.verdict, round(found.per_1000_tasks, 6)) == (Verdict.KEPT, 1500)


# -- the figures ---------------------------------------------------------------------------------


def test_a_slope_is_told_by_the_hour_and_by_a_thousand_tasks() -> None:
    found = judge(series(lambda done, _: 10 + done / 50), FEW)
    assert round(found.per_hour, 6) == TASKS_PER_SECOND * 3600 / 50
    assert round(found.per_1000_tasks, 6) == 20
    assert (round(found.start, 3), round(found.end, 3)) == (10.72, 47.52)
    assert found.margin_per_hour < 1e-6


def test_the_bound_is_the_greater_of_its_two() -> None:
    assert FEW.allowed(100) == 6
    assert FEW.allowed(10_000) == 20


def test_every_sample_is_in_one_block() -> None:
    """All but as large as each other."""
    for count in (1, 2, 17, 18, 71, 72, 73, 500):
        blocks = blocks_of(series(lambda done, _: done, count=count))
        assert len(blocks) == max(1, min(24, count // 3))
        assert blocks == sorted(blocks, key=lambda one: one.seconds)
    assert len(blocks_of([Point(0, 0, 1), Point(1, 1, 9), Point(2, 2, 2)])) == 1
    assert blocks_of([Point(0, 0, 1), Point(1, 1, 9), Point(2, 2, 2)])[0] == Point(1, 1, 2)


def test_without_tasks_there_is_no_slope_by_tasks() -> None:
    idle = [Point(float(number), 0, float(number)) for number in range(60)]
    assert judge(idle, FEW).per_1000_tasks == 0


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(6, 3.707), (8, 3.355), (10, 3.169), (22, 2.819), (100, 2.626)],
)
def test_students_t_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert students_t(0.99, freedom) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("true_slope", [0.0, 0.02])
def test_the_interval_holds_the_true_slope_as_often_as_it_says(true_slope: float) -> None:
    """In 97 of 100 runs at least, where it should be 99."""
    held = 0
    for seed in range(200):
        chance = random.Random(seed)
        points = [Point(float(x), 0, true_slope * x + chance.gauss(0, 1)) for x in range(24)]
        line = line_through(points)
        held += line.least <= true_slope <= line.most
    assert held >= 194


def test_too_few_blocks_are_sure_of_nothing() -> None:
    """With loads, that are fitted too, more are needed."""
    for count, loads, sure in ((5, (), False), (6, (), True), (6, (1.0,), True), (7, (), True)):
        points = [Point(float(x), 0, float(x % 2), loads) for x in range(count)]
        assert math.isfinite(line_through(points).margin) == sure
    varied = [Point(float(x), 0, float(x % 2), (float(x % 3), float(x * x % 5))) for x in range(7)]
    assert math.isinf(line_through(varied).margin)


def test_neighbours_that_resemble_each_other_widen_the_interval() -> None:
    waves = [Point(float(x), 0, math.sin(x / 3)) for x in range(24)]
    shuffled = [Point(one.seconds, 0, math.sin((7 * x % 24) / 3)) for x, one in enumerate(waves)]
    assert line_through(waves).margin > 1.5 * line_through(shuffled).margin


# -- loads ---------------------------------------------------------------------------------------


def loaded(shape: Callable[[float, float, random.Random], float], seed: int) -> list[Point]:
    """A machine that is slow at first and then is not; `shape` gets tasks done and under way."""
    chance = random.Random(seed)
    points = []
    for number in range(SAMPLES):
        time = number * EVERY_SECONDS
        alive = round(chance.gauss(5 if number > SAMPLES * 0.6 else 20, 2))
        points.append(Point(time, 2 * time, shape(2 * time, alive, chance), (float(alive), 7.0)))
    return points


@pytest.mark.parametrize("seed", SEEDS)
def test_what_comes_and_goes_with_the_load_does_not_grow(seed: int) -> None:
    falls = loaded(lambda _, alive, chance: 20 + 3 * alive + chance.gauss(0, 1), seed)
    rises = loaded(lambda _, alive, chance: 90 - 3 * alive + chance.gauss(0, 1), seed)
    for points in (falls, rises):
        assert judge(points, Bound(per_1000_tasks=2, in_all=8)).verdict is Verdict.FLAT


@pytest.mark.parametrize("seed", SEEDS)
def test_a_leak_behind_a_falling_load_is_seen(seed: int) -> None:
    """The figure itself falls meanwhile."""
    points = loaded(lambda done, alive, _: 20 + 3 * alive + done // 50, seed)
    found = judge(points, FEW)
    assert (found.end < found.start, found.verdict) == (True, Verdict.GROWS)


def test_when_the_load_alone_could_explain_it_nothing_is_told() -> None:
    """It rose with time as evenly as the figure did."""
    points = [Point(float(x), float(x), 3.0 * x, (2.0 * x,)) for x in range(SAMPLES)]
    assert judge(points, FEW).verdict is Verdict.UNCLEAR
