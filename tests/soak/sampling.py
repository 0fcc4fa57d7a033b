"""What the worker holds at one moment, asked of the kernel, the engine, its database and itself."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil

from keelman.store import FILE_NAME
from tests.soak.machine import SoakMachine
from tests.soak.samples import (
    CONTAINERS,
    DESCRIPTORS,
    IN_USE,
    JOURNALS,
    MEMORY,
    ON_DISK,
    ROWS_OF,
    TASKS,
    THREADS,
    WAL,
)

MIB = 1024 * 1024
ASYNCIO_TASKS = re.compile(r"^keelman_asyncio_tasks (\S+)$", re.MULTILINE)


async def take(machine: SoakMachine, process: psutil.Process) -> dict[str, float]:
    """Every figure as it is now."""
    async with machine.session.get("/metrics") as response:
        found = ASYNCIO_TASKS.search(await response.text())
    assert found, "the worker does not tell of its event loop's tasks"
    return {
        DESCRIPTORS: process.num_fds(),
        THREADS: process.num_threads(),
        TASKS: float(found[1]),
        MEMORY: process.memory_info().rss / MIB,
        CONTAINERS: len(await machine.containers()),
        **rows(machine.data_dir / FILE_NAME),
        **bytes_in(machine.data_dir),
    }


def bytes_in(folder: Path) -> dict[str, float]:
    """SQLite's log is filled to some 4 MiB, and from then on written anew from its beginning."""
    log = folder / f"{FILE_NAME}-wal"
    journals = set(folder.glob("*.jsonl*"))
    others = {path for path in folder.rglob("*") if path != log} - journals
    return {
        WAL: size_of(log) / MIB,
        JOURNALS: sum(map(size_of, journals)) / MIB,
        ON_DISK: sum(map(size_of, others)) / MIB,
    }


def rows(database: Path) -> dict[str, float]:
    """Rows of each table, whatever tables there are, and the bytes of pages that hold something."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:

        def one(sql: str) -> int:
            return int(connection.execute(sql).fetchone()[0])

        listed = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        tables = [name for (name,) in listed.fetchall() if not name.startswith("sqlite_")]
        counts: dict[str, float] = {
            f"{ROWS_OF}{name}": one(f'SELECT count(*) FROM "{name}"') for name in sorted(tables)
        }
        pages = one("PRAGMA page_count") - one("PRAGMA freelist_count")
        return {**counts, IN_USE: pages * one("PRAGMA page_size") / MIB}


def size_of(path: Path) -> int:
    """Nothing for what is gone by now."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
