"""Lanes: one per task, many at once, and none for what is at rest."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from keelman.lanes import Lanes
from tests.unit.virtual_time import in_virtual_time, the_loop


class Steps:
    """A step that notes when it was asked for whom, and answers by a script: seconds from now."""

    def __init__(self, *script: float | None, takes: float = 0.0) -> None:
        self._script = list(script)
        self._takes = takes
        self.calls: list[tuple[str, float]] = []
        self.running: defaultdict[str, int] = defaultdict(int)
        self.during: Callable[[str], None] = lambda task_id: None

    async def __call__(self, task_id: str) -> float | None:
        self.calls.append((task_id, now()))
        self.running[task_id] += 1
        assert self.running[task_id] == 1, "two steps at once for one task"
        self.during(task_id)
        await asyncio.sleep(self._takes)
        self.running[task_id] -= 1
        wait = self._script.pop(0) if self._script else None
        return None if wait is None else now() + wait

    @property
    def times(self) -> list[float]:
        return [when for _, when in self.calls]


def now() -> float:
    return the_loop().time()


@asynccontextmanager
async def running(steps: Steps) -> AsyncIterator[Lanes]:
    lanes = Lanes(steps, now)
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(lanes.run())
        await asyncio.sleep(0)
        yield lanes
        loop.cancel()


async def pass_time(seconds: float = 1.0) -> None:
    """Let the loop's clock, which is not the wall's, go on."""
    await asyncio.sleep(seconds)


@in_virtual_time
async def test_a_task_that_is_woken_is_looked_at() -> None:
    steps = Steps()
    async with running(steps) as lanes:
        lanes.wake("a")
        await pass_time()
    assert steps.calls == [("a", 0.0)]


@in_virtual_time
async def test_what_was_woken_before_the_lanes_ran_is_not_lost() -> None:
    steps = Steps()
    lanes = Lanes(steps, now)
    lanes.wake("a")
    lanes.wake("b")
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(lanes.run())
        await pass_time()
        loop.cancel()
    assert steps.calls == [("a", 0.0), ("b", 0.0)]


@in_virtual_time
async def test_a_slow_task_does_not_delay_another() -> None:
    steps = Steps(takes=100)
    async with running(steps) as lanes:
        lanes.wake("a")
        await pass_time()
        lanes.wake("b")
        await pass_time()
    assert steps.calls == [("a", 0.0), ("b", 1.0)]


@pytest.mark.parametrize("wakes", [1, 10])
@in_virtual_time
async def test_wakes_during_a_step_have_the_task_looked_at_once_more(wakes: int) -> None:
    steps = Steps(takes=5)
    async with running(steps) as lanes:
        lanes.wake("a")
        await pass_time()
        for _ in range(wakes):
            lanes.wake("a")
        await pass_time(100)
    assert steps.times == [0.0, 5.0]


@in_virtual_time
async def test_a_wake_during_a_step_outdoes_what_the_step_answers() -> None:
    steps = Steps(1000, None, takes=5)
    async with running(steps) as lanes:
        lanes.wake("a")
        await pass_time()
        lanes.wake("a")
        await pass_time(2000)
    assert steps.times == [0.0, 5.0]


@in_virtual_time
async def test_a_step_can_wake_its_own_task() -> None:
    steps = Steps()
    async with running(steps) as lanes:
        steps.during = lambda task_id: lanes.wake(task_id) if len(steps.calls) < 3 else None
        lanes.wake("a")
        await pass_time()
    assert len(steps.calls) == 3


@pytest.mark.parametrize(
    ("script", "times"),
    [
        pytest.param([5.0], [0.0, 5.0], id="later"),
        pytest.param([5.0, 10.0, 1.0], [0.0, 5.0, 15.0, 16.0], id="later and later"),
        pytest.param([0.0, 0.0, -3.0], [0.0, 0.0, 0.0, 0.0], id="at once"),
        pytest.param([None], [0.0], id="not before the next wake"),
        pytest.param([86_400.0 * 300], [0.0, 86_400.0 * 300], id="in most of a year"),
    ],
)
@in_virtual_time
async def test_a_task_is_looked_at_again_when_its_step_said(
    script: list[float | None], times: list[float]
) -> None:
    steps = Steps(*script)
    async with running(steps) as lanes:
        lanes.wake("a")
        await pass_time(86_400 * 365)
    assert steps.times == times


@in_virtual_time
async def test_a_wake_before_the_time_replaces_it() -> None:
    steps = Steps(100, 50)
    async with running(steps) as lanes:
        lanes.wake("a")
        await pass_time(10)
        lanes.wake("a")
        await pass_time(1000)
    assert steps.times == [0.0, 10.0, 60.0]


@in_virtual_time
async def test_a_task_at_rest_costs_nothing() -> None:
    async with running(Steps()) as lanes:
        before = len(asyncio.all_tasks())
        for number in range(1000):
            lanes.wake(str(number))
        assert len(asyncio.all_tasks()) == before + 1000
        await pass_time()
        assert len(asyncio.all_tasks()) == before
        assert lanes._woken == lanes._timers == {}


@in_virtual_time
async def test_an_error_that_a_step_must_not_raise_comes_out() -> None:
    async def broken(_: str) -> float | None:
        raise LookupError("a bug")

    lanes = Lanes(broken, now)
    lanes.wake("a")
    with pytest.raises(ExceptionGroup) as caught:
        await lanes.run()
    assert caught.value.subgroup(LookupError) is not None


@in_virtual_time
async def test_when_it_is_told_to_stop_it_stops_and_nothing_starts_any_more() -> None:
    steps = Steps(50, 50, takes=5)
    async with running(steps) as lanes:
        lanes.wake("settles until 50")
        await pass_time(10)
        lanes.wake("in the middle of a step")
        await pass_time(1)
    lanes.wake("later")
    await pass_time(1000)
    assert [task_id for task_id, _ in steps.calls] == [
        *("settles until 50", "in the middle of a step")
    ]


@in_virtual_time
async def test_a_wake_that_is_hardly_ahead_is_waited_for() -> None:
    """A timer may fire a rounding too early: that must not go round and round in no time."""
    steps = 0

    def clock() -> float:
        return 1_000_000.0 + the_loop().time()

    async def step(_: str) -> float | None:
        nonlocal steps
        steps += 1
        return None if steps == 1000 else math.nextafter(clock(), math.inf)

    lanes = Lanes(step, clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(lanes.run())
        lanes.wake("a")
        await asyncio.sleep(0.1)
        running.cancel()
    assert steps <= 110
