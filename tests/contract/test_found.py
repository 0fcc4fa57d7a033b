"""What is found on the engine: rows of all workers, containers of one, Tasks rebuilt from them."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.ending import Why
from keelman.health import HealthCheck
from keelman.runtime import Container, Row
from keelman.runtime.marks import container_name
from keelman.seen import Exited
from keelman.task import Empty, Mount, State, Task
from tests.contract.programs import EXIT_3, SLEEP, TRUE
from tests.contract.worlds import World, a_task

FULL_SPEC = {
    "name": "web",
    "env": {"KEY": "a value = with signs", "EMPTY": "", "SECRET": "s3cret"},
    "cpu": 0.5,
    "memory": 64 * 1024 * 1024,
    "exposed_ports": {"80/tcp": Empty()},
    "mounts": (Mount(source="/tmp", target="/mnt", read_only=True),),
    "labels": {"tier": "front"},
    "restart_policy": "on-failure:3",
    "stop_timeout": 3,
    "health_check": HealthCheck(path="/"),
}


async def rows(world: World) -> list[Row]:
    """Those of this test's workers: a real engine has other guests."""
    return [row for row in await world.runtime.rows() if row.worker.startswith(world.worker)]


async def test_rows_tell_what_is_there_and_whether_it_lives(world: World) -> None:
    running, made = a_task(SLEEP), a_task(TRUE)
    expected = {
        (await world.started(running, 2), running.id, 2, True),
        (await world.created(made), made.id, 1, False),
    }
    told = await rows(world)
    assert {(row.container_id, row.task_id, row.attempt, row.live) for row in told} == expected


async def test_rows_tell_of_other_workers_too(world: World) -> None:
    task = a_task(TRUE)
    container_id = await world.created(task)
    other = world.runtime_of(f"{world.worker}-2")
    row = Row(
        container_id=container_id, worker=world.worker, task_id=task.id, attempt=1, live=False
    )
    assert row in await other.rows()


async def test_rows_tell_of_no_stranger_and_no_copy(world: World) -> None:
    await world.stranger(f"keelman-{world.worker}-stranger-1")
    container_id = await world.created(a_task(TRUE))
    await world.copy(container_id, f"copy-{world.worker}")
    assert [row.container_id for row in await rows(world)] == [container_id]


async def found(world: World) -> dict[str, Container]:
    return {one.container_id: one for one in await world.runtime.containers()}


async def test_containers_tell_whose_they_are_and_what_became_of_them(world: World) -> None:
    runs, ended, made = a_task(SLEEP).but(generation=7), a_task(EXIT_3), a_task(TRUE)
    ids = [await world.started(runs, 2), await world.started(ended), await world.created(made)]
    await world.seen(ended, Exited)
    whose = [(runs.id, 2, 7), (ended.id, 1, 0), (made.id, 1, 0)]
    fates: list[tuple[bool, int | None]] = [(True, None), (False, 3), (False, None)]
    assert await found(world) == {
        container_id: Container(
            container_id=container_id,
            name=container_name(world.worker, task_id, attempt),
            worker=world.worker,
            task_id=task_id,
            attempt=attempt,
            generation=generation,
            live=live,
            exit_code=code,
        )
        for container_id, (task_id, attempt, generation), (live, code) in zip(
            ids, whose, fates, strict=True
        )
    }


async def test_containers_are_copies_too_under_their_own_name(world: World) -> None:
    task = a_task(TRUE)
    container_id = await world.created(task)
    copy = await world.copy(container_id, f"copy-{world.worker}")
    told = await found(world)
    assert told.keys() == {container_id, copy}
    assert (told[copy].name, told[copy].task_id) == (f"copy-{world.worker}", task.id)


async def test_containers_are_of_nobody_else(world: World) -> None:
    await world.stranger(f"keelman-{world.worker}-stranger-1")
    await world.created(a_task(TRUE))
    assert await world.runtime_of(f"{world.worker}-2").containers() == []


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ({"RestartPolicy": {"Name": "always"}}, ("always", False)),
        ({"AutoRemove": True}, ("no", True)),
    ],
    ids=["restart policy", "auto-remove"],
)
async def test_containers_tell_what_the_engine_would_do_to_them(
    host: dict[str, Any], told: tuple[str, bool], world: World
) -> None:
    task = a_task(TRUE)
    body = world.runtime.create_body(task, 1)
    body["HostConfig"] |= host
    container_id = await world.made(container_name(world.worker, task.id, 1), body)
    one = (await found(world))[container_id]
    assert (one.restart_policy, one.auto_remove) == told


async def test_a_running_task_is_rebuilt_whole(world: World) -> None:
    task = a_task(SLEEP, **FULL_SPEC)
    task = task.but(generation=7, attempt=4)
    container_id = await world.started(task, attempt=4)
    assert await world.runtime.rebuild(container_id) == Task(
        id=task.id,
        spec=task.spec,
        generation=7,
        state=State.PENDING,
        attempt=4,
        started=4,
        container_id=container_id,
    )


async def test_an_exited_task_is_rebuilt_never_to_be_started_again(world: World) -> None:
    task = a_task(EXIT_3, restart_policy="always")
    container_id = await world.started(task)
    body = await world.seen(task, Exited)
    rebuilt = await world.runtime.rebuild(container_id)
    assert rebuilt is not None
    assert rebuilt.ending is not None
    assert (rebuilt.ending.why, rebuilt.ending.since) == (Why.ADOPTED, body.until)


async def test_a_task_that_was_never_started_is_rebuilt_to_go_on(world: World) -> None:
    rebuilt = await world.runtime.rebuild(await world.created(a_task(TRUE)))
    assert rebuilt is not None
    assert (rebuilt.state, rebuilt.ending) == (State.PENDING, None)


@pytest.mark.parametrize("whose", ["nobody's", "a copy", "another worker's", "gone"])
async def test_what_is_not_ours_is_not_rebuilt(world: World, whose: str) -> None:
    container_id = await world.created(a_task(TRUE))
    runtime = world.runtime
    match whose:
        case "nobody's":
            container_id = await world.stranger(f"stranger-{world.worker}")
        case "a copy":
            container_id = await world.copy(container_id, f"copy-{world.worker}")
        case "another worker's":
            runtime = world.runtime_of(f"{world.worker}-2")
        case _:
            container_id = "f" * 64
    assert await runtime.rebuild(container_id) is None
