"""Pulls: detached, one per image, a few at once, and everybody who waited learns how it went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keelman.errors import EngineAway, EngineFailed
from keelman.runtime.fake import FakeEngine, FakeRuntime
from keelman.seen import Missing, Present, Pulling, Unavailable
from keelman.worker.images import AWAY_SECONDS, PULLS_MOST, Images
from tests.unit.virtual_time import in_virtual_time, the_loop

PULL_SECONDS = 60.0
IMAGE = "nginx:1"


class CountingRuntime(FakeRuntime):
    """Notes when which image was pulled."""

    def __init__(self, engine: FakeEngine) -> None:
        super().__init__(engine, "w")
        self.pulls: list[tuple[str, float]] = []

    async def pull(self, image: str) -> None:
        self.pulls.append((image, now()))
        await super().pull(image)


class Yard:
    """An engine whose registry is slow, the pulls from it, and who was woken when."""

    def __init__(self) -> None:
        self.engine = FakeEngine(now, registry=[IMAGE, *(f"image:{n}" for n in range(9))])
        self.engine.latency["pull"] = PULL_SECONDS
        self.runtime = CountingRuntime(self.engine)
        self.woken: list[tuple[str, float]] = []
        self.images = Images(self.runtime, now, lambda task: self.woken.append((task, now())))


def now() -> float:
    return the_loop().time()


@asynccontextmanager
async def pulling() -> AsyncIterator[Yard]:
    yard = Yard()
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(yard.images.run())
        yield yard
        loop.cancel()


async def pass_time(seconds: float) -> None:
    """Let the loop's clock, which is not the wall's, go on."""
    await asyncio.sleep(seconds)


@in_virtual_time
async def test_a_pull_is_asked_for_and_not_awaited() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        assert now() == 0.0
        assert yard.images.state(IMAGE, "a", Missing()) == Pulling()
        await pass_time(PULL_SECONDS + 1)
        assert IMAGE in yard.engine.images
        assert yard.woken == [("a", PULL_SECONDS)]


@in_virtual_time
async def test_one_image_is_pulled_once_for_all_who_want_it() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        await pass_time(1)
        yard.images.pull(IMAGE, "b")
        assert yard.images.state(IMAGE, "c", Missing()) == Pulling()  # who asks, waits too
        await pass_time(PULL_SECONDS)
        assert yard.runtime.pulls == [(IMAGE, 0.0)]
        assert sorted(yard.woken) == [(task, PULL_SECONDS) for task in "abc"]


@in_virtual_time
async def test_a_few_images_are_pulled_at_once_and_the_others_wait_their_turn() -> None:
    async with pulling() as yard:
        for number in range(PULLS_MOST + 1):
            yard.images.pull(f"image:{number}", str(number))
        await pass_time(1)
        assert [image for image, _ in yard.runtime.pulls] == [
            f"image:{number}" for number in range(PULLS_MOST)
        ]
        assert yard.images.state(f"image:{PULLS_MOST}", "x", Missing()) == Pulling()
        await pass_time(2 * PULL_SECONDS)
        assert yard.runtime.pulls[-1] == (f"image:{PULLS_MOST}", PULL_SECONDS)


@in_virtual_time
async def test_an_image_that_is_here_never_waits_behind_a_pull() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        assert yard.images.state(IMAGE, "b", Present()) == Present()


@in_virtual_time
async def test_an_image_nobody_asked_for_is_what_the_engine_says() -> None:
    async with pulling() as yard:
        assert yard.images.state(IMAGE, "a", Missing()) == Missing()


@in_virtual_time
async def test_a_pull_that_is_over_can_be_asked_for_again() -> None:
    async with pulling() as yard:
        for _ in range(2):
            yard.images.pull(IMAGE, "a")
            await pass_time(PULL_SECONDS + 1)
        assert len(yard.runtime.pulls) == len(yard.woken) == 2


@in_virtual_time
async def test_an_image_that_nobody_has_is_unavailable_for_good() -> None:
    async with pulling() as yard:
        yard.images.pull("nobody/has:it", "a")
        await pass_time(PULL_SECONDS)
        gone = yard.images.state("nobody/has:it", "b", Missing())
        assert gone == Unavailable(
            at=PULL_SECONDS / 2,
            final=True,
            message="nobody/has:it is not in the registry, or not for us",
        )
        assert [task for task, _ in yard.woken] == ["a"]


@in_virtual_time
async def test_a_registry_in_trouble_makes_an_image_unavailable_for_now() -> None:
    async with pulling() as yard:
        yard.engine.fail_next("pull", EngineFailed("toomanyrequests"))
        yard.images.pull(IMAGE, "a")
        await pass_time(PULL_SECONDS)
        failed = Unavailable(at=PULL_SECONDS / 2, final=False, message="toomanyrequests")
        assert yard.images.state(IMAGE, "a", Missing()) == failed
        yard.images.pull(IMAGE, "a")
        assert yard.images.state(IMAGE, "a", Missing()) == Pulling()
        await pass_time(PULL_SECONDS + 1)
        assert yard.images.state(IMAGE, "a", Missing()) == Missing()  # forgotten, not repeated


@in_virtual_time
async def test_an_engine_that_went_away_says_nothing_of_the_image() -> None:
    async with pulling() as yard:
        yard.engine.fail_next("pull", EngineAway("no answer"))
        yard.images.pull(IMAGE, "a")
        await pass_time(PULL_SECONDS)
        assert yard.images.state(IMAGE, "a", Missing()) == Missing()
        assert yard.woken == [("a", PULL_SECONDS / 2 + AWAY_SECONDS)]


@in_virtual_time
async def test_pulls_end_with_the_worker() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        await pass_time(1)
    assert now() == 1.0
    assert yard.woken == []
