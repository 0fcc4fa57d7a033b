"""Debian's docker-registry, as a process of one test on loopback, and what may lie before it.

An engine speaks plain HTTP with registries on 127.0.0.0/8.
"""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from aiodocker import Docker, DockerError
from aiohttp import web

from tests.e2e.machine import IMAGE, docker_engine, free_port, until

INSTALL = Path(__file__).parents[2] / "scripts" / "registry"
USER, PASSWORD = "ann", "s3cr3t-for-the-test"
HTPASSWD = "ann:$2y$05$L2X90.RUp71FJqu/HXF8R.cQ51csJy0O5MmoUHFIB9li5p/sHIc7C\n"  # of PASSWORD
BIG_BYTES = 4_000_000

CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}
http: {{addr: "{address}"}}
"""
LOCKED = "auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"


class Registry:
    """The registry at an address, and the images that were pushed to it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def login(self, password: str = PASSWORD) -> dict[str, Any]:
        """What `docker login` writes into config.json."""
        auth = b64encode(f"{USER}:{password}".encode()).decode()
        return {"auths": {self.address: {"auth": auth}}}

    async def has(self, name: str, page: str = "") -> str:
        """Push the tests' image as `name`, with a page of its own; the image's whole name."""
        return await self._push(name, "page", page.encode())

    async def has_big(self, name: str) -> str:
        """The same, with a layer that nobody has and that is 4 MB large."""
        return await self._push(name, "noise", os.urandom(BIG_BYTES))

    async def _push(self, name: str, file: str, content: bytes) -> str:
        repository = f"{self.address}/{name.partition(':')[0]}"
        async with docker_engine() as docker:
            await _commit(docker, repository, file, content)
            answer = await docker.images.push(
                f"{repository}:1", auth={"username": USER, "password": PASSWORD}
            )
            assert not [line for line in answer if "error" in line], answer
            await docker.images.delete(f"{repository}:1", force=True)
        return f"{repository}:1"


async def _commit(docker: Docker, repository: str, file: str, content: bytes) -> None:
    base = await docker.containers.create({"Image": IMAGE}, name=f"test-{uuid4().hex}")
    try:
        await base.put_archive("/", _tar(file, content))  # type: ignore[no-untyped-call]
        await base.commit(repository=repository, tag="1")
    finally:
        await base.delete(force=True)


def _tar(file: str, content: bytes) -> io.BytesIO:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        entry = tarfile.TarInfo(file)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    whole.seek(0)
    return whole


@asynccontextmanager
async def docker_registry(folder: Path, *, locked: bool = False) -> AsyncIterator[Registry]:
    """A registry that is up while this is entered; `locked` lets in USER only."""
    subprocess.run([INSTALL], check=True)  # noqa: ASYNC221  # once a machine
    address = f"127.0.0.1:{free_port()}"
    _configure(folder, address, locked=locked)
    process = await asyncio.create_subprocess_exec(
        *("docker-registry", "serve", str(folder / "registry.yml")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await until(lambda: _answers(address))
        yield Registry(address)
    finally:
        process.kill()
        await process.wait()
        await forget_images_of(address)


def _configure(folder: Path, address: str, *, locked: bool) -> None:
    words = CONFIG + (LOCKED if locked else "")
    (folder / "registry.yml").write_text(words.format(folder=folder, address=address))
    (folder / "htpasswd").write_text(HTPASSWD)


async def _answers(address: str) -> bool:
    with suppress(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/v2/"):
            return True
    return False


async def forget_images_of(address: str) -> None:
    """Take the names away that a registry's images had here."""
    async with docker_engine() as docker:
        for image in await docker.images.list():
            names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
            for name in names:
                if name.startswith(f"{address}/"):
                    with suppress(DockerError):  # the last tag took the digest with it
                        await docker.images.delete(name, force=True)


class Passage:
    """The way to a registry, which lets a connection have `most` bytes and then stalls or cuts."""

    def __init__(self, target: str) -> None:
        self._target = target.split(":")
        self.address = ""
        self.most: int | None = None
        self.piece_seconds = (
            0.0  # for each 64 KiB: of what is there at once the engine tells no size
        )
        self.cuts = 0  # how many connections are cut instead of stalled

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                up = group.create_task(_copy(reader, back))
                await self._down(there, writer)
                up.cancel()
        finally:
            for end in (writer, back):
                end.transport.abort()

    async def _down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        passed = 0
        with suppress(ConnectionError):
            while piece := await source.read(65536):
                passed += len(piece)
                if self.most is not None and passed > self.most:
                    await self._no_more()
                    return
                await asyncio.sleep(self.piece_seconds)
                sink.write(piece)
                await sink.drain()

    async def _no_more(self) -> None:
        if self.cuts:
            self.cuts -= 1
            self.most = None if not self.cuts else self.most
            return
        await asyncio.Event().wait()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()


@asynccontextmanager
async def passage(registry: Registry) -> AsyncIterator[Passage]:
    """A way to a registry at an address of its own, open while this is entered."""
    way = Passage(registry.address)
    serving: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(way.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    way.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await forget_images_of(way.address)


@asynccontextmanager
async def refusing(status: int, code: str) -> AsyncIterator[str]:
    """A registry that answers all but a greeting with this status and code; its address."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/v2/":
            return web.json_response({})
        error = {"code": code, "message": "not today", "detail": {}}
        return web.json_response({"errors": [error]}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name.removeprefix("http://")
    finally:
        await runner.cleanup()
