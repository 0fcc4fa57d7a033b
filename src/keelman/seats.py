"""Seats for those who stay: listeners to the events, readers of output, waiters for a task.

Each kind has so many. One more is refused, and told to try again; who stays is not disturbed. All
of them leave room for connections that are answered at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keelman import bounds
from keelman.errors import TooMany


class Seats:
    """So many at once. `doing` says in words what they do there."""

    def __init__(self, most: int, doing: str) -> None:
        self._most, self._doing = most, doing
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have a seat. Raises: TooMany."""
        if self.taken >= self._most:
            raise TooMany(f"{self._most} clients {self._doing} already; try again later")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class House:
    """The seats of one worker."""

    def __init__(self) -> None:
        self.listeners = Seats(bounds.LISTENERS_MOST, "follow the events")
        self.readers = Seats(bounds.LOG_READERS_MOST, "read a task's output")
        self.waiters = Seats(bounds.WAITERS_MOST, "wait for a task")
