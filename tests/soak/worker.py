"""`keelman`, with its memory shortened, or with a leak put in to see it found.

`python -m tests.soak.worker INSIDE worker …`, where INSIDE is `plan.Inside` as JSON. Nothing else
of the worker is changed: the rest of the line is `keelman`'s own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import msgspec

import keelman.db
import keelman.events
import keelman.queue
import keelman.worker.images
import keelman.worker.watch
from keelman import cli
from keelman.queue import Admitted
from keelman.task import Wish
from keelman.worker.worker import Worker
from tests.soak.plan import Inside

LEAKED: list[object] = []
LEAK_BYTES = 20_000
PULL_PATIENCE_SECONDS = 20.0


def main() -> None:
    inside = msgspec.json.decode(sys.argv.pop(1), type=Inside)
    hurry(inside)
    if inside.leak:
        spring(LEAKS[inside.leak], inside.leak_every)
    cli.main()


def hurry(inside: Inside) -> None:
    """Shorten what the worker remembers."""
    if seconds := inside.remember_seconds:
        set_constant(keelman.db, "TOMBSTONE_SECONDS", seconds)
        set_constant(keelman.worker.watch, "SWEEP_EVERY", 1)
        set_constant(keelman.worker.images, "KEPT", seconds + PULL_PATIENCE_SECONDS)
    if count := inside.transitions_kept:
        set_constant(keelman.db, "TRANSITIONS_MOST", count)
        set_constant(keelman.events, "RING_LENGTH", count)


def set_constant(module: ModuleType, name: str, value: float) -> None:
    """One that was renamed is noticed."""
    assert type(getattr(module, name)) in (int, float), name
    setattr(module, name, value)


# -- leaks ---------------------------------------------------------------------------------------


def spring(leak: Callable[[], None], every: int) -> None:
    """Have something leak at every so-manieth wish that is accepted."""
    count, admitted = itertools.count(1), Worker._admitted

    def leaking(self: Worker, what: Admitted) -> None:
        admitted(self, what)
        if next(count) % every == 0:
            leak()

    setattr(Worker, Worker._admitted.__name__, leaking)


def _descriptor() -> None:
    LEAKED.append(os.open(os.devnull, os.O_RDONLY))


def _task() -> None:
    LEAKED.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))


def _memory() -> None:
    LEAKED.append(os.urandom(LEAK_BYTES))


def _thread() -> None:
    waiting = threading.Thread(target=threading.Event().wait, daemon=True)
    waiting.start()
    LEAKED.append(waiting)


def _row() -> None:
    """From the next wish on each leaves a row of its own."""
    if LEAKED:
        return
    LEAKED.append(store := keelman.queue._store_wish)

    def leaving(connection: sqlite3.Connection, wish: Wish) -> None:
        store(connection, wish)
        connection.execute("INSERT INTO meta VALUES (?, 1)", (f"leak {wish.seq}",))

    keelman.queue._store_wish = leaving


LEAKS: dict[str, Callable[[], None]] = {
    "fd": _descriptor,
    "task": _task,
    "memory": _memory,
    "thread": _thread,
    "row": _row,
}

if __name__ == "__main__":
    main()
