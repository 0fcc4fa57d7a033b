"""A listener to Server-Sent Events, as strict as a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientResponse
from msgspec import Struct

from tests.api.conftest import Served

PATIENCE_SECONDS = 20.0


class Heard(Struct, frozen=True):
    """One event: its id, and its data."""

    id: str
    data: dict[str, Any]

    @property
    def seq(self) -> int:
        return int(self.id.rpartition(":")[2])


class Listener:
    """Reads one stream. `comments` are the lines that are no events, `last_id` is the last id."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self.comments: list[str] = []
        self.last_id = ""

    async def block(self) -> dict[str, str]:
        """The fields up to the next blank line; none at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self._response.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                if name == "" or line.startswith(":"):
                    self.comments.append(line)
                else:
                    fields[name] = value
        self.last_id = fields.get("id", self.last_id)
        return fields

    async def next(self) -> Heard:
        """The next event, past comments."""
        while "data" not in (fields := await self.block()):
            assert not self._response.content.at_eof(), "the stream has ended"
        assert fields["event"] == "transition"
        return Heard(fields["id"], json.loads(fields["data"]))

    async def events(self, count: int) -> list[Heard]:
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def listening(
    served: Served, *, since: str | None = None, last_id: str | None = None
) -> AsyncIterator[Listener]:
    """A listener that hears what comes once this is entered."""
    params = {} if since is None else {"since": since}
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    async with served.session.get("/events", params=params, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        listener = Listener(response)
        await listener.block()  # the greeting: from here on nothing is missed
        yield listener
