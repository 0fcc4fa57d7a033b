"""The manager: sends tasks and stops, and repeats each under the same event ID until answered.

It remembers what was acknowledged, for that is what the worker is held to.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.torture.orders import FLAPPING, KINDS, Kind, Order

AGAIN_SECONDS = 0.2
ANSWER = aiohttp.ClientTimeout(total=40)
MOST_AT_ONCE = 40  # lives that are not over: the engine is to be kept busy, not drowned


class Manager:
    """One worker's manager; `chance` decides what it asks for, and when."""

    def __init__(self, url: str, starts: Path, chance: random.Random) -> None:
        self.orders: list[Order] = []
        self.answers: Counter[int] = Counter()  # statuses; 0 is no answer
        self.busy = True
        self._starts, self._chance = starts, chance
        self._session = aiohttp.ClientSession(url, timeout=ANSWER)

    async def close(self) -> None:
        await self._session.close()

    # -- asking ----------------------------------------------------------------------------------

    async def run(self, kind: Kind) -> Order:
        """Ask for a task until it is acknowledged."""
        order = Order(kind, self._new_id())
        self.orders.append(order)
        event = {"ID": self._new_id(), "State": 2, "Task": order.task(self._starts)}
        order.accepted = await self._until_answered(order, "POST", "/tasks", event) == 201
        return order

    async def stop(self, order: Order) -> None:
        """Ask for its stop until that is acknowledged: by DELETE, or as an event."""
        if self._chance.random() < 0.5:
            status = await self._until_answered(order, "DELETE", f"/tasks/{order.task_id}")
        else:
            event = {"ID": self._new_id(), "State": 3, "Task": {"ID": order.task_id}}
            status = await self._until_answered(order, "POST", "/tasks", event)
        order.stopped = status in (201, 204)

    async def _until_answered(
        self, order: Order, method: str, path: str, event: dict[str, Any] | None = None
    ) -> int:
        """Silence and 503 are asked again; another refusal is remembered: none is in order."""
        while True:
            status, words = await self._ask(method, path, event)
            self.answers[status] += 1
            if status in (0, 503):
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if status >= 400:
                order.refused = f"{method} {status}: {words}"
            return status

    async def _ask(self, method: str, path: str, event: dict[str, Any] | None) -> tuple[int, str]:
        try:
            async with self._session.request(method, path, json=event) as response:
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""

    async def once(self, kind: Kind) -> int:
        """Ask for a task one time only; the status. It counts where it was acknowledged."""
        order = Order(kind, self._new_id())
        event = {"ID": self._new_id(), "State": 2, "Task": order.task(self._starts)}
        status, _ = await self._ask("POST", "/tasks", event)
        self.answers[status] += 1
        if status == 201:
            order.accepted = True
            self.orders.append(order)
        return status

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    # -- load ------------------------------------------------------------------------------------

    async def keep_asking(self, every: float, kinds: Sequence[Kind] = KINDS) -> None:
        """Tasks of all kinds, most of them stopped later, until it is not `busy` any more."""
        going: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while self.busy:
                if len(going) < MOST_AT_ONCE:
                    life = group.create_task(self._life(self._chance.choice(kinds)))
                    going.add(life)
                    life.add_done_callback(going.discard)
                await asyncio.sleep(self._chance.uniform(0, 2 * every))

    async def _life(self, kind: Kind) -> None:
        stops = self._chance.random() < 0.8
        wait = self._chance.choice((0.0, self._chance.uniform(0, 3), self._chance.uniform(3, 15)))
        order = await self.run(kind)
        if stops and not order.refused:
            await asyncio.sleep(wait)
            await self.stop(order)

    async def calm(self, kinds: Sequence[Kind] = (FLAPPING,)) -> None:
        """Stop what would not come to rest by itself."""
        for order in list(self.orders):
            if order.kind in kinds and order.accepted and not order.stopped:
                await self.stop(order)

    # -- looking ---------------------------------------------------------------------------------

    async def tasks(self) -> dict[str, dict[str, Any]]:
        """The worker's list; empty while it does not answer."""
        try:
            async with self._session.get("/tasks") as response:
                listed = await response.json() if response.status == 200 else []
        except (aiohttp.ClientError, TimeoutError):
            return {}
        return {task["ID"]: task for task in listed}

    async def answers_at(self, path: str) -> bool:
        """Whether `/livez` or `/readyz` says so."""
        try:
            async with self._session.get(path) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
