"""A manager and two workers as processes on a real engine: kill -9 of each, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keelman import ManagerClient, State, Unreachable
from tests.e2e.machine import IMAGE, SLEEPS, Machine, free_port, until

pytestmark = [pytest.mark.engine, pytest.mark.slow]


class ManagerProcess:
    """One manager's process and its data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.port = free_port()
        self._data_dir = data_dir
        self._process: asyncio.subprocess.Process | None = None

    @property
    def client(self) -> ManagerClient:
        return ManagerClient(f"http://127.0.0.1:{self.port}")

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "keelman.cli", "manager", "--port", str(self.port)),
            *("--data-dir", str(self._data_dir), "--suspect-seconds", "1", "--lost-seconds", "3"),
            env={**os.environ},
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until(self._answers)

    async def _answers(self) -> bool:
        try:
            async with self.client as client:
                return await client.ready()
        except Unreachable:
            return False

    async def end(self, number: int = signal.SIGKILL) -> int:
        if self._process is None or self._process.returncode is not None:
            return 0
        self._process.send_signal(number)
        return await self._process.wait()


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[list[Machine]]:
    """Two workers, at work."""
    names = [f"test-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    both = [Machine(name, tmp_path / name) for name in names]
    for one in both:
        await one.start()
    yield both
    for one in both:
        await one.clear()


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[ManagerProcess]:
    one = ManagerProcess(tmp_path / "manager")
    await one.start()
    yield one
    await one.end()


async def run(client: ManagerClient, *constraints: str) -> str:
    task_id = str(uuid.uuid4())
    await client.run(
        task_id, Image=IMAGE, Command=SLEEPS, StopTimeout=1, Constraints=list(constraints)
    )
    return task_id


async def join(manager: ManagerProcess, machines: list[Machine]) -> None:
    async with manager.client as client:
        for name, machine in zip(("a", "b"), machines, strict=True):
            await client.add_node(name, machine.url)


async def test_tasks_outlive_their_manager(
    manager: ManagerProcess, machines: list[Machine]
) -> None:
    """Killed between the 201 and the start: the task runs, once. A stop is not lost either."""
    await join(manager, machines)
    async with manager.client as client:
        ids = [await run(client) for _ in range(4)]
    await manager.end()
    await manager.start()
    async with manager.client as client:
        for task_id in ids:
            assert (await client.task(task_id, wait="running")).state is State.RUNNING
            await client.stop(task_id)
    await manager.end()
    await manager.start()
    async with manager.client as client:
        for task_id in ids:
            assert (await client.task(task_id, wait="ended")).state is State.COMPLETED
            told = [(move.from_, move.to) for move in await client.transitions(task_id)]
            assert told == [(0, 1), (1, 2), (2, 3)]
    assert await manager.end(signal.SIGTERM) == 0


async def test_a_worker_that_is_gone_is_replaced_and_comes_back(
    manager: ManagerProcess, machines: list[Machine]
) -> None:
    """Its tasks run elsewhere; its stale copies are stopped on its return."""
    first, second = machines
    await join(manager, machines)
    async with manager.client as client:
        task_id = await run(client)
        task = await client.task(task_id, wait="running")
        if task.node == "b":
            first, second = second, first
        await first.kill()

        async def moved() -> bool:
            now = await client.task(task_id)
            return now.node != task.node and now.state is State.RUNNING

        await until(moved)
        assert len(await second.containers(task_id)) == 2  # one engine has both
        await first.start()
        stale = await first.task(task_id, wait="ended")
        assert (stale["State"], stale["Generation"]) == (3, 1)
        assert (await second.task(task_id))["State"] == 2
        assert (await client.task(task_id)).restart_count == 1


async def keelman(manager: ManagerProcess, *words: str) -> str:
    """What the command line prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keelman.cli", *words),
        env={**os.environ, "KEELMAN_ADDR": f"http://127.0.0.1:{manager.port}"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, words
    return out.decode()


async def test_the_command_line_of_a_worker_works_on_a_manager(
    manager: ManagerProcess, machines: list[Machine]
) -> None:
    """Unchanged; and it knows nodes."""
    for name, machine in zip(("a", "b"), machines, strict=True):
        await keelman(manager, "node", "add", name, machine.url, "--label", f"zone={name}")
    await keelman(manager, "run", "--name", "talks", IMAGE, "echo", "hello")

    async def has_ended() -> bool:
        return "COMPLETED" in await keelman(manager, "ps", "-a")

    await until(has_ended)
    assert "hello" in await keelman(manager, "logs", "talks")
    assert "Node" in await keelman(manager, "inspect", "talks")
    await keelman(manager, "why", "talks")
    await keelman(manager, "run", "--wait", IMAGE, "true")
    assert "draining" not in await keelman(manager, "node", "ls")
    await keelman(manager, "node", "drain", "a")
    assert "draining" in await keelman(manager, "node", "inspect", "a")
    await keelman(manager, "node", "uncordon", "a")
    await keelman(manager, "node", "rm", "a")
