"""Transitions as Server-Sent Events.

A listener that does not read is cut off after a while and costs nothing but itself. Whatever can be
refused is refused before the first byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from aiohttp.web import Request, StreamResponse

from keelman import bounds, params
from keelman.api import send, streaming
from keelman.errors import EventsGone
from keelman.events import Entry
from keelman.keeper import Keeper
from keelman.routes import Parameter
from keelman.values import INT64_MAX

COMMENT_SECONDS = 15.0
_SEEN = {"type": "string", "pattern": "^([^:]*:)*[0-9]+$"}
PARAMETERS = (
    Parameter("since", "the last event seen, `<log id>:<Seq>` or a bare `Seq`", _SEEN),
    Parameter("Last-Event-ID", "the same; it wins over `since`", _SEEN, place="header"),
)


async def send_events(request: Request, keeper: Keeper, last_id: str | None) -> StreamResponse:
    """Transitions from after `last_id` on (None: from now on), until the client goes.

    Raises: TooMany, BadField, EventsGone.
    """
    seq = first_seq(keeper, last_id)
    response = StreamResponse()
    response.content_type = "text/event-stream"
    with keeper.seats.listeners.one():
        async with streaming(request, response):
            await send(response, f": keelman\nid: {keeper.db.log_id}:{seq}\n\n".encode())
            keeper.metrics.listening(1)
            try:
                await _pump(response, keeper, seq)
            finally:
                keeper.metrics.listening(-1)
    return response


async def _pump(response: StreamResponse, keeper: Keeper, seq: int) -> None:
    while not keeper.events.closed:
        try:
            async with asyncio.timeout(COMMENT_SECONDS):
                entries = await keeper.events.after(seq)
        except TimeoutError:
            await send(response, b": still here\n\n")
            continue
        for chunk in chunks(frame(keeper.db.log_id, entry) for entry in entries):
            await send(response, chunk)
        seq = entries[-1].move.seq if entries else seq


def chunks(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Frames, some at a time: what a listener that does not read has lying in memory."""
    held = bytearray()
    for one in frames:
        held += one
        if len(held) >= bounds.CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def frame(log_id: str, entry: Entry) -> bytes:
    """One Transition as a Server-Sent Event."""
    head = f"id: {log_id}:{entry.move.seq}\nevent: transition\ndata: "
    return head.encode() + entry.body + b"\n\n"


def first_seq(keeper: Keeper, last_id: str | None) -> int:
    """The number that a client has seen last. Raises: BadField, EventsGone."""
    if last_id is None:
        return keeper.events.last_seq
    log_id, _, text = last_id.rpartition(":")
    seq = params.integer({"since": text}, "since", most=INT64_MAX) or 0
    if log_id not in ("", keeper.db.log_id):
        raise EventsGone("that event is of another log; list the tasks anew")
    if seq > keeper.db.last_seq():  # a list may tell of it before it is published
        raise EventsGone(f"there is no event {seq} yet; list the tasks anew")
    if seq + 1 < keeper.db.first_seq():
        raise EventsGone(f"event {seq + 1} is no longer kept; list the tasks anew")
    return seq
