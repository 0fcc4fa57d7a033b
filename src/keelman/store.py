"""The one SQLite file: a writer thread with group commit, and the mark of what was told.

Every write is a function of the connection, run in a savepoint of its own on the writer thread;
what waits is committed together, with one fsync (WAL, synchronous=FULL). `write` returns only when
that commit is on disk. Reads are quick look-ups on a second connection and see what is committed.
It knows nothing of tasks: the tables' meaning is `queue`'s and `db`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from keelman import files, ledger, mark, schema
from keelman.errors import CannotRecord, CannotStart

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], T]
Settle = Callable[[], object]
Committed = Callable[[float, "list[Job]"], None]  # seconds, and the batch

BATCH_MOST = 512
# What a write is to blame for itself; any other error of SQLite's is the disk's.
WRONG_IN_ITSELF = (
    *(sqlite3.InterfaceError, sqlite3.DataError, sqlite3.IntegrityError),
    *(sqlite3.ProgrammingError, sqlite3.NotSupportedError),
)
FILE_NAME = "keelman.db"
ADOPTED = -(2**62)  # added to a row's number: the place in lists of a task nobody asked for


class Job:
    """One write on its way: its function, and what it came to."""

    def __init__(self, write: Write[Any]) -> None:
        self.write = write
        self.result: Any = None
        self.error: BaseException | None = None


class Store:
    """The open database. `write` for changes, `read` for look-ups.

    `new_id` makes an id for a new log. `set_aside` is where a corrupted database was moved,
    `new_log` says why the log of one that was found has a new id (`mark`); empty: it has not.
    `committed` is told of each batch, on the writer's thread, and must not raise.
    Raises: CannotStart when another process holds the data directory, or it cannot be used.
    """

    def __init__(
        self, directory: Path, new_id: Callable[[], str], committed: Committed = lambda *_: None
    ) -> None:
        self.directory, self._committed = directory, committed
        self._lock = _hold(directory)
        self._jobs: queue.SimpleQueue[tuple[Job, Settle] | None] = queue.SimpleQueue()
        self._version, self._committing = 0, False
        try:
            self._open(directory / FILE_NAME, new_id)
        except (sqlite3.Error, OSError) as error:
            words = f"the database in {directory} cannot be used: {error}"
            raise CannotStart(words) from error
        self._thread = threading.Thread(target=self._run, name="keelman-store", daemon=True)
        self._thread.start()

    def _open(self, path: Path, new_id: Callable[[], str]) -> None:
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._lock)
            self.set_aside = files.set_aside_if_broken(path, new_id())
            self._writer = undo.enter_context(closing(files.connect(path)))
            marked = mark.Mark(self.directory / mark.FILE_NAME, mark.home_of(self._lock))
            self._mark = undo.enter_context(closing(marked))
            self.new_log = self._meet(path, new_id)
            ledger.begin(self._writer)
            self._reader = files.connect(path)
            self._inode = path.stat().st_ino
            undo.pop_all()

    def _meet(self, path: Path, new_id: Callable[[], str]) -> str:
        """Bring what was found up to date, and see whose log it is."""

        def keep(version: int) -> None:
            files.copy(self._writer, path.with_name(f"{path.name}.before-{version}"), new_id())

        found = schema.migrate(self._writer, keep)
        known = get_fact(self._writer, schema.LOG_ID)
        doubt = self._mark.doubt(known, self._last_seq())
        if doubt or known is None:
            set_fact(self._writer, schema.LOG_ID, known := new_id())
        self._mark.begin(known, self._last_seq())
        return doubt if found else ""

    def _last_seq(self) -> int:
        return int(get_fact(self._writer, schema.LAST_SEQ) or 0)

    async def write(self, write: Write[T], then: Callable[[T], None] | None = None) -> T:
        """Run `write` in a transaction and return its result once it is on disk.

        `then` is called with the result on the event loop as soon as it is durable, even when the
        caller went away meanwhile. What `write` raises is raised here, and nothing of it is kept.
        Raises: CannotRecord when the disk will not take it.
        """
        if not self._thread.is_alive():
            raise CannotRecord("the database is closed")
        loop = asyncio.get_running_loop()
        job, landed = Job(write), loop.create_future()

        def settle() -> None:
            if not landed.cancelled():
                landed.set_result(None)  # the caller goes on after this call, whatever it raises
            if job.error is None and then is not None:
                then(job.result)

        self._jobs.put((job, partial(loop.call_soon_threadsafe, settle)))
        await landed
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[no-any-return]  # T, by the Write that was given

    def read(self, sql: str, *values: object) -> list[Any]:
        """The rows of a query over what is committed. Raises: CannotRecord."""
        with _readable():
            return self._reader.execute(sql, values).fetchall()

    def fact(self, key: str) -> str | None:
        """One fact that is kept beside the tables. Raises: CannotRecord."""
        rows = self.read("SELECT value FROM meta WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    @property
    def version(self) -> int | None:
        """Another number than before, once anything was committed; None while something is.

        Nobody else commits: the directory is held.
        """
        return None if self._committing else self._version

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Every `read` inside sees the database as of one moment. Raises: CannotRecord."""
        with _readable():
            self._reader.execute("BEGIN")
        try:
            yield
        finally:
            self._reader.execute("COMMIT")

    def close(self) -> None:
        """Commit what waits and let go of the file and the lock."""
        self._jobs.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()
        self._mark.close()
        os.close(self._lock)

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, began = [first, *self._waiting()], perf_counter()
            jobs = [job for job, _ in batch]
            self._commit(jobs)
            with contextlib.suppress(OSError, sqlite3.Error):  # it is behind: that is no lie
                self._mark.reach(self._last_seq())
            self._committed(perf_counter() - began, jobs)
            for _, settle in batch:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    settle()

    def _commit(self, jobs: list[Job]) -> None:
        self._committing = True
        try:
            self._check_still_there()
            _commit(self._writer, jobs)
        except Exception as error:  # noqa: BLE001  # nobody may wait for ever, whatever it is
            _lost(jobs, error)
        self._version += 1
        self._committing = False

    def _check_still_there(self) -> None:
        """What is written to a file that was deleted is on no disk."""
        if (self.directory / FILE_NAME).stat().st_ino != self._inode:
            raise CannotRecord("the database's file was replaced under the worker")

    def _waiting(self) -> Iterator[tuple[Job, Settle]]:
        for _ in range(BATCH_MOST - 1):
            try:
                more = self._jobs.get_nowait()
            except queue.Empty:
                return
            if more is None:
                self._jobs.put(None)
                return
            yield more


def _hold(directory: Path) -> int:
    try:
        return files.hold(directory)
    except BlockingIOError as error:
        raise CannotStart(f"another worker uses the data directory {directory}") from error
    except OSError as error:
        raise CannotStart(f"the data directory {directory} cannot be used: {error}") from error


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CannotRecord(f"the database cannot be read: {error}") from error


def get_fact(connection: sqlite3.Connection, key: str) -> str | None:
    """One fact, inside a write."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else None


def set_fact(connection: sqlite3.Connection, key: str, value: str | float) -> None:
    """Keep one fact, inside a write."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _commit(connection: sqlite3.Connection, jobs: list[Job]) -> None:
    """One transaction for all; each in a savepoint, so that one that raises undoes only itself."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            _perform(connection, job)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        _lost(jobs, error)


def _lost(jobs: list[Job], error: Exception) -> None:
    for job in jobs:
        job.error = CannotRecord(f"the database cannot be written: {error}")
        job.error.__cause__ = error


def _perform(connection: sqlite3.Connection, job: Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.write(connection)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and not isinstance(error, WRONG_IN_ITSELF):
            raise
        job.error = error  # handed to whoever asked for the write
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
