"""The worker's disk: what is left of it when its process dies, and what may happen to it.

`SimStore` is the real Store but for its thread: a batch is committed in a callback of its process,
so that the process may die before the commit, or after it and before anybody is told.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from keelman.store import FILE_NAME, Job, Settle, Store
from tests.simulation.loop import the_loop

COMMIT_SECONDS = 0.002


class _Submitted:
    """Stands in for the queue to the writer's thread, and for the thread."""

    def __init__(self, commit: Callable[[list[tuple[Job, Settle]]], None]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Job, Settle]] = []
        self.open = True

    def put(self, one: tuple[Job, Settle]) -> None:
        self._waiting.append(one)
        if len(self._waiting) == 1:
            the_loop().call_later(COMMIT_SECONDS, self._run)

    def is_alive(self) -> bool:
        return self.open

    def _run(self) -> None:
        batch, self._waiting = self._waiting, []
        self._commit(batch)


class SimStore(Store):
    """The store of one process. `disk` may be full."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.directory, disk.new_id)
        self._disk = disk
        self._jobs.put(None)
        self._thread.join()
        self._writer.execute("PRAGMA synchronous = OFF")  # a process dies here, never the machine
        submitted = _Submitted(self._write)
        self._jobs = self._thread = submitted  # type: ignore[assignment]

    def _write(self, batch: list[tuple[Job, Settle]]) -> None:
        self._commit([job for job, _ in batch])
        for _, settle in batch:
            settle()

    def _check_still_there(self) -> None:
        super()._check_still_there()
        self._disk.check()

    def drop(self) -> None:
        """Its process is dead: the kernel closes what it held."""
        self._reader.close()
        self._writer.close()
        self._mark.close()
        os.close(self._lock)


class Disk:
    """One data directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.is_full = False
        self.copies: list[bytes] = []
        self._numbers = count(1)

    def new_id(self) -> str:
        return f"{next(self._numbers):08x}-id"

    def check(self) -> None:
        if self.is_full:
            raise sqlite3.OperationalError("database or disk is full")

    def copy(self) -> None:
        """Keep a copy of the database as it is on disk now."""
        with self._beside() as beside:
            self.copies.append(beside.serialize())
        beside.close()

    def lose(self) -> None:
        """No process has it open: its files are deleted."""
        for path in self.directory.glob(f"{FILE_NAME}*"):
            path.unlink()

    def put_back(self) -> bool:
        """No process has it open: the oldest copy takes its place. Whether there was one."""
        if not self.copies:
            return False
        self.lose()
        (self.directory / FILE_NAME).write_bytes(self.copies.pop(0))
        with self._beside() as beside:
            beside.execute("UPDATE meta SET value = ? WHERE key = 'log_id'", (self.new_id(),))
        beside.close()
        return True

    def read(self, sql: str, *values: Any) -> list[Any]:
        """What is on disk, whoever runs."""
        beside = self._beside()
        try:
            return beside.execute(sql, values).fetchall()
        finally:
            beside.close()

    def _beside(self) -> sqlite3.Connection:
        return sqlite3.connect(self.directory / FILE_NAME)
