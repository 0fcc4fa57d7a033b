"""What the worker sees is what is."""

from __future__ import annotations

import time

import pytest

from keelman.seen import Absent, Create, Created, Exited, Kill, Missing, Present, Running, Start
from keelman.task import Empty
from tests.contract.programs import EXIT_3, MEMORY_HOG, SLEEP, TRUE
from tests.contract.worlds import MISSING_IMAGE, World, a_task

MEBIBYTE = 1024 * 1024
CLOCK_STEP_SECONDS = 2.0


async def test_a_task_without_a_container_is_absent_and_its_image_present(world: World) -> None:
    seen = await world.runtime.look(a_task(TRUE))
    assert seen.body == Absent(image=Present())
    assert seen.others == ()


@pytest.mark.parametrize("image", [MISSING_IMAGE, "keelman/none", "Not/A Name?all=1", "a/../b"])
async def test_an_image_that_is_not_here_is_missing(world: World, image: str) -> None:
    seen = await world.runtime.look(a_task(TRUE, image=image))
    assert seen.body == Absent(image=Missing())


async def test_a_container_that_was_made_and_not_started_is_created(world: World) -> None:
    task = a_task(TRUE)
    await world.runtime.do(task, Create(attempt=1))
    body = (await world.runtime.look(task)).body
    assert isinstance(body, Created)
    assert (body.attempt, body.refused) == (1, None)


async def test_a_running_one_tells_since_when_and_its_published_ports(world: World) -> None:
    task = a_task(SLEEP, exposed_ports={"80/tcp": Empty(), "53/udp": Empty()})
    before = time.time()
    container_id = await world.started(task)
    body = (await world.runtime.look(task)).body
    assert isinstance(body, Running)
    assert (body.container_id, body.attempt) == (container_id, 1)
    assert before - CLOCK_STEP_SECONDS < body.since < time.time() + CLOCK_STEP_SECONDS
    assert set(body.host_ports) == {"80/tcp", "53/udp"}
    assert all(int(port.host_port) > 0 for ports in body.host_ports.values() for port in ports)


async def test_a_bound_port_is_published_without_being_exposed(world: World) -> None:
    with world.held_port() as port:
        pass
    task = a_task(SLEEP, port_bindings={"80/tcp": str(port)})
    await world.started(task)
    body = await world.seen(task, Running)
    assert {at.host_port for at in body.host_ports["80/tcp"]} == {str(port)}


@pytest.mark.parametrize("asked", ["", "SIGINT"])
async def test_a_running_one_tells_the_stop_signal_it_was_made_with(
    world: World, asked: str
) -> None:
    task = a_task(SLEEP, stop_signal=asked)
    await world.started(task)
    assert (await world.seen(task, Running)).stop_signal == asked


@pytest.mark.parametrize(("command", "code"), [(TRUE, 0), (EXIT_3, 3)], ids=["true", "exit 3"])
async def test_an_exited_one_tells_its_code_and_times(
    world: World, command: tuple[str, ...], code: int
) -> None:
    task = a_task(command)
    before = time.time()
    container_id = await world.started(task)
    body = await world.seen(task, Exited)
    assert (body.container_id, body.attempt, body.code, body.oom) == (container_id, 1, code, False)
    assert before - CLOCK_STEP_SECONDS < body.since <= body.until < time.time() + CLOCK_STEP_SECONDS


async def test_a_killed_one_has_exited_with_137_and_not_for_want_of_memory(world: World) -> None:
    task = a_task(SLEEP)
    await world.runtime.do(task, Kill(container_id=await world.started(task)))
    body = await world.seen(task, Exited)
    assert (body.code, body.oom) == (137, False)


async def test_one_that_ate_its_memory_is_out_of_memory(world: World) -> None:
    task = a_task(MEMORY_HOG, memory=16 * MEBIBYTE)
    await world.started(task)
    body = await world.seen(task, Exited)
    assert (body.code, body.oom) == (137, True)


async def test_the_newest_attempt_is_seen_and_older_ones_are_reported(world: World) -> None:
    task = a_task(SLEEP)
    older = [await world.started(task, attempt) for attempt in (2, 9)]
    newest = await world.created(task, attempt=10)
    seen = await world.runtime.look(task)
    assert seen.body == Created(container_id=newest, attempt=10, spec_hash=task.spec.digest())
    assert seen.others == tuple(older)


async def test_another_worker_does_not_see_it(world: World) -> None:
    task = a_task(TRUE)
    await world.created(task)
    other = world.runtime_of(f"{world.worker}-2")
    assert isinstance((await other.look(task)).body, Absent)


async def test_another_task_does_not_see_it(world: World) -> None:
    await world.created(a_task(TRUE))
    assert isinstance((await world.runtime.look(a_task(TRUE))).body, Absent)


async def test_a_committed_copy_is_not_the_tasks(world: World) -> None:
    """`docker commit` copies labels."""
    task = a_task(TRUE)
    container_id = await world.created(task)
    await world.copy(container_id, f"copy-{world.worker}")
    seen = await world.runtime.look(task)
    body = Created(container_id=container_id, attempt=1, spec_hash=task.spec.digest())
    assert (seen.body, seen.others) == (body, ())


async def test_a_second_run_of_the_same_container_is_running(world: World) -> None:
    """Why a start is only ever asked of what was seen as Created."""
    task = a_task(SLEEP)
    container_id = await world.started(task)
    await world.runtime.do(task, Kill(container_id=container_id))
    await world.seen(task, Exited)
    await world.runtime.do(task, Start(container_id=container_id, attempt=1))
    assert isinstance((await world.runtime.look(task)).body, Running)


async def test_a_renamed_one_is_still_the_tasks_when_its_id_is_on_record(world: World) -> None:
    """Labels without the name prove nothing, but an ID that the Db recorded does."""
    task = a_task(SLEEP)
    container_id = await world.started(task)
    await world.rename(container_id, f"renamed-{world.worker}")
    assert isinstance((await world.runtime.look(task)).body, Absent)
    known = task.but(container_id=container_id)
    body = (await world.runtime.look(known)).body
    assert isinstance(body, Running)
    assert (body.container_id, body.attempt) == (container_id, 1)
