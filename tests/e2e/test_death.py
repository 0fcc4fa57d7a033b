"""The worker dies, is told to go, loses its memory or its engine; its tasks do not notice."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.e2e.machine import IGNORES_TERM, SLEEPS, EngineLink, Machine, until

pytestmark = pytest.mark.engine

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = range(5)


async def test_a_killed_worker_finds_its_tasks_running_again(machine: Machine) -> None:
    await machine.start()
    ids = [await machine.send(Command=SLEEPS) for _ in range(3)]
    before = [(await machine.task(task_id, wait="running"))["ContainerID"] for task_id in ids]
    await machine.kill()
    await machine.start()
    after = [await machine.task(task_id) for task_id in ids]
    assert [task["ContainerID"] for task in after] == before
    assert {task["State"] for task in after} == {RUNNING}
    assert sorted(await machine.containers()) == sorted(before)


async def test_what_was_acknowledged_runs_after_a_kill(
    machine: Machine, new_id: Callable[[], str]
) -> None:
    await machine.start()
    asked = [new_id() for _ in range(12)]
    sending = [asyncio.ensure_future(machine.send(one, Command=SLEEPS)) for one in asked]
    await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    await machine.kill()
    answers = await asyncio.gather(*sending, return_exceptions=True)
    acknowledged = [answer for answer in answers if isinstance(answer, str)]
    await machine.start()
    for task_id in acknowledged:
        assert (await machine.task(task_id, wait="running"))["State"] == RUNNING
        assert len(await machine.containers(task_id)) == 1


async def test_a_stop_goes_on_where_it_was(machine: Machine) -> None:
    await machine.start()
    task_id = await machine.send(Command=IGNORES_TERM, StopTimeout=2)
    await machine.task(task_id, wait="running")
    await machine.stop(task_id)
    await machine.kill()
    await machine.start()
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["ExitCode"]) == (COMPLETED, "stopped", 137)


async def test_a_back_off_goes_on_where_it_was(machine: Machine) -> None:
    await machine.start()
    task_id = await machine.send(Command=["false"], RestartPolicy="on-failure:3")
    await machine.until_task(task_id, lambda task: task["Attempt"] >= 2)
    await machine.kill()
    await machine.start()
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Attempt"], task["RestartCount"]) == (FAILED, 4, 3)
    moves = await machine.moves(task_id)
    assert moves.count((RUNNING, SCHEDULED)) == 3


async def test_what_ended_while_the_worker_was_dead_is_told(machine: Machine) -> None:
    await machine.start()
    task_id = await machine.send(Command=SLEEPS)
    container = (await machine.task(task_id, wait="running"))["ContainerID"]
    await machine.kill()
    await machine.docker_kill(container)
    await machine.start()
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, "killed_by_other")


async def test_without_its_db_a_worker_adopts_what_runs(machine: Machine) -> None:
    await machine.start()
    secret: dict[str, Any] = {"Env": {"SECRET": "s3cret"}, "Labels": {"app": "one"}}
    runs = await machine.send(Command=SLEEPS, StopTimeout=1, **secret)
    over = await machine.send(Command=["false"], RestartPolicy="on-failure:1")
    container = (await machine.task(runs, wait="running"))["ContainerID"]
    await machine.task(over, wait="ended")
    await machine.kill()
    shutil.rmtree(machine.data_dir)
    await machine.start("--show-env")
    adopted = await machine.task(runs, wait="running")
    assert (adopted["State"], adopted["ContainerID"]) == (RUNNING, container)
    assert (adopted["Env"], adopted["Labels"]) == (secret["Env"], secret["Labels"])
    ended = await machine.task(over, wait="ended")
    assert (ended["State"], ended["ExitCode"], ended["Attempt"]) == (FAILED, 1, 2)
    await machine.stop(runs)
    assert (await machine.task(runs, wait="ended"))["State"] == COMPLETED


async def test_a_worker_told_to_go_goes_and_leaves_its_tasks(machine: Machine) -> None:
    await machine.start()
    task_id = await machine.send(Command=SLEEPS)
    container = (await machine.task(task_id, wait="running"))["ContainerID"]
    async with (
        machine.session.get("/events") as events,
        machine.session.get(f"/tasks/{task_id}/logs?follow=1") as logs,
    ):
        assert (events.status, logs.status) == (200, 200)
        assert await machine.terminate() == 0
    assert (await machine.docker_inspect(container))["State"]["Running"]


async def test_a_second_worker_on_the_same_directory_does_not_start(machine: Machine) -> None:
    await machine.start()
    second = Machine("another", machine.data_dir)
    await second.spawn()
    status, log = await second.ended()
    assert status == 1
    assert "data directory" in log
    assert "Traceback" not in log


async def test_a_second_worker_of_the_same_name_does_not_start(machine: Machine) -> None:
    await machine.start()
    second = Machine(machine.name, machine.data_dir.with_name("other"))
    await second.spawn()
    status, log = await second.ended()
    assert status == 1
    assert machine.name in log
    assert "Traceback" not in log


async def test_a_taken_port_ends_the_worker_with_a_word(machine: Machine) -> None:
    await machine.start()
    second = Machine("another", machine.data_dir.with_name("other"))
    second.port = machine.port
    await second.spawn()
    status, log = await second.ended()
    assert status == 1
    assert str(machine.port) in log
    assert "Traceback" not in log


async def test_while_the_engine_is_away_nothing_fails(machine: Machine, link: EngineLink) -> None:
    machine.engine_url = link.url
    await machine.start()
    runs = await machine.send(Command=SLEEPS)
    dies = await machine.send(Command=SLEEPS)
    container = (await machine.task(dies, wait="running"))["ContainerID"]
    await machine.task(runs, wait="running")
    await link.cut()
    await until(lambda: _is_not_ready(machine))
    waits = await machine.send(Command=["true"])
    await machine.docker_kill(container)
    states = {task["ID"]: task["State"] for task in await machine.tasks()}
    assert states == {runs: RUNNING, dies: RUNNING, waits: PENDING}
    await link.join()
    assert (await machine.task(dies, wait="ended"))["Reason"] == "killed_by_other"
    assert (await machine.task(waits, wait="ended"))["State"] == COMPLETED
    assert (await machine.task(runs))["State"] == RUNNING


async def _is_not_ready(machine: Machine) -> bool:
    return not await machine.is_ready()


async def test_a_worker_starts_without_its_engine_and_takes_tasks_once_it_is_there(
    machine: Machine, link: EngineLink
) -> None:
    machine.engine_url = link.url
    await link.cut()
    await machine.start()
    assert not await machine.is_ready()
    with pytest.raises(AssertionError, match="engine_unavailable"):
        await machine.send(Command=["true"])
    await link.join()
    await until(machine.is_ready)
    task_id = await machine.send(Command=["true"])
    assert (await machine.task(task_id, wait="ended"))["State"] == COMPLETED


async def test_an_event_stream_resumes_without_a_hole_after_a_kill(machine: Machine) -> None:
    await machine.start()
    first = await machine.send(Command=["true"])
    await machine.task(first, wait="ended")
    last_id, _ = await _events(machine, "0", 2)
    await machine.kill()
    await machine.start()
    second = await machine.send(Command=["true"])
    await machine.task(second, wait="ended")
    _, numbers = await _events(machine, last_id, 4)
    assert numbers == [3, 4, 5, 6]


async def _events(machine: Machine, since: str, count: int) -> tuple[str, list[int]]:
    """The last id and the numbers of the next events."""
    last_id, numbers = "", []
    timeout = aiohttp.ClientTimeout(total=60)
    async with machine.session.get("/events", params={"since": since}, timeout=timeout) as stream:
        async for line in stream.content:
            if line.startswith(b"id: "):
                last_id = line[4:].decode().strip()
            if line.startswith(b"data: "):
                numbers.append(json.loads(line[6:])["Seq"])
            if len(numbers) == count:
                break
    return last_id, numbers
