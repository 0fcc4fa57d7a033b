"""The listener to the worker's event log, which goes on where it was whatever happens to it.

It holds the log to its word: what was heard once is in the log for ever, and nothing is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp

Move = tuple[str, int, int]  # task, from, to
PATIENT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=45)


class Listener:
    """What was heard of one log: each Transition's number, and what it told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.heard: dict[int, Move] = {}
        self.logs: list[str] = []  # the ids of the logs it met
        self.holes: list[str] = []
        self._last_id = "0"

    async def follow(self) -> None:
        """Listen until cancelled."""
        async with aiohttp.ClientSession(self._url, timeout=PATIENT) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    await self._listen(session)
                await asyncio.sleep(0.2)

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        async with session.get("/events", params={"since": self._last_id}) as stream:
            if stream.status == 410:
                self.heard, self._last_id = {}, "0"
            if stream.status != 200:
                return
            async for event_id, told in events(stream):
                self._take(event_id, told)

    def _take(self, event_id: str, told: dict[str, Any]) -> None:
        log_id, _, _ = event_id.rpartition(":")
        if log_id not in self.logs:
            self.logs.append(log_id)
        seq, move = told["Seq"], (told["TaskID"], told["From"], told["To"])
        if self.heard.get(seq, move) != move:
            self.holes.append(f"{seq} was {self.heard[seq]}, now {move}")
        if self.heard and seq > max(self.heard) + 1:
            self.holes.append(f"after {max(self.heard)} came {seq}")
        self.heard[seq] = move
        self._last_id = event_id


async def events(stream: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Each event's id and its Transition."""
    event_id = ""
    async for line in stream.content:
        if line.startswith(b"id: "):
            event_id = line[4:].decode().strip()
        if line.startswith(b"data: "):
            yield event_id, json.loads(line[6:])


async def whole_log(url: str) -> list[dict[str, Any]]:
    """Every Transition up to now, oldest first."""
    told: list[dict[str, Any]] = []
    async with aiohttp.ClientSession(url, timeout=PATIENT) as session:
        async with session.get("/tasks") as listed:
            last = int(listed.headers["Last-Event-ID"].rpartition(":")[2])
        if last == 0:
            return told
        async with session.get("/events", params={"since": "0"}) as stream:
            async for _, move in events(stream):
                told.append(move)
                if move["Seq"] >= last:
                    break
    return told


def gaps(log: list[dict[str, Any]], heard: dict[int, Move], states: dict[str, int]) -> list[str]:
    """Numbers left out, moves that do not follow from the one before, things heard and not kept."""
    return [*_numbers(log), *_chains(log, states), *_unkept(log, heard)]


def _numbers(log: list[dict[str, Any]]) -> Iterable[str]:
    for expected, move in enumerate(log, start=1):
        if move["Seq"] != expected:
            yield f"number {expected} is missing"
            return


def _chains(log: list[dict[str, Any]], states: dict[str, int]) -> Iterable[str]:
    at: dict[str, int] = {}
    for move in log:
        task_id = move["TaskID"]
        if move["From"] != at.get(task_id, 0):
            yield f"{task_id} was {at.get(task_id, 0)}, then moved from {move['From']}"
        at[task_id] = move["To"]
    for task_id, state in states.items():
        if at.get(task_id, 0) != state:
            yield f"{task_id} is {state}, the log ends at {at.get(task_id, 0)}"


def _unkept(log: list[dict[str, Any]], heard: dict[int, Move]) -> Iterable[str]:
    kept = {move["Seq"]: (move["TaskID"], move["From"], move["To"]) for move in log}
    for seq, move in heard.items():
        if kept.get(seq) != move:
            yield f"heard {seq} {move}, and the log has {kept.get(seq)}"
