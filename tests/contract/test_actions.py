"""What the worker does: once, whether asked once or twice, and never to a stranger."""

from __future__ import annotations

import time

import pytest

from keelman.errors import EngineFailed, EngineRefused, ImageNotFound, NameTaken
from keelman.runtime.marks import container_name
from keelman.seen import (
    Absent,
    Action,
    Create,
    Created,
    Exited,
    Kill,
    Present,
    Remove,
    Running,
    Signal,
    Start,
)
from keelman.task import Reason
from tests.contract.programs import NO_COMMAND, NO_PROGRAM, OBEDIENT, SLEEP, STUBBORN, TRUE
from tests.contract.worlds import MISSING_IMAGE, World, a_task

GONE = "f" * 64


async def test_a_create_asked_twice_makes_one_container(world: World) -> None:
    task = a_task(TRUE)
    first = await world.created(task)
    assert await world.created(task) == first
    assert len(await world.runtime.rows()) >= 1
    assert (await world.runtime.look(task)).others == ()


async def test_a_create_of_what_runs_already_leaves_it_running(world: World) -> None:
    task = a_task(SLEEP)
    container_id = await world.started(task)
    await world.runtime.do(task, Create(attempt=1))
    body = (await world.runtime.look(task)).body
    assert isinstance(body, Running)
    assert body.container_id == container_id


async def test_a_stranger_with_our_name_is_never_touched(world: World) -> None:
    task = a_task(TRUE)
    stranger = await world.stranger(container_name(world.worker, task.id, 1))
    with pytest.raises(NameTaken):
        await world.runtime.do(task, Create(attempt=1))
    assert await world.exists(stranger)
    assert isinstance((await world.runtime.look(task)).body, Absent)


async def test_a_create_without_its_image_says_so(world: World) -> None:
    task = a_task(TRUE, image=MISSING_IMAGE)
    with pytest.raises(ImageNotFound):
        await world.runtime.do(task, Create(attempt=1))


async def test_a_start_asked_twice_starts_once(world: World) -> None:
    task = a_task(SLEEP)
    container_id = await world.started(task)
    first = await world.seen(task, Running)
    await world.runtime.do(task, Start(container_id=container_id, attempt=1))
    assert await world.seen(task, Running) == first


async def test_a_start_of_what_is_gone_is_refused(world: World) -> None:
    with pytest.raises(EngineRefused):
        await world.runtime.do(a_task(TRUE), Start(container_id=GONE, attempt=1))


@pytest.mark.parametrize(
    ("command", "reason", "code"),
    [
        (NO_COMMAND, Reason.COMMAND_NOT_FOUND, 127),
        (NO_PROGRAM, Reason.COMMAND_NOT_EXECUTABLE, 126),
    ],
    ids=["missing", "a folder"],
)
async def test_a_refused_start_leaves_created_and_says_why(
    world: World, command: tuple[str, ...], reason: Reason, code: int
) -> None:
    task = a_task(command)
    container_id = await world.created(task)
    with pytest.raises((EngineRefused, EngineFailed)):
        await world.runtime.do(task, Start(container_id=container_id, attempt=1))
    body = (await world.runtime.look(task)).body
    assert isinstance(body, Created)
    assert body.refused is not None
    assert (body.refused.reason, body.refused.exit_code) == (reason, code)
    assert body.refused.message


async def test_a_start_on_a_taken_port_leaves_created_and_says_so(world: World) -> None:
    with world.held_port() as port:
        task = a_task(SLEEP, port_bindings={"80/tcp": str(port)})
        container_id = await world.created(task)
        with pytest.raises(EngineFailed):
            await world.runtime.do(task, Start(container_id=container_id, attempt=1))
        body = (await world.runtime.look(task)).body
    assert isinstance(body, Created)
    assert body.refused is not None
    assert (body.refused.reason, body.refused.exit_code) == (Reason.PORT_TAKEN, None)


async def test_two_tasks_cannot_hold_one_port(world: World) -> None:
    with world.held_port() as port:
        pass
    first, second = (a_task(SLEEP, port_bindings={"80/tcp": str(port)}) for _ in range(2))
    await world.started(first)
    with pytest.raises(EngineFailed):
        await world.started(second)
    body = (await world.runtime.look(second)).body
    assert isinstance(body, Created)
    assert body.refused is not None
    assert body.refused.reason is Reason.PORT_TAKEN


async def test_a_port_is_free_again_when_its_holder_has_ended(world: World) -> None:
    with world.held_port() as port:
        pass
    first, second = (a_task(SLEEP, port_bindings={"80/tcp": str(port)}) for _ in range(2))
    await world.runtime.do(first, Kill(container_id=await world.started(first)))
    await world.seen(first, Exited)
    await world.started(second)
    assert isinstance((await world.runtime.look(second)).body, Running)


async def test_a_refused_start_can_be_tried_again(world: World) -> None:
    with world.held_port() as port:
        task = a_task(SLEEP, port_bindings={"80/tcp": str(port)})
        container_id = await world.created(task)
        with pytest.raises(EngineFailed):
            await world.runtime.do(task, Start(container_id=container_id, attempt=1))
    await world.runtime.do(task, Start(container_id=container_id, attempt=1))
    assert isinstance((await world.runtime.look(task)).body, Running)


@pytest.mark.parametrize("signal", ["SIGTERM", "TERM", "15"])
async def test_a_stop_signal_ends_what_obeys_it(world: World, signal: str) -> None:
    task = a_task(OBEDIENT)
    container_id = await world.ready(task)
    await world.runtime.do(task, Signal(container_id=container_id, signal=signal))
    assert (await world.seen(task, Exited)).code == 143


async def test_a_signal_is_sent_and_not_waited_for(world: World) -> None:
    task = a_task(STUBBORN)
    container_id = await world.ready(task)
    asked = time.monotonic()
    await world.runtime.do(task, Signal(container_id=container_id, signal="SIGTERM"))
    assert time.monotonic() - asked < 5
    assert isinstance((await world.runtime.look(task)).body, Running)
    await world.runtime.do(task, Kill(container_id=container_id))
    assert (await world.seen(task, Exited)).code == 137


async def test_a_signal_that_does_not_exist_is_refused(world: World) -> None:
    task = a_task(SLEEP)
    container_id = await world.started(task)
    with pytest.raises(EngineRefused):
        await world.runtime.do(task, Signal(container_id=container_id, signal="SIGNONE"))


def _endings(container_id: str) -> list[Action]:
    return [
        Signal(container_id=container_id, signal="SIGTERM"),
        Kill(container_id=container_id),
    ]


async def test_what_has_exited_may_be_signalled_and_killed(world: World) -> None:
    task = a_task(TRUE)
    container_id = await world.started(task)
    before = await world.seen(task, Exited)
    for action in _endings(container_id):
        await world.runtime.do(task, action)
    assert (await world.runtime.look(task)).body == before


async def test_what_was_never_started_may_be_signalled_and_killed(world: World) -> None:
    task = a_task(TRUE)
    for action in _endings(await world.created(task)):
        await world.runtime.do(task, action)
    assert isinstance((await world.runtime.look(task)).body, Created)


async def test_what_is_gone_may_be_signalled_killed_and_removed(world: World) -> None:
    task = a_task(TRUE)
    for action in [*_endings(GONE), Remove(container_id=GONE)]:
        await world.runtime.do(task, action)


@pytest.mark.parametrize("command", [TRUE, SLEEP], ids=["exited", "running"])
async def test_a_remove_asked_twice_removes_whatever_its_state(
    world: World, command: tuple[str, ...]
) -> None:
    task = a_task(command)
    container_id = await world.started(task)
    await world.seen(task, Exited if command is TRUE else Running)
    for _ in range(2):
        await world.runtime.do(task, Remove(container_id=container_id))
    assert (await world.runtime.look(task)).body == Absent(image=Present())
    assert not await world.exists(container_id)


async def test_the_engine_keeps_its_identity(world: World) -> None:
    first = await world.runtime.identity()
    assert first
    assert await world.runtime_of(f"{world.worker}-2").identity() == first
