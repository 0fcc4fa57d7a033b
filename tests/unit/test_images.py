"""Pulls: detached, one per image, a few at once, and everybody who waited learns how it went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from keelman.errors import EngineAway, EngineFailed
from keelman.progress import Progress, words_of
from keelman.runtime import Tell, to_nobody
from keelman.runtime.fake import FakeEngine, FakeRuntime
from keelman.seen import Missing, Present, Pulled, Pulling, Unavailable
from keelman.task import Reason, Spec, State, Task
from keelman.worker.images import AWAY_SECONDS, KEPT, PULLS_MOST, Images
from tests.unit.virtual_time import in_virtual_time, the_loop

PULL_SECONDS = 60.0
IMAGE = "nginx:1"


class CountingRuntime(FakeRuntime):
    """Notes when which image was pulled."""

    def __init__(self, engine: FakeEngine) -> None:
        super().__init__(engine, "w")
        self.pulls: list[tuple[str, float]] = []

    async def pull(self, image: str, tell: Tell = to_nobody) -> None:
        self.pulls.append((image, now()))
        await super().pull(image, tell)


class Yard:
    """An engine whose registry is slow, the pulls from it, and who was woken when."""

    def __init__(self) -> None:
        self.engine = FakeEngine(now, registry=[IMAGE, *(f"image:{n}" for n in range(9))])
        self.engine.latency["pull"] = PULL_SECONDS
        self.runtime = CountingRuntime(self.engine)
        self.woken: list[tuple[str, float]] = []
        self.images = Images(self.runtime, now, lambda task: self.woken.append((task, now())))


def wanting(task_id: str, image: str = IMAGE, policy: str = "") -> Task:
    spec = Spec(image=image, pull_policy=policy)
    return Task(id=task_id, spec=spec, state=State.SCHEDULED, attempt=1, message="before")


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
async def test_who_only_wants_to_know_is_told_the_same_and_is_not_woken() -> None:
    async with pulling() as yard:
        assert yard.images.under_way(IMAGE) is None
        yard.images.pull(IMAGE, "a")
        assert yard.images.known(wanting("b"), Missing()) == Pulling()
        assert yard.images.known(wanting("b"), Present()) == Present(pull=Pulling())
        await pass_time(1)
        assert yard.images.under_way(IMAGE) is not None
        await pass_time(PULL_SECONDS)
        assert yard.woken == [("a", PULL_SECONDS)]


@in_virtual_time
async def test_a_pull_is_asked_for_and_not_awaited() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        assert now() == 0.0
        assert yard.images.state(wanting("a"), Missing()) == Pulling()
        await pass_time(PULL_SECONDS + 1)
        assert IMAGE in yard.engine.images
        assert yard.woken == [("a", PULL_SECONDS)]


@in_virtual_time
async def test_one_image_is_pulled_once_for_all_who_want_it() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        await pass_time(1)
        yard.images.pull(IMAGE, "b")
        assert yard.images.state(wanting("c"), Missing()) == Pulling()  # who asks, waits too
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
        assert yard.images.state(wanting("x", f"image:{PULLS_MOST}"), Missing()) == Pulling()
        await pass_time(2 * PULL_SECONDS)
        assert yard.runtime.pulls[-1] == (f"image:{PULLS_MOST}", PULL_SECONDS)


@in_virtual_time
async def test_an_image_that_is_here_never_waits_behind_a_pull() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        assert isinstance(yard.images.state(wanting("b"), Present()), Present)
        await pass_time(PULL_SECONDS + 1)
        assert [task for task, _ in yard.woken] == ["a"]


@in_virtual_time
async def test_an_image_nobody_asked_for_is_what_the_engine_says() -> None:
    async with pulling() as yard:
        assert yard.images.state(wanting("a"), Missing()) == Missing()


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
        gone = yard.images.state(wanting("b", "nobody/has:it"), Missing())
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
        failed = Unavailable(
            at=PULL_SECONDS / 2, final=False, message=f"pull {IMAGE}: toomanyrequests"
        )
        assert yard.images.state(wanting("a"), Missing()) == failed
        yard.images.pull(IMAGE, "a")
        assert yard.images.state(wanting("a"), Missing()) == Pulling()
        await pass_time(PULL_SECONDS + 1)
        assert yard.images.state(wanting("a"), Missing()) == Missing()  # forgotten, not repeated


@in_virtual_time
async def test_an_engine_that_went_away_says_nothing_of_the_image() -> None:
    async with pulling() as yard:
        yard.engine.fail_next("pull", EngineAway("no answer"))
        yard.images.pull(IMAGE, "a")
        await pass_time(PULL_SECONDS)
        assert yard.images.state(wanting("a"), Missing()) == Missing()
        assert yard.woken == [("a", PULL_SECONDS / 2 + AWAY_SECONDS)]


@in_virtual_time
async def test_pulls_end_with_the_worker() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        await pass_time(1)
    assert now() == 1.0
    assert yard.woken == []


# -- pulled anew ---------------------------------------------------------------------------------


@in_virtual_time
async def test_who_wants_an_image_anew_waits_for_its_pull() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        assert yard.images.state(wanting("b", policy="always"), Present()) == Present(
            pull=Pulling()
        )
        await pass_time(PULL_SECONDS + 1)
        assert sorted(task for task, _ in yard.woken) == ["a", "b"]


@in_virtual_time
async def test_who_had_an_image_anew_waits_for_no_pull() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        task = wanting("b", policy="always").but(pulled=1)
        assert isinstance(yard.images.state(task, Present()), Present)
        assert yard.images.shown(task) == task
        await pass_time(PULL_SECONDS + 1)
        assert [task for task, _ in yard.woken] == ["a"]


@in_virtual_time
async def test_a_pull_that_went_well_is_told_with_the_time_it_began() -> None:
    async with pulling() as yard:
        await pass_time(7)
        yard.images.pull(IMAGE, "a")
        await pass_time(PULL_SECONDS + 1)
        assert yard.images.state(wanting("a"), Present()) == Present(pull=Pulled(at=7.0))
        assert yard.images.state(wanting("a"), Missing()) == Missing()


@in_virtual_time
async def test_the_last_pull_is_the_one_that_counts() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        await pass_time(PULL_SECONDS + 1)
        yard.engine.fail_next("pull", EngineFailed("down"))
        yard.images.pull(IMAGE, "a")
        await pass_time(PULL_SECONDS)
        failed = Unavailable(at=PULL_SECONDS * 1.5 + 1, final=False, message=f"pull {IMAGE}: down")
        assert yard.images.state(wanting("a"), Present()) == Present(pull=failed)


@in_virtual_time
async def test_how_a_pull_ended_is_not_kept_for_ever() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        await pass_time(KEPT)
        yard.images.pull("image:1", "b")
        await pass_time(PULL_SECONDS + 1)
        assert yard.images.state(wanting("a"), Present()) == Present()


# -- progress ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_task_that_waits_shows_how_far_its_pull_is() -> None:
    async with pulling() as yard:
        for number in range(PULLS_MOST):
            yard.images.pull(f"image:{number}", str(number))
        yard.images.pull(IMAGE, "a")
        await pass_time(1)
        shown = yard.images.shown(wanting("a"))
        assert (shown.reason, shown.state) == (Reason.PULLING, State.SCHEDULED)
        assert shown.message == f"pulling {IMAGE}: other pulls are before it"
        await pass_time(PULL_SECONDS)
        assert (
            yard.images.shown(wanting("a")).message
            == f"pulling {IMAGE}: 0 of 1 layers, 0.0 of 40.0 MB"
        )
        await pass_time(PULL_SECONDS)
        assert yard.images.shown(wanting("a")) == wanting("a")


@in_virtual_time
async def test_only_a_task_that_waits_shows_a_pull() -> None:
    async with pulling() as yard:
        yard.images.pull(IMAGE, "a")
        await pass_time(1)
        stopped = wanting("a").to(State.COMPLETED)
        for task in (wanting("b"), wanting("a", image="other:1"), stopped):
            assert yard.images.shown(task) == task


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (None, "pulling a:1: other pulls are before it"),
        (Progress(), "pulling a:1"),
        (Progress(layers=2), "pulling a:1: 0 of 2 layers"),
        (
            Progress(layers=5, layers_done=3, bytes_done=12_140_000, bytes_total=40_000_000),
            "pulling a:1: 3 of 5 layers, 12.1 of 40.0 MB",
        ),
    ],
)
def test_progress_is_told_in_words(progress: Progress | None, words: str) -> None:
    assert words_of("a:1", progress) == words
