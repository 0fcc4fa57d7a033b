"""Live listeners to the log of Transitions.

A listener is a cursor: the number of the last Transition it has. It is served from a short ring of
recent ones in memory, and from the Db when it is further behind, so that a slow listener costs
nothing but itself and nobody's backlog grows. The log is the truth; `publish` only wakes.
"""

from __future__ import annotations

import asyncio
from collections import deque

from keelman.db import Db
from keelman.errors import EventsGone
from keelman.task import Transition
from keelman.wire import encode_transition

RING_LENGTH = 4096
READ_MOST = 100  # held for each listener that is behind


class Entry:
    """One Transition and its JSON."""

    __slots__ = ("body", "move")

    def __init__(self, move: Transition) -> None:
        self.move = move
        self.body = encode_transition(move)


class Events:
    """The log of Transitions as a stream."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._ring: deque[Entry] = deque(maxlen=RING_LENGTH)
        self._news = asyncio.Event()
        self.last_seq = db.last_seq()
        self.closed = False

    def publish(self, move: Transition) -> None:
        """Tell listeners of a Transition that is on disk, in the order of their numbers."""
        self._ring.append(Entry(move))
        self.last_seq = move.seq
        self._wake()

    def close(self) -> None:
        """End every stream: the worker is going."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Wait until something is published, or the stream is closed."""
        if not self.closed:
            await self._news.wait()

    async def after(self, seq: int) -> list[Entry]:
        """The Transitions that follow number `seq`: at least one, unless the stream was closed.

        Raises: EventsGone when the log no longer reaches back that far.
        """
        while self.last_seq <= seq and not self.closed:
            await self.news()
        entries = self._recent(seq) or self._older(seq)
        if entries and entries[0].move.seq != seq + 1:
            raise EventsGone(f"Transition {seq + 1} is no longer kept; list the tasks anew")
        return entries

    async def after_move_of(self, task_id: str, seq: int) -> int:
        """Wait until a task moves after number `seq`; the number to go on from."""
        while not self.closed:
            entries = await self.after(seq)
            seq = entries[-1].move.seq if entries else seq
            if any(entry.move.task_id == task_id for entry in entries):
                break
        return seq

    def _recent(self, seq: int) -> list[Entry]:
        if not self._ring or self._ring[0].move.seq > seq + 1:
            return []
        start = seq + 1 - self._ring[0].move.seq
        return [self._ring[index] for index in range(start, len(self._ring))]

    def _older(self, seq: int) -> list[Entry]:
        return [Entry(move) for move in self._db.transitions(seq, most=READ_MOST)]
