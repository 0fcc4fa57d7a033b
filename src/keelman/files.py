"""The files of a database: opened, locked, copied, checked, set aside. It knows no table but one.

A database is one file and, while it is open or after a crash, a `-wal` that belongs to it alone:
beside another database it would be taken for that one's and mixed into it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from keelman.schema import LOG_ID

LOCK_NAME = "lock"
SIDE_FILES = ("-wal", "-shm")
PATIENCE = "PRAGMA busy_timeout = 5000"


def hold(directory: Path) -> int:
    """The lock of a data directory, which is made if there is none.

    It is its owner's alone, unless it holds something already: then it may be more than ours.
    Raises: BlockingIOError when another process holds it, OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not any(directory.iterdir()):
        directory.chmod(0o700)
    return lock_file(directory / LOCK_NAME)


def lock_file(path: Path) -> int:
    """A descriptor that holds a lock on `path` until it is closed.

    It may be where everybody writes: a link there may be anybody's, and is not followed.
    Raises: BlockingIOError when another process holds it, OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def connect(path: Path) -> sqlite3.Connection:
    """SQLite's other files take over the mode of this one, which holds the tasks' secrets."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(PATIENCE)
    return connection


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, whoever writes meanwhile. Raises: sqlite3.Error."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        connection.execute(PATIENCE)
        yield connection


def fault(connection: sqlite3.Connection) -> str:
    """What is broken in a database, in words; empty when it is sound.

    Raises: sqlite3.OperationalError when it cannot be opened, which says nothing of what it holds.
    """
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    return "" if verdict == "ok" else str(verdict)


def copy(source: sqlite3.Connection, target: Path, mark: str) -> None:
    """Make or replace `target` with what `source` holds at one moment, whole or not at all.

    It is for its owner alone, and on disk. It has no log id: what is told from a copy is another
    log. `mark` tells its temporary name apart. Raises: sqlite3.Error, OSError.
    """
    part = target.with_name(f".{target.name}.{mark[:8]}")
    _check_room(source, target)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(part, isolation_level=None)) as made:
            _fill(made, source)
        sync(part)
        part.replace(target)
        sync(target.parent)
    finally:
        for suffix in ("", "-journal", *SIDE_FILES):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def _check_room(source: sqlite3.Connection, target: Path) -> None:
    """What SQLite says of a full disk depends on where it noticed."""
    (pages,) = source.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = source.execute("PRAGMA page_size").fetchone()
    if shutil.disk_usage(target.parent).free < pages * page_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))


def _fill(made: sqlite3.Connection, source: sqlite3.Connection) -> None:
    """Page by page: VACUUM INTO may number rows anew, and their numbers are places in lists.

    In one go, which a writer neither waits for nor can make begin again. One file is all of it.
    """
    source.backup(made)
    made.execute("PRAGMA journal_mode = DELETE")
    made.execute("DELETE FROM meta WHERE key = ?", (LOG_ID,))
    if words := fault(made):
        raise sqlite3.DatabaseError(words)


def sync(path: Path) -> None:
    """Have a file, or a directory's names, on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, name: str) -> Path | None:
    """Keep a database under another name, never overwritten; None when there is none.

    What belongs to it goes first, so that nothing of it is ever beside another one.
    """
    aside = path.with_name(f"{path.name}.{name}")
    there = path.exists()
    for suffix in (*SIDE_FILES, ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside if there else None


def set_aside_if_broken(path: Path, mark: str) -> Path | None:
    """Where a corrupted database is kept; None when it is sound, or there is none."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as connection:
        broken = fault(connection)
    return set_aside(path, f"broken-{mark[:8]}") if broken else None


def fold_in(path: Path) -> None:
    """Bring what is only in a `-wal` yet into the database, where that can be done."""
    with suppress(sqlite3.Error), closing(connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
