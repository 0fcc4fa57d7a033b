"""`keelman why` against reality: a stop, a back-off, an engine that is away, an end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from tests.e2e.machine import IGNORES_TERM, SLEEPS, EngineLink, Machine, until

pytestmark = [pytest.mark.engine, pytest.mark.slow]


async def keelman(machine: Machine, *words: str) -> str:
    """What the command line prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keelman.cli", *words),
        env={**os.environ, "KEELMAN_ADDR": machine.url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def why(machine: Machine, task_id: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await keelman(machine, "why", "--json", task_id))
    return told


async def until_blocked(machine: Machine, task_id: str, by: str) -> dict[str, Any]:
    """The explanation, once this is what it waits for."""
    told: dict[str, Any] = {}

    async def is_so() -> bool:
        told.update(await why(machine, task_id))
        return str(told["Blocked"]["By"]) == by

    await until(is_so)
    return told


async def test_a_task_is_explained_through_its_life(machine: Machine) -> None:
    await machine.start()
    task_id = await machine.send(Command=IGNORES_TERM, StopTimeout=30, Network="none")
    task = await machine.task(task_id, wait="running")
    assert (await why(machine, task_id))["Summary"] == "It runs."
    assert "It runs." in await keelman(machine, "why", "test")

    await machine.stop(task_id)
    told = await until_blocked(machine, task_id, "process")
    assert told["Wish"]["Wants"] == "stop"
    assert told["Next"].endswith("once its process is gone, record it as COMPLETED")

    await machine.docker_kill(task["ContainerID"])
    await machine.task(task_id, wait="ended")
    told = await why(machine, task_id)
    assert (told["State"], told["Seen"], told["Blocked"]["By"]) == (3, "exited", "retention")


async def test_a_back_off_is_explained(machine: Machine) -> None:
    await machine.start()
    command = ["sh", "-c", "exit 3"]
    task_id = await machine.send(Command=command, RestartPolicy="always", Network="none")
    told = await until_blocked(machine, task_id, "back_off")
    assert told["State"] == 1
    assert "exited with code 3" in told["Summary"]
    assert told["At"] is not None


async def test_an_engine_that_is_away_is_explained(machine: Machine, link: EngineLink) -> None:
    machine.engine_url = link.url
    await machine.start()
    task_id = await machine.send(Command=SLEEPS, Init=True, Network="none")
    task = await machine.task(task_id, wait="running")
    await link.cut()
    told = await until_blocked(machine, task_id, "engine")
    assert (told["State"], told["Seen"]) == (2, "unknown")
    await link.join()
    told = await until_blocked(machine, task_id, "")
    assert (told["State"], told["Seen"]) == (2, "running")
    assert (await machine.task(task_id))["ContainerID"] == task["ContainerID"]
