"""How much is measured: a few minutes' worth, or all of it. PURE."""

from __future__ import annotations

from msgspec import Struct


class Plan(Struct, frozen=True, kw_only=True):
    """The sizes of every row. Where a size maps to a number, that is how many rounds it gets."""

    name: str
    starts: dict[int, int]
    swarm: dict[int, int]
    slots: tuple[int, ...]
    slots_tasks: int
    slots_rounds: int
    exits: int
    stops: int
    load_seconds: int
    load_rounds: int
    lists: tuple[int, ...]
    list_seconds: int
    list_rounds: int
    listeners: int
    churned: int
    records: tuple[int, ...]
    growth_rounds: int
    idle_containers: int
    idle_seconds: float
    return_records: int
    return_containers: int
    returns: int


QUICK = Plan(
    name="quick",
    starts={1: 8, 20: 3, 100: 1},
    swarm={20: 2},
    slots=(1, 2, 4, 8),
    slots_tasks=12,
    slots_rounds=1,
    exits=60,
    stops=60,
    load_seconds=3,
    load_rounds=2,
    lists=(0, 100, 1000, 10_000),
    list_seconds=2,
    list_rounds=1,
    listeners=1000,
    churned=60,
    records=(10, 1000, 10_000),
    growth_rounds=200,
    idle_containers=30,
    idle_seconds=20.0,
    return_records=10_000,
    return_containers=50,
    returns=3,
)

FULL = Plan(
    name="full",
    starts={1: 30, 20: 8, 100: 5},
    swarm={20: 5, 100: 3},
    slots=(1, 2, 3, 4, 6, 8, 16),
    slots_tasks=24,
    slots_rounds=3,
    exits=400,
    stops=400,
    load_seconds=10,
    load_rounds=5,
    lists=(0, 100, 1000, 10_000),
    list_seconds=5,
    list_rounds=3,
    listeners=1000,
    churned=100,
    records=(10, 100, 1000, 10_000, 100_000),
    growth_rounds=500,
    idle_containers=100,
    idle_seconds=120.0,
    return_records=10_000,
    return_containers=300,
    returns=10,
)
