"""StopAfterDisconnect on a real engine: nobody asks, and the container is stopped."""

from __future__ import annotations

import pytest

from tests.e2e.machine import SLEEPS, Machine, until

pytestmark = pytest.mark.engine

RUNNING, FAILED = 2, 4


async def test_a_worker_that_nobody_asks_stops_it_by_itself(machine: Machine) -> None:
    """Only the engine is asked meanwhile; its record says so, and it is not started again."""
    await machine.start()
    task_id = await machine.send(
        Command=SLEEPS, Init=True, RestartPolicy="always", StopAfterDisconnect=3
    )
    container_id = (await machine.task(task_id, wait="running"))["ContainerID"]

    async def stopped() -> bool:
        return not (await machine.docker_inspect(container_id))["State"]["Running"]

    assert not await stopped()
    await until(stopped)
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, "disconnected")
    assert task["Message"].startswith("nobody was heard for 3 s")
    await machine.kill()
    await machine.start()
    assert (await machine.task(task_id))["State"] == FAILED
    assert await machine.containers(task_id) == [container_id]


async def test_a_worker_that_is_killed_meanwhile_counts_on(machine: Machine) -> None:
    """Its next process has what the one before has kept; nobody asks it anything but a probe."""
    await machine.start()
    task_id = await machine.send(Command=SLEEPS, Init=True, StopAfterDisconnect=6)
    container_id = (await machine.task(task_id, wait="running"))["ContainerID"]
    kept = machine.data_dir / "heard.json"

    async def is_kept() -> bool:
        return kept.exists() and b'"at":null' not in kept.read_bytes()

    await until(is_kept)
    await machine.kill()
    before = kept.read_bytes()
    await machine.start()

    async def stopped() -> bool:
        return not (await machine.docker_inspect(container_id))["State"]["Running"]

    await until(stopped)
    assert kept.read_bytes() == before
    assert (await machine.task(task_id, wait="ended"))["Reason"] == "disconnected"
