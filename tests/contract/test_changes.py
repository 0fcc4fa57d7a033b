"""The engine tells which tasks moved: a hint, and no more than that."""

from __future__ import annotations

import asyncio

import pytest

from keelman.seen import Create, Exited, Kill, Remove, Start
from tests.contract.programs import EXIT_3, SLEEP, TRUE
from tests.contract.worlds import PATIENCE_SECONDS, World, a_task


async def test_a_task_that_starts_and_one_that_dies_are_told_of(world: World) -> None:
    task = a_task(SLEEP)
    container_id = await world.created(task)
    async with asyncio.timeout(PATIENCE_SECONDS), world.runtime.changes() as moved:
        await world.runtime.do(task, Start(container_id=container_id, attempt=1))
        assert await anext(moved) == task.id
    async with asyncio.timeout(PATIENCE_SECONDS), world.runtime.changes() as moved:
        await world.runtime.do(task, Kill(container_id=container_id))
        while await anext(moved) != task.id:
            pass
        await world.seen(task, Exited)


async def test_a_made_and_a_removed_container_are_told_of(world: World) -> None:
    task = a_task(TRUE)
    async with asyncio.timeout(PATIENCE_SECONDS), world.runtime.changes() as moved:
        await world.runtime.do(task, Create(attempt=1))
        assert await anext(moved) == task.id
    body = await world.created(task)
    async with asyncio.timeout(PATIENCE_SECONDS), world.runtime.changes() as moved:
        await world.runtime.do(task, Remove(container_id=body))
        assert await anext(moved) == task.id


async def test_only_the_workers_own_tasks_are_told_of(world: World) -> None:
    mine, theirs = a_task(EXIT_3), a_task(EXIT_3)
    other = world.runtime_of(f"{world.worker}-2")
    async with asyncio.timeout(PATIENCE_SECONDS), other.changes() as moved:
        await world.started(mine)
        await world.seen(mine, Exited)
        await other.do(theirs, Create(attempt=1))
        assert await anext(moved) == theirs.id


async def test_an_error_of_the_reader_comes_out_as_it_is(world: World) -> None:
    """The engine's errors are translated, the reader's own are not."""
    with pytest.raises(TimeoutError, match="mine"):
        async with world.runtime.changes():
            raise TimeoutError("mine")
