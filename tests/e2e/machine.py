"""A machine with a worker on it, as its manager and its operator see them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiodocker import Docker, DockerError

ENGINE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
IMAGE = "keelman/busybox:1"
PATIENCE_SECONDS = 60.0  # a hang is a failure; nothing is measured

SLEEPS = ["sleep", "1000"]
IGNORES_TERM = ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"]


class Machine:
    """One worker's process, its data directory and its containers."""

    def __init__(self, name: str, data_dir: Path) -> None:
        self.name = name
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls: ssl.SSLContext | None = None
        self.headers: dict[str, str] = {}
        self.engine_url = ENGINE
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    # -- the process -----------------------------------------------------------------------------

    async def start(self, *options: str) -> None:
        """Start the worker and wait until it answers."""
        await self.spawn(*options)
        await until(self._answers)

    async def spawn(self, *options: str) -> None:
        """Start the worker's process."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "keelman.cli", "worker", "--name", self.name),
            *("--port", str(self.port), "--data-dir", str(self.data_dir), *options),
            env={**os.environ, "DOCKER_HOST": self.engine_url},
            stderr=asyncio.subprocess.PIPE,
        )

    async def ended(self) -> tuple[int, str]:
        """The exit status and the log of the process, once it has ended by itself."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, log = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, log.decode()

    def hang_up(self) -> None:
        """SIGHUP: it is to read its credentials anew."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def log(self) -> str:
        """SIGTERM; returns what it logged."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        _, log = await self.ended()
        return log

    async def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        status, _ = await self.ended()
        return status

    async def clear(self) -> None:
        """End the process and remove its containers."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        if self._session is not None:
            await self._session.close()
        await until(self._is_empty)

    async def _is_empty(self) -> bool:
        """A create or a remove may still be under way in the engine when its worker was killed."""
        for container in await self.containers():
            with contextlib.suppress(DockerError):
                await self.docker_remove(container)
        await asyncio.sleep(0.1)
        return not await self.containers()

    # -- its API ---------------------------------------------------------------------------------

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self.tls or True)
            self._session = aiohttp.ClientSession(
                self.url, connector=connector, headers=self.headers
            )
        return self._session

    async def _answers(self) -> bool:
        try:
            async with self.session.get("/livez"):
                return True
        except aiohttp.ClientConnectionError:
            return False

    async def is_ready(self) -> bool:
        async with self.session.get("/readyz") as response:
            return response.status == 200

    async def send(self, task_id: str = "", /, **fields: Any) -> str:
        """Send a task; returns its id once it is acknowledged."""
        task_id = task_id or str(uuid.uuid4())
        task = {"ID": task_id, "Name": "test", "Image": IMAGE, **fields}
        event = {"ID": str(uuid.uuid4()), "State": 2, "Task": task}
        async with self.session.post("/tasks", json=event) as response:
            assert response.status == 201, await response.text()
        return task_id

    async def stop(self, task_id: str) -> None:
        async with self.session.delete(f"/tasks/{task_id}") as response:
            assert response.status == 204, await response.text()

    async def task(self, task_id: str, wait: str = "") -> dict[str, Any]:
        query = {"wait": wait, "timeout": str(PATIENCE_SECONDS)} if wait else {}
        async with self.session.get(f"/tasks/{task_id}", params=query) as response:
            assert response.status == 200, await response.text()
            found: dict[str, Any] = await response.json()
            return found

    async def tasks(self) -> list[dict[str, Any]]:
        async with self.session.get("/tasks") as response:
            found: list[dict[str, Any]] = await response.json()
            return found

    async def moves(self, task_id: str) -> list[tuple[int, int]]:
        async with self.session.get(f"/tasks/{task_id}/transitions") as response:
            return [(move["From"], move["To"]) for move in await response.json()]

    async def until_task(
        self, task_id: str, holds: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """The task, once something holds of it."""
        found: dict[str, Any] = {}

        async def look() -> bool:
            found.update(await self.task(task_id))
            return holds(found)

        await until(look)
        return found

    # -- its engine ------------------------------------------------------------------------------

    async def containers(self, task_id: str = "") -> list[str]:
        """Ids of the worker's containers, or of one task's."""
        label = f"keelman.task={task_id}" if task_id else f"keelman.worker={self.name}"
        async with docker_engine() as docker:
            found = await docker.containers.list(all=True, filters=f'{{"label":["{label}"]}}')
            return [container.id for container in found]

    async def docker_inspect(self, container_id: str) -> dict[str, Any]:
        async with docker_engine() as docker:
            shown: dict[str, Any] = await docker.containers.container(container_id).show()
            return shown

    async def docker_kill(self, container_id: str) -> None:
        async with docker_engine() as docker:
            await docker.containers.container(container_id).kill(signal="SIGKILL")

    async def docker_remove(self, container_id: str) -> None:
        async with docker_engine() as docker:
            await docker.containers.container(container_id).delete(force=True)


class EngineLink:
    """A socket that leads to the engine until it is cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def join(self) -> None:
        self._server = await asyncio.start_unix_server(self._pass_on, str(self.path))

    async def cut(self) -> None:
        """End the connections that are open, and refuse new ones."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in self._open:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(ENGINE.removeprefix("unix://"))
        self._open |= {writer, back}
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self._open -= {writer, back}


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    sink.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something outside of this process to become so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110  # another process has no event to wait for
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def docker_engine() -> AsyncIterator[Docker]:
    docker = Docker(ENGINE)
    try:
        yield docker
    finally:
        await docker.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
