"""The engine that is measured on: a dockerd of its own, and its API with nothing in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp

from tests.torture.engine import Engine

LABEL = "bench"
NO_BRIDGE = {"--bridge=none", "--iptables=false", "--ip6tables=false"}
REMOVALS_AT_ONCE = 8
Json = dict[str, Any]


class BridgedEngine(Engine):
    """A dockerd whose containers have the usual network: a bridge, in a namespace of its own."""

    def _command(self) -> list[str]:
        return [option for option in super()._command() if option not in NO_BRIDGE]


@contextlib.asynccontextmanager
async def own_engine() -> AsyncIterator[Engine]:
    """An engine with the image, while this is entered; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="keelman-engine-"))
    engine = BridgedEngine(folder, f"bench-{uuid.uuid4().hex[:8]}")
    try:
        await engine.start()
        await engine.load_image()
        yield engine
    finally:
        await engine.close()
        shutil.rmtree(folder, ignore_errors=True)


class EngineApi:
    """Bare calls to an engine."""

    def __init__(self, url: str) -> None:
        self.url = url
        connector = aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0)
        no_end = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession("http://engine", connector=connector, timeout=no_end)

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Json | None = None, **query: str) -> Any:  # noqa: ANN401  # JSON of any shape
        """Raises: AssertionError with the engine's words when it refuses."""
        async with self._session.request(method, path, json=body, params=query) as response:
            text = await response.text()
            assert response.status < 300, f"{method} {path}: {text}"
            return json.loads(text) if text.strip() else None

    async def run(self, body: Json) -> str:
        """Create and start; the id."""
        made = await self.ask("POST", "/containers/create", body)
        await self.ask("POST", f"/containers/{made['Id']}/start")
        return str(made["Id"])

    async def run_all(self, body: Json, count: int, at_once: int) -> list[str]:
        """So many of the same, a few at once."""
        return await in_parallel(lambda: self.run(body), count, at_once)

    async def kill(self, container_id: str, signal: str) -> None:
        await self.ask("POST", f"/containers/{container_id}/kill", signal=signal)

    async def containers(self, label: str) -> list[Json]:
        filters = json.dumps({"label": [label]})
        listed: list[Json] = await self.ask("GET", "/containers/json", all="1", filters=filters)
        return listed

    async def remove_all(self, label: str) -> None:
        ids = iter([one["Id"] for one in await self.containers(label)])

        async def remove() -> None:
            for container_id in ids:
                await self.ask("DELETE", f"/containers/{container_id}", force="1", v="1")

        await asyncio.gather(*(remove() for _ in range(REMOVALS_AT_ONCE)))

    async def dies(self) -> AsyncIterator[Json]:
        """The engine's own events of containers that ended, as they come."""
        filters = json.dumps({"type": ["container"], "event": ["die"]})
        async with self._session.get("/events", params={"filters": filters}) as response:
            async for line in response.content:
                yield json.loads(line)


async def in_parallel(make: Callable[[], Awaitable[str]], count: int, at_once: int) -> list[str]:
    """What `count` calls answer, so many of them under way at a time."""
    numbers: Iterable[int] = iter(range(count))

    async def lane() -> list[str]:
        return [await make() for _ in numbers]

    made = await asyncio.gather(*(lane() for _ in range(at_once)))
    return list(itertools.chain.from_iterable(made))
