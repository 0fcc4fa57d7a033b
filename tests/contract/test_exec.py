"""Commands in a container: what health checks are made of."""

from __future__ import annotations

import asyncio

import pytest

from keelman.errors import ContainerGone
from keelman.seen import Exited, Kill
from tests.contract.programs import SLEEP, TRUE
from tests.contract.worlds import PATIENCE_SECONDS, World, a_task

GONE = "f" * 64


async def test_a_command_in_a_running_container_tells_its_code(world: World) -> None:
    container_id = await world.started(a_task(SLEEP))
    exec_id = await world.runtime.exec_start(container_id, TRUE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (code := await world.runtime.exec_code(exec_id)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # the engine tells of no end
    assert code == 0


@pytest.mark.parametrize("state", ["made", "ended", "gone"])
async def test_a_command_in_what_does_not_run_is_refused_as_that(world: World, state: str) -> None:
    """It says nothing of the program, and so nothing of its health."""
    task = a_task(SLEEP)
    match state:
        case "made":
            container_id = await world.created(task)
        case "ended":
            container_id = await world.started(task)
            await world.runtime.do(task, Kill(container_id=container_id))
            await world.seen(task, Exited)
        case _:
            container_id = GONE
    with pytest.raises(ContainerGone):
        await world.runtime.exec_start(container_id, TRUE)


async def test_a_command_that_the_engine_does_not_know_is_gone(world: World) -> None:
    with pytest.raises(ContainerGone):
        await world.runtime.exec_code("999999")
