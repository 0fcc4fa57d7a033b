"""A registry on loopback that holds the torture's image, so that there is something to pull."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.torture.engine import Engine
from tests.torture.orders import IMAGE
from tests.torture.waiting import until

INSTALL = Path(__file__).parents[2] / "scripts" / "registry"
ADDRESS = "127.0.0.1:5000"
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}
http: {{addr: "{address}"}}
"""


@asynccontextmanager
async def registry(folder: Path, engine: Engine) -> AsyncIterator[str]:
    """The image's whole name there, pushed by the engine, in whose network it is."""
    await asyncio.to_thread(subprocess.run, [INSTALL], check=True)
    (folder / "registry.yml").write_text(CONFIG.format(folder=folder, address=ADDRESS))
    process = await asyncio.create_subprocess_exec(
        *(*engine.own_network, "docker-registry", "serve", str(folder / "registry.yml")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        repository = f"{ADDRESS}/torture"
        await until(lambda: _pushed(str(engine.socket), repository), "the registry has the image")
        yield f"{repository}:1"
    finally:
        process.kill()
        await process.wait()


async def _pushed(socket: str, repository: str) -> bool:
    """False while the registry is not up yet."""
    connector = aiohttp.UnixConnector(socket)
    async with aiohttp.ClientSession("http://engine", connector=connector) as engine:
        query = {"repo": repository, "tag": "1"}
        async with engine.post(f"/images/{IMAGE}/tag", params=query) as tagged:
            assert tagged.status == 201, await tagged.text()
        headers = {"X-Registry-Auth": "e30="}  # an empty object: as nobody
        path = f"/images/{repository}/push"
        async with engine.post(path, params={"tag": "1"}, headers=headers) as pushed:
            return pushed.status == 200 and '"error"' not in await pushed.text()
