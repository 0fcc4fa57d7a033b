"""The one SQLite file: a writer thread with group commit, migrations, locks.

Every write is a function of the connection, run in a savepoint of its own on the writer thread;
what waits is committed together, with one fsync (WAL, synchronous=FULL). `write` returns only when
that commit is on disk. Reads are quick look-ups on a second connection and see what is committed.
It knows nothing of tasks: the tables' meaning is `queue`'s and `db`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

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

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE queue (
        task_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, wish BLOB NOT NULL
    );
    CREATE TABLE task_events (
        event_id TEXT PRIMARY KEY, task_id TEXT NOT NULL, at REAL NOT NULL, digest TEXT NOT NULL,
        answer BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX task_events_task ON task_events (task_id, at);
    CREATE TABLE tombstones (task_id TEXT PRIMARY KEY, ended REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE tasks (
        task_id TEXT PRIMARY KEY, state INTEGER NOT NULL, wish INTEGER NOT NULL, finished REAL,
        task BLOB NOT NULL, report BLOB NOT NULL
    );
    CREATE INDEX tasks_state ON tasks (state, finished);
    CREATE TABLE transitions (
        seq INTEGER PRIMARY KEY, task_id TEXT NOT NULL, move BLOB NOT NULL
    );
    CREATE INDEX transitions_task ON transitions (task_id, seq);
    """,
)


class Job:
    """One write on its way: its function, and what it came to."""

    def __init__(self, write: Write[Any]) -> None:
        self.write = write
        self.result: Any = None
        self.error: BaseException | None = None


class Store:
    """The open database. `write` for changes, `read` for look-ups.

    `new_id` makes an id for a new log. `set_aside` is where a corrupted database was moved.
    `committed` is told of each batch, on the writer's thread, and must not raise.
    Raises: CannotStart when another process holds the data directory, or it cannot be used.
    """

    def __init__(
        self, directory: Path, new_id: Callable[[], str], committed: Committed = lambda *_: None
    ) -> None:
        self.directory, self._committed = directory, committed
        self._lock = _open_directory(directory)
        self._jobs: queue.SimpleQueue[tuple[Job, Settle] | None] = queue.SimpleQueue()
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
            self.set_aside = _set_aside_if_broken(path, new_id())
            self._writer = undo.enter_context(contextlib.closing(_connect(path)))
            _migrate(self._writer, new_id())
            self._reader = _connect(path)
            self._inode = path.stat().st_ino
            undo.pop_all()

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
        os.close(self._lock)

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, began = [first, *self._waiting()], perf_counter()
            jobs = [job for job, _ in batch]
            try:
                self._check_still_there()
                _commit(self._writer, jobs)
            except Exception as error:  # noqa: BLE001  # nobody may wait for ever, whatever it is
                _lost(jobs, error)
            self._committed(perf_counter() - began, jobs)
            for _, settle in batch:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    settle()

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


def _set_aside_if_broken(path: Path, mark: str) -> Path | None:
    """A corrupted database is kept under another name, never overwritten; None when it is sound."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # not to be opened: that says nothing of what it holds
        raise
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict == "ok":
        return None
    aside = path.with_name(f"{path.name}.broken-{mark[:8]}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _connect(path: Path) -> sqlite3.Connection:
    """SQLite's other files take over the mode of this one, which holds the tasks' secrets."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def _migrate(connection: sqlite3.Connection, log_id: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise CannotStart(
            f"the database is of version {version}; this Keelman knows {len(MIGRATIONS)}"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('log_id', ?)", (log_id,))


def _open_directory(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return lock_file(directory / "lock")
    except BlockingIOError as error:
        raise CannotStart(f"another worker uses the data directory {directory}") from error
    except OSError as error:
        raise CannotStart(f"the data directory {directory} cannot be used: {error}") from error


def lock_file(path: Path) -> int:
    """A descriptor that holds a lock on `path` until it is closed. Raises: BlockingIOError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
