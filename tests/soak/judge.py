"""Whether a figure grew while work went on that left nothing behind. PURE.

A series is cut into blocks, of each the median is taken (one sample that is far out moves nothing),
and a line is laid through them by least squares. What is measured comes and goes with the work that
happens to be under way, more of it when the machine is slow: such loads are fitted beside the line,
so that only what they do not explain is taken for growth. The slope's interval of confidence is
Student's, widened by how much neighbouring blocks resemble each other.

A leak goes on: it rises by more than is allowed, and in the first third as in the last. What rose
once and stayed is none, but is only passed over when the last half shows that it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from math import sqrt
from statistics import NormalDist, fmean, median

from msgspec import Struct

CONFIDENCE = 0.99  # two-sided
BLOCKS_MOST = 24
BLOCKS_LEAST = 8
FREEDOM_LEAST = 4  # of fewer degrees Student's t is not known here
SAMPLES_OF_A_BLOCK = 3
RESEMBLANCE_MOST = 0.9
SHARE_OF_A_THIRD = 0.25  # of the whole slope: what a leak that goes on has there
NOTHING = 1e-12  # what is left of a number by rounding
HOUR_SECONDS = 3600.0


class Point(Struct, frozen=True):
    """One figure as it was `seconds` after the beginning, with so many tasks done.

    `loads` are what it may come and go with.
    """

    seconds: float
    tasks: float
    value: float
    loads: tuple[float, ...] = ()


class Bound(Struct, frozen=True, kw_only=True):
    """What a figure may gain while it is judged, without being said to grow: the greater of two."""

    per_1000_tasks: float
    in_all: float

    def allowed(self, tasks: float) -> float:
        """What may be gained while so many tasks are done."""
        return max(self.in_all, self.per_1000_tasks * tasks / 1000)


class Verdict(StrEnum):
    """FLAT is shown to be, and UNCLEAR is neither shown to be flat nor to grow."""

    FLAT = "flat"
    GROWS = "GROWS"
    UNCLEAR = "unclear"
    KEPT = "kept by design"


class Line(Struct, frozen=True):
    """A slope per second, give or take `margin`, and what it leaves of each block."""

    slope: float
    margin: float
    rests: tuple[float, ...] = ()

    @property
    def least(self) -> float:
        return self.slope - self.margin

    @property
    def most(self) -> float:
        return self.slope + self.margin


class Finding(Struct, frozen=True, kw_only=True):
    """What became of a figure. `start` and `end` are medians of the first and last block."""

    start: float
    end: float
    per_hour: float
    margin_per_hour: float
    per_1000_tasks: float
    verdict: Verdict


def judge(points: Sequence[Point], bound: Bound | None) -> Finding:
    """What a series, from after its warm-up, came to; without a bound it is kept by design."""
    blocks = blocks_of(points)
    whole = line_through(blocks)
    seconds, tasks = _gained(blocks)
    return Finding(
        start=blocks[0].value,
        end=blocks[-1].value,
        per_hour=whole.slope * HOUR_SECONDS,
        margin_per_hour=whole.margin * HOUR_SECONDS,
        per_1000_tasks=whole.slope * seconds / tasks * 1000 if tasks else 0.0,
        verdict=Verdict.KEPT if bound is None else _verdict(blocks, whole, bound),
    )


def _verdict(blocks: Sequence[Point], whole: Line, bound: Bound) -> Verdict:
    if len(blocks) < BLOCKS_LEAST:
        return Verdict.UNCLEAR
    last = blocks[len(blocks) // 2 :]
    if whole.most <= _allowed(bound, blocks) or line_through(last).most <= _allowed(bound, last):
        return Verdict.FLAT
    surely = whole.least > 0 and whole.slope > _allowed(bound, blocks)
    return Verdict.GROWS if surely and _goes_on(blocks, whole) else Verdict.UNCLEAR


def _goes_on(blocks: Sequence[Point], whole: Line) -> bool:
    """Whether it rises in the first third and in the last, the loads' share taken out."""
    bare = [
        Point(one.seconds, one.tasks, whole.slope * one.seconds + rest)
        for one, rest in zip(blocks, whole.rests, strict=True)
    ]
    third = len(bare) // 3
    slopes = line_through(bare[:third]).slope, line_through(bare[-third:]).slope
    return min(slopes) > whole.slope * SHARE_OF_A_THIRD


def _allowed(bound: Bound, blocks: Sequence[Point]) -> float:
    """The steepest slope that is not yet growth."""
    seconds, tasks = _gained(blocks)
    return bound.allowed(tasks) / seconds


def blocks_of(points: Sequence[Point]) -> list[Point]:
    """Blocks of neighbours, all but as large as each other, each as the median of its values."""
    count = max(1, min(BLOCKS_MOST, len(points) // SAMPLES_OF_A_BLOCK))
    edges = [round(number * len(points) / count) for number in range(count + 1)]
    return [_block(points[start:end]) for start, end in pairwise(edges)]


def _block(points: Sequence[Point]) -> Point:
    return Point(
        seconds=fmean(point.seconds for point in points),
        tasks=fmean(point.tasks for point in points),
        value=median(point.value for point in points),
        loads=tuple(map(median, zip(*(point.loads for point in points), strict=True))),
    )


def _gained(blocks: Sequence[Point]) -> tuple[float, float]:
    """How many seconds passed, and how many tasks were done, from first to last."""
    return blocks[-1].seconds - blocks[0].seconds, blocks[-1].tasks - blocks[0].tasks


def line_through(blocks: Sequence[Point]) -> Line:
    """Least squares over time, beside the loads; too few blocks say nothing of how sure that is."""
    ground = _orthonormal([[1.0] * len(blocks), *zip(*(one.loads for one in blocks), strict=True)])
    times = _without([one.seconds for one in blocks], ground)
    values = _without([one.value - blocks[0].value for one in blocks], ground)
    spread, freedom = _dot(times, times), len(blocks) - len(ground) - 1
    slope = _dot(times, values) / spread if spread > NOTHING else 0.0
    rests = tuple(value - slope * time for time, value in zip(times, values, strict=True))
    if freedom < FREEDOM_LEAST or spread <= NOTHING:
        return Line(slope, float("inf"), rests)
    error = sqrt(_dot(rests, rests) / freedom / spread)
    return Line(slope, students_t(CONFIDENCE, freedom) * error * sqrt(_widening(rests)), rests)


def _orthonormal(columns: Sequence[Sequence[float]]) -> list[list[float]]:
    """What the columns span (Gram and Schmidt); one that tells nothing new is left out."""
    ground: list[list[float]] = []
    for column in columns:
        rest = _without(column, ground)
        if (power := _dot(rest, rest)) > NOTHING * max(1.0, _dot(column, column)):
            ground.append([value / sqrt(power) for value in rest])
    return ground


def _without(column: Sequence[float], ground: Sequence[Sequence[float]]) -> list[float]:
    """What of a column the ground does not explain."""
    rest = list(column)
    for one in ground:
        share = _dot(rest, one)
        rest = [value - share * part for value, part in zip(rest, one, strict=True)]
    return rest


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _widening(rests: Sequence[float]) -> float:
    """Blocks that resemble their neighbours tell less than their number says."""
    power = _dot(rests, rests)
    if power < NOTHING:
        return 1.0
    resemblance = sum(one * other for one, other in pairwise(rests)) / power
    resemblance = min(max(resemblance, 0.0), RESEMBLANCE_MOST)
    return (1 + resemblance) / (1 - resemblance)


def students_t(confidence: float, freedom: int) -> float:
    """Student's t for a two-sided interval, from the normal one (Cornish and Fisher)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
