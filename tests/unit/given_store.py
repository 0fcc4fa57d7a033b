"""Stores, and writes that can be held up."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from keelman.db import Db
from keelman.store import FILE_NAME, Store
from keelman.task import State, Transition
from tests.unit.given import NOW, TASK_ID, a_task

ALL_KEYS = "SELECT key FROM meta WHERE key LIKE 'k%' ORDER BY key"
_NUMBERS = itertools.count(1)


def new_id() -> str:
    """An id that no other call gives."""
    return f"{next(_NUMBERS):08x}-id"


def open_store(directory: Path) -> Store:
    return Store(directory, new_id)


def peek(directory: Path, sql: str) -> list[tuple[object, ...]]:
    """What another program sees on disk."""
    with sqlite3.connect(directory / FILE_NAME) as connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def put(key: str, value: object = 1) -> Callable[[sqlite3.Connection], str]:
    def write(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        return key

    return write


async def record(
    store: Store, count: int, then: Callable[[Transition], None] = lambda move: None
) -> None:
    """So many Transitions of one task; `then` is told of each once it is on disk."""
    move = Transition(task_id=TASK_ID, from_=State.PENDING, to=State.SCHEDULED, time=NOW)
    for _ in range(count):
        done = await Db(store).put(a_task(State.SCHEDULED), move, lambda told: then(told or move))
        assert done is not None


def keys(store: Store) -> list[str]:
    return [key for (key,) in store.read(ALL_KEYS)]


class Gate:
    """A write that holds the writer thread until it is opened, so that others gather behind it."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        self._entered.set()
        assert self._opened.wait(10), "nobody opened the gate"

    async def reached(self) -> None:
        """Wait until the writer thread stands at the gate."""
        assert await asyncio.to_thread(self._entered.wait, 10), "nobody came to the gate"

    def open(self) -> None:
        self._opened.set()
