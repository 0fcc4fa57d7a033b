"""What the engine itself says of one worker's containers, asked without the worker.

Its events are followed and, whenever that breaks, its list is taken. Two live containers of one
task at once are noticed here, and how many containers were on their way up.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from typing import Any

import aiohttp

NO_END = aiohttp.ClientTimeout(total=None, sock_connect=10)


class Truth:
    """One worker's containers, as the engine at `socket` has them."""

    def __init__(self, socket: str, worker: str) -> None:
        self.doubles: list[str] = []
        self.starts = 0
        self.most_on_their_way = 0
        self._label = f"keelman.worker={worker}"
        self._socket = socket
        self._live: dict[str, set[str]] = defaultdict(set)
        self._on_their_way: set[str] = set()

    def forget_the_way(self) -> None:
        """Count those on their way up anew."""
        self._on_their_way.clear()
        self.most_on_their_way = 0

    def session(self) -> aiohttp.ClientSession:
        connector = aiohttp.UnixConnector(self._socket)
        return aiohttp.ClientSession("http://engine", connector=connector, timeout=NO_END)

    async def follow(self) -> None:
        """Listen until cancelled, however often the engine goes away."""
        while True:
            try:
                async with self.session() as session:
                    await self._listen(session)
            except (aiohttp.ClientError, json.JSONDecodeError):
                pass
            await asyncio.sleep(0.1)

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        filters = json.dumps({"type": ["container"], "label": [self._label]})
        async with session.get("/events", params={"filters": filters}) as stream:
            asked = time.time_ns()
            self._live.clear()
            for row in await self._rows(session, all_of_them=False):
                self._starts(row["Labels"]["keelman.task"], row["Id"])
            async for line in stream.content:
                self._happened(json.loads(line), asked)

    def _happened(self, event: dict[str, Any], listed: int) -> None:
        actor, action = event["Actor"], event["Action"]
        task_id, container = actor["Attributes"]["keelman.task"], actor["ID"]
        if action == "create":
            self._on_their_way.add(container)
            self.most_on_their_way = max(self.most_on_their_way, len(self._on_their_way))
        if action in ("start", "die", "destroy"):
            self._on_their_way.discard(container)
        if action in ("die", "destroy"):
            self._live[task_id].discard(container)
        if action == "start":
            self.starts += 1
            if event["timeNano"] >= listed:  # else the list knows what became of it
                self._starts(task_id, container)

    def _starts(self, task_id: str, container: str) -> None:
        self._live[task_id].add(container)
        if len(self._live[task_id]) > 1:
            self.doubles.append(f"two live containers of {task_id}: {self._live[task_id]}")

    async def containers(self) -> list[dict[str, Any]]:
        """Every container of the worker, whatever its state."""
        async with self.session() as session:
            return await self._rows(session, all_of_them=True)

    async def _rows(
        self, session: aiohttp.ClientSession, *, all_of_them: bool
    ) -> list[dict[str, Any]]:
        filters = json.dumps({"label": [self._label]})
        query = {"filters": filters, "all": "1" if all_of_them else "0"}
        async with session.get("/containers/json", params=query) as response:
            rows: list[dict[str, Any]] = await response.json()
            return rows

    async def remove_all(self) -> None:
        """A create may still be under way when its worker was killed: until none is left."""
        async with self.session() as session:
            while rows := await self._rows(session, all_of_them=True):
                for row in rows:
                    query = {"force": "1", "v": "1"}
                    async with session.delete(f"/containers/{row['Id']}", params=query):
                        pass
                await asyncio.sleep(0.2)
