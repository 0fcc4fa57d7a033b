"""What a container would meet, told before there is one; and the body that would be sent."""

from __future__ import annotations

import pytest

from keelman.errors import EngineAway
from keelman.runtime import Outlook
from keelman.runtime.docker import DockerRuntime
from keelman.seen import Absent, Missing, Present
from tests.contract.programs import SLEEP, TRUE
from tests.contract.worlds import MISSING_IMAGE, World, a_task


async def test_a_machine_with_image_and_ports_has_nothing_against_it(world: World) -> None:
    spec = a_task(TRUE).spec
    assert await world.runtime.outlook(spec) == Outlook(image=Present())


async def test_an_image_that_is_not_here_is_missing(world: World) -> None:
    spec = a_task(TRUE, image=MISSING_IMAGE).spec
    assert await world.runtime.outlook(spec) == Outlook(image=Missing())


async def test_a_port_that_somebody_holds_is_taken(world: World) -> None:
    with world.held_port() as number:
        task = a_task(TRUE, port_bindings={"80/tcp": str(number)})
        assert (await world.runtime.outlook(task.spec)).taken == (f"{number}/tcp",)


async def test_a_port_of_a_running_container_is_taken_until_it_ends(world: World) -> None:
    with world.held_port() as number:
        pass
    task = a_task(SLEEP, port_bindings={"80/tcp": str(number)})
    assert (await world.runtime.outlook(task.spec)).taken == ()
    await world.started(task)
    assert (await world.runtime.outlook(task.spec)).taken == (f"{number}/tcp",)


async def test_looking_ahead_makes_nothing(world: World) -> None:
    task = a_task(TRUE)
    body = world.runtime.create_body(task, 1)
    await world.runtime.outlook(task.spec)
    assert (await world.runtime.look(task)).body == Absent(image=Present())
    assert body["Labels"]["keelman.worker"] == world.worker
    assert body["Labels"]["keelman.task"] == task.id


async def test_without_an_engine_there_is_no_outlook() -> None:
    runtime = DockerRuntime("w", "unix:///nowhere.sock")
    try:
        with pytest.raises(EngineAway):
            await runtime.outlook(a_task(TRUE).spec)
    finally:
        await runtime.close()
