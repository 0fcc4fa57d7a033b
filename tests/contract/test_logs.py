"""A container's output, as it was written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from keelman.errors import ContainerGone
from keelman.runtime import LogOptions
from keelman.seen import Action, Exited, Kill, Remove, Signal
from tests.contract.programs import OBEDIENT, TALK, TRUE
from tests.contract.worlds import PATIENCE_SECONDS, World, a_task


async def read(world: World, container_id: str, options: LogOptions) -> list[bytes]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        pieces = [piece async for piece in world.runtime.logs(container_id, options)]
    return b"".join(pieces).splitlines()


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (LogOptions(), {b"one", b"two", b"three", b"four"}),
        (LogOptions(stream="stdout"), {b"one", b"three"}),
        (LogOptions(stream="stderr"), {b"two", b"four"}),
        (LogOptions(follow=True), {b"one", b"two", b"three", b"four"}),
        (LogOptions(tail=0), set()),
        (LogOptions(tail=100), {b"one", b"two", b"three", b"four"}),
    ],
    ids=["both", "stdout", "stderr", "follow", "tail 0", "tail more"],
)
async def test_the_output_of_what_has_ended(
    world: World, options: LogOptions, lines: set[bytes]
) -> None:
    task = a_task(TALK)
    container_id = await world.started(task)
    await world.seen(task, Exited)
    told = await read(world, container_id, options)
    assert set(told) == lines
    assert len(told) == len(lines)


async def test_each_stream_is_in_order(world: World) -> None:
    task = a_task(TALK)
    container_id = await world.started(task)
    await world.seen(task, Exited)
    assert await read(world, container_id, LogOptions(stream="stdout")) == [b"one", b"three"]


async def test_tail_counts_lines_from_the_end_of_both_streams(world: World) -> None:
    """As the engine does: it counts first and leaves one stream out afterwards."""
    task = a_task(TALK)
    container_id = await world.started(task)
    await world.seen(task, Exited)
    both = await read(world, container_id, LogOptions())
    for tail in range(5):
        assert await read(world, container_id, LogOptions(tail=tail)) == both[4 - tail :]
    out = await read(world, container_id, LogOptions(tail=1, stream="stdout"))
    assert out == [line for line in both[-1:] if line in (b"one", b"three")]


async def test_since_leaves_out_what_is_older(world: World) -> None:
    task = a_task(TALK)
    container_id = await world.started(task)
    body = await world.seen(task, Exited)
    assert len(await read(world, container_id, LogOptions(since=body.since - 1))) == 4
    assert await read(world, container_id, LogOptions(since=body.until + 1)) == []


@pytest.mark.parametrize(
    ("ending", "lines"),
    [
        (lambda one: Signal(container_id=one, signal="SIGTERM"), [b"ready\n", b"bye\n"]),
        (lambda one: Kill(container_id=one), [b"ready\n"]),
    ],
    ids=["signal", "kill"],
)
async def test_following_goes_on_until_the_container_ends(
    world: World, ending: Callable[[str], Action], lines: list[bytes]
) -> None:
    task = a_task(OBEDIENT)
    container_id = await world.ready(task)
    told = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for piece in world.runtime.logs(container_id, LogOptions(follow=True)):
            told.append(piece)
            if len(told) == 1:
                await world.runtime.do(task, ending(container_id))
    assert told == lines


async def test_without_following_what_runs_is_read_to_its_end(world: World) -> None:
    container_id = await world.ready(a_task(OBEDIENT))
    assert await read(world, container_id, LogOptions()) == [b"ready"]


async def test_following_ends_with_a_removed_container(world: World) -> None:
    task = a_task(OBEDIENT)
    container_id = await world.started(task)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _ in world.runtime.logs(container_id, LogOptions(follow=True)):
            await world.runtime.do(task, Remove(container_id=container_id))


async def test_what_was_never_started_wrote_nothing(world: World) -> None:
    container_id = await world.created(a_task(TRUE))
    assert await read(world, container_id, LogOptions(follow=True)) == []


async def test_the_output_of_a_removed_container_is_gone(world: World) -> None:
    task = a_task(TRUE)
    container_id = await world.created(task)
    await world.runtime.do(task, Remove(container_id=container_id))
    with pytest.raises(ContainerGone):
        await read(world, container_id, LogOptions())
