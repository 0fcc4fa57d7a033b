"""What is measured: figures, what they are held to, and what they come to. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final, Literal, TypeVar

from msgspec import Struct

AT_MOST: Final = "≤"
AT_LEAST: Final = "≥"
TIMES = "times"  # the unit of a ratio
OURS = "Keelman"

T = TypeVar("T")


class Goal(Struct, frozen=True):
    """A figure is to be at most this, or at least this."""

    relation: Literal["≤", "≥"]
    bound: float

    def met_by(self, value: float) -> bool:
        return value <= self.bound if self.relation == AT_MOST else value >= self.bound

    def share(self, value: float) -> float:
        """How much of what is allowed is used: 1 is just met, more is missed."""
        return value / self.bound if self.relation == AT_MOST else self.bound / max(value, 1e-9)


class Summary(Struct, frozen=True, kw_only=True):
    """Many samples of one thing."""

    count: int
    median: float
    low: float
    high: float
    p99: float
    most: float


class Figure(Struct, frozen=True, kw_only=True):
    """One number, the goal it is held to, and the samples of each side that it comes from."""

    name: str
    value: float
    unit: str
    goal: Goal | None = None
    sides: dict[str, Summary] = {}
    sides_unit: str = ""

    @property
    def missed(self) -> bool:
        return self.goal is not None and not self.goal.met_by(self.value)


class Row(Struct, frozen=True, kw_only=True):
    """One thing that was measured: its figures, and what there is to say of how it was done."""

    key: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    sizes: str = ""  # "quick" or "full"
    date: str = ""
    seconds: float = 0.0


class Machine(Struct, frozen=True, kw_only=True):
    """What it was measured on."""

    cores: int
    memory_gib: float
    processor: str
    linux: str
    engine: str
    runtime: str
    python: str
    file_system: str
    sync_ms: float


class Results(Struct, frozen=True, kw_only=True):
    """All that is known of one machine, row by row; a later run of a row takes its place."""

    machine: Machine
    rows: dict[str, Row]

    def having(self, machine: Machine, row: Row) -> Results:
        return Results(machine=machine, rows={**self.rows, row.key: row})


def summary(values: Sequence[float]) -> Summary:
    """Median, middle half, p99 and the greatest. Raises: ValueError for no samples at all."""
    if not values:
        raise ValueError("nothing was measured")
    return Summary(
        count=len(values),
        median=median(values),
        low=quantile(values, 0.25),
        high=quantile(values, 0.75),
        p99=quantile(values, 0.99),
        most=max(values),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so many of all do not exceed, between two samples by a straight line."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ratio(
    name: str, ours: Sequence[float], beside: Sequence[float], versus: str, unit: str
) -> Figure:
    """Our median over the other's, both taken in turns in one run."""
    sides = {OURS: summary(ours), versus: summary(beside)}
    value = sides[OURS].median / sides[versus].median
    return Figure(name=name, value=value, unit=TIMES, sides=sides, sides_unit=unit)


def p99(name: str, ours: Sequence[float], unit: str) -> Figure:
    """Our 99th percentile."""
    mine = summary(ours)
    return Figure(name=name, value=mine.p99, unit=unit, sides={OURS: mine}, sides_unit=unit)


def turns(sides: Sequence[T], rounds: int) -> Iterator[T]:
    """Whose turn it is: each once a round, in the other order every other round."""
    for number in range(rounds):
        yield from sides if number % 2 == 0 else reversed(sides)
