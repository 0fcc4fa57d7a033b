"""The two engines that the contract is tried on, and what may happen behind the worker's back.

A World is one worker's Runtime on an engine. What a Runtime cannot do (a stranger's container, a
port that somebody else holds) each engine does in its own way; the rules under test are the same.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from typing import Any, TypeVar
from uuid import uuid4

from aiodocker import Docker, DockerError

from keelman.errors import EngineFailed
from keelman.runtime import LogOptions, Runtime
from keelman.runtime.docker import USUAL_URL, DockerRuntime
from keelman.runtime.fake import FakeEngine, FakeRuntime
from keelman.seen import Absent, Body, Create, Start, Unknown
from keelman.task import Spec, Task
from tests.contract.programs import PROGRAMS
from tests.contract.registry import MANIFEST_CONTENT, digest, registry

IMAGE = "keelman/busybox:1"
MISSING_IMAGE = "keelman/none:1"
PATIENCE_SECONDS = 30.0

Kind = TypeVar("Kind")


def a_task(command: tuple[str, ...] = (), **spec: Any) -> Task:
    return Task(id=str(uuid4()), spec=Spec(**{"image": IMAGE, "command": command} | spec))


class World(ABC):
    """One worker on an engine."""

    worker: str
    runtime: Runtime

    @abstractmethod
    def runtime_of(self, worker: str) -> Runtime:
        """Another worker's Runtime on the same engine."""

    @abstractmethod
    async def stranger(self, name: str) -> str:
        """A container of that name without labels; its id."""

    @abstractmethod
    async def copy(self, container_id: str, name: str) -> str:
        """A container of an image committed from that container; its id."""

    @abstractmethod
    async def made(self, name: str, body: dict[str, Any]) -> str:
        """A container made behind the worker's back; its id."""

    @abstractmethod
    async def rename(self, container_id: str, name: str) -> None:
        """`docker rename`."""

    @abstractmethod
    async def exists(self, container_id: str) -> bool:
        """Whether a container is there, whosever it is."""

    @abstractmethod
    def held_port(self) -> AbstractContextManager[int]:
        """While it is entered, somebody else holds the host port whose number it gives."""

    @abstractmethod
    def registry(self) -> AbstractAsyncContextManager[str]:
        """While it is entered, a registry has `good` (:1, :latest) and `spoilt` at this address."""

    @abstractmethod
    async def until(self, task: Task, done: Callable[[Body], bool]) -> Body:
        """Look until it is so. Raises: TimeoutError."""

    @abstractmethod
    async def close(self) -> None:
        """Leave nothing behind."""

    async def seen(self, task: Task, kind: type[Kind]) -> Kind:
        """The task's body, once it is of that kind."""
        body = await self.until(task, lambda body: isinstance(body, kind))
        assert isinstance(body, kind)
        return body

    async def created(self, task: Task, attempt: int = 1) -> str:
        """Create a container of the task; its id."""
        await self.runtime.do(task, Create(attempt=attempt))
        body = (await self.runtime.look(task)).body
        assert not isinstance(body, Absent | Unknown)
        return body.container_id

    async def started(self, task: Task, attempt: int = 1) -> str:
        """Create and start a container of the task; its id."""
        container_id = await self.created(task, attempt)
        await self.runtime.do(task, Start(container_id=container_id, attempt=attempt))
        return container_id

    async def ready(self, task: Task) -> str:
        """Create and start one that says when its signals are handled; its id."""
        container_id = await self.started(task)
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for _ in self.runtime.logs(container_id, LogOptions(follow=True)):
                break
        return container_id


class FakeWorld(World):
    """The engine in memory. Nothing is polled: it tells when it moved."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.engine = FakeEngine(time.time, programs=PROGRAMS, images=[IMAGE])
        self.runtime = self.runtime_of(worker)

    def runtime_of(self, worker: str) -> FakeRuntime:
        return FakeRuntime(self.engine, worker)

    async def stranger(self, name: str) -> str:
        return self.engine.stranger(name)

    async def copy(self, container_id: str, name: str) -> str:
        return self.engine.copy(container_id, name)

    async def made(self, name: str, body: dict[str, Any]) -> str:
        return self.engine.add(name, body).id

    async def rename(self, container_id: str, name: str) -> None:
        self.engine.rename(container_id, name)

    async def exists(self, container_id: str) -> bool:
        return self.engine.find(container_id) is not None

    @contextmanager
    def held_port(self) -> Iterator[int]:
        self.engine.held_ports.add("8080/tcp")
        yield 8080
        self.engine.held_ports.clear()

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[str]:
        address = "127.0.0.1:5000"
        good = [f"{address}/good{end}" for end in (":1", ":latest", f"@{digest(MANIFEST_CONTENT)}")]
        self.engine.registry.update(good)
        self.engine.spoilt[f"{address}/spoilt:1"] = EngineFailed("verification failed")
        yield address
        self.engine.spoilt.update({image: EngineFailed("connection refused") for image in good})

    async def until(self, task: Task, done: Callable[[Body], bool]) -> Body:
        async with asyncio.timeout(PATIENCE_SECONDS), self.runtime.changes() as moves:
            while not done(body := (await self.runtime.look(task)).body):
                await anext(moves)
        return body

    async def close(self) -> None:
        await self.runtime.close()


class DockerWorld(World):
    """The real engine, at its usual socket."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.docker = Docker(USUAL_URL)
        self._runtimes: list[DockerRuntime] = []
        self._labels = [f"test.world={worker}"]
        self.runtime = self.runtime_of(worker)
        self._images: list[str] = []

    def runtime_of(self, worker: str) -> DockerRuntime:
        runtime = DockerRuntime(worker)
        self._runtimes.append(runtime)
        self._labels.append(f"keelman.worker={worker}")
        return runtime

    async def stranger(self, name: str) -> str:
        return await self._made(name, IMAGE)

    async def copy(self, container_id: str, name: str) -> str:
        return await self._made(name, await self._committed(container_id))

    async def made(self, name: str, body: dict[str, Any]) -> str:
        return str((await self.docker.containers.create(body, name=name)).id)

    async def rename(self, container_id: str, name: str) -> None:
        await self.docker.containers.container(container_id).rename(name)

    async def image_with(self, **config: str) -> str:
        """The image with other words in its config; its name."""
        return await self._committed(await self._made(f"base-{self.worker}", IMAGE, **config))

    async def _committed(self, container_id: str) -> str:
        repository = f"keelman-test-{uuid4().hex[:12]}"
        base = self.docker.containers.container(container_id)
        await base.commit(repository=repository, tag="1")
        self._images.append(f"{repository}:1")
        return f"{repository}:1"

    async def _made(self, name: str, image: str, **config: str) -> str:
        body: dict[str, Any] = {"Image": image, "Labels": {"test.world": self.worker}, **config}
        return await self.made(name, body)

    async def exists(self, container_id: str) -> bool:
        with suppress(DockerError):
            await self.docker.containers.container(container_id).show()
            return True
        return False

    @contextmanager
    def held_port(self) -> Iterator[int]:
        with socket.create_server(("0.0.0.0", 0)) as server:
            yield server.getsockname()[1]

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[str]:
        async with registry() as address:
            try:
                yield address
            finally:
                await self._forget_images_of(address)

    async def _forget_images_of(self, address: str) -> None:
        for image in await self.docker.images.list():
            names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
            if any(name.startswith(f"{address}/") for name in names):
                await self.docker.images.delete(image["Id"], force=True)

    async def until(self, task: Task, done: Callable[[Body], bool]) -> Body:
        async with asyncio.timeout(PATIENCE_SECONDS):
            # A real engine's events are hints: the rules must not rest on them.
            while not done(body := (await self.runtime.look(task)).body):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return body

    async def inspect(self, container_id: str) -> dict[str, Any]:
        return await self.docker.containers.container(container_id).show()

    async def close(self) -> None:
        for label in self._labels:
            filters = json.dumps({"label": [label]})
            for one in await self.docker.containers.list(all=True, filters=filters):
                with suppress(DockerError):
                    await one.delete(force=True, v=True)
        for image in self._images:
            await self.docker.images.delete(image, force=True)
        for runtime in self._runtimes:
            await runtime.close()
        await self.docker.close()
