"""The benchmarks themselves, cheap ones: that they run and clean up, not how fast anything is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from tests.bench import growth, records, returns, starts, stops
from tests.bench.bench import BARE, Bench
from tests.bench.engine import LABEL, EngineApi
from tests.bench.figures import OURS
from tests.bench.plan import QUICK
from tests.bench.worker import a_data_dir, a_folder
from tests.e2e.machine import ENGINE

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SMALL = replace(
    QUICK,
    starts={1: 1, 2: 1},
    stops=1,
    records=(10, 100, 200),
    growth_rounds=3,
    return_records=10,
    return_containers=1,
    returns=1,
)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    engine = EngineApi(ENGINE)
    yield Bench(engine, SMALL, lambda words: None, own=False)
    left = await engine.containers(LABEL)
    await engine.close()
    assert left == []


async def test_starts_are_measured_on_both_sides(bench: Bench) -> None:
    """The same container, once by the worker and once without it."""
    row = await starts.measure(bench)
    assert [one.name for one in row.figures] == ["1 task", "2 tasks"]
    assert all(one.sides.keys() == {OURS, BARE} and one.value > 0 for one in row.figures)
    assert "create" in row.notes[1]


async def test_a_stop_is_told_by_the_program_itself(bench: Bench) -> None:
    """By the engine's kill, too."""
    (figure,) = (await stops.measure(bench)).figures
    assert {side: told.count for side, told in figure.sides.items()} == {OURS: 1, BARE: 1}


async def test_a_return_is_measured_with_records_and_containers(bench: Bench) -> None:
    """The worker that comes back is the one that was killed."""
    (figure,) = (await returns.measure(bench)).figures
    assert figure.sides[OURS].count == 1


async def test_growth_is_measured_at_every_size(bench: Bench) -> None:
    """In turns."""
    post, step, listed = (await growth.measure(bench)).figures
    assert post.sides.keys() == step.sides.keys() == {"10 records", "100 records", "200 records"}
    assert post.sides["10 records"].count == SMALL.growth_rounds
    assert listed.sides.keys() == {"100 records", "200 records"}


async def test_a_worker_takes_made_records_for_its_own(bench: Bench) -> None:
    """All of them ended, with their history."""
    async with a_folder() as folder:
        await records.fill(a_data_dir(folder), 3, time.time())
        async with bench.worker(folder=folder) as worker, worker.session.get("/tasks") as response:
            tasks = await response.json()
            last = response.headers["Last-Event-ID"].rpartition(":")[2]
    assert [one["State"] for one in tasks] == [3, 3, 3]
    assert last == "9"
