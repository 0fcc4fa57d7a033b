"""A database copied out of its data directory, and put back.

`back_up` reads beside a worker that writes, and changes nothing. `restore` needs the worker's lock,
so that nothing is ever changed under one. Whatever fails leaves everything as it was.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from keelman import files, mark, schema
from keelman.errors import CannotCopy
from keelman.store import FILE_NAME
from keelman.task import Transition

_OWN = {FILE_NAME, *(FILE_NAME + suffix for suffix in files.SIDE_FILES)}
OWN_FILES = _OWN | {files.LOCK_NAME, mark.FILE_NAME}  # of a data directory, which no copy replaces
_LISTED = "SELECT count(*) FROM (SELECT task_id FROM tasks UNION SELECT task_id FROM queue)"
_LAST = "SELECT move FROM transitions ORDER BY seq DESC LIMIT 1"


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a copy: how many tasks, up to which Transition (None: there was none yet).

    `worker` is the name of the one whose it is, `kept_as` where the database is that was there.
    """

    path: Path
    size_bytes: int
    worker: str
    tasks: int
    last: Transition | None
    kept_as: Path | None = None


def back_up(directory: Path, target: Path, tag: str, *, replace: bool) -> Copied:
    """Copy the database of a data directory to `target`, whether or not a worker uses it.

    A `target` that is there is refused, or replaced. `tag` names what is made on the way.
    Raises: CannotCopy.
    """
    source = directory / FILE_NAME
    with _told(f"no backup of {source} was made"):
        if not source.is_file():
            raise CannotCopy(f"there is no database in {directory}")
        _check_target(directory, target, replace=replace)
        with _usable(source) as database:
            files.copy(database, target, tag)
        return _copied(target)


def restore(source: Path, directory: Path, tag: str) -> Copied:
    """Put a copy in place of the database of a data directory, which is kept beside it.

    Raises: CannotCopy, when a worker uses the directory or the copy is none.
    """
    path = directory / FILE_NAME
    staged = path.with_name(f"{FILE_NAME}.restored-{tag[:8]}")
    with _told(f"{source} was not restored"):
        _check_source(source, path)
        with _usable(source) as database, _held(directory):
            try:
                files.copy(database, staged, tag)
                copied = _copied(staged)
                kept_as = _put_in_place(staged, path, f"replaced-{tag[:8]}")
            finally:
                staged.unlink(missing_ok=True)
        return msgspec.structs.replace(copied, path=path, kept_as=kept_as)


@contextmanager
def _told(outcome: str) -> Iterator[None]:
    """Foreign errors as ours. Raises: CannotCopy."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise CannotCopy(f"{outcome}: {error}") from error


def _check_target(directory: Path, target: Path, *, replace: bool) -> None:
    if not target.parent.is_dir():
        raise CannotCopy(f"there is no directory {target.parent}")
    if target.name in OWN_FILES and target.parent.samefile(directory):
        raise CannotCopy(f"{target} is the worker's own")
    if target.is_dir():
        raise CannotCopy(f"{target} is a directory")
    if target.exists() and not replace:
        raise CannotCopy(f"{target} is there already")


def _check_source(source: Path, path: Path) -> None:
    if not source.is_file():
        raise CannotCopy(f"there is no file {source}")
    if path.exists() and source.samefile(path):
        raise CannotCopy(f"{source} is the database that is to be replaced")


@contextmanager
def _usable(path: Path) -> Iterator[sqlite3.Connection]:
    """A database of this version or an older one. Raises: CannotCopy, sqlite3.Error."""
    with files.reading(path) as database:
        if words := schema.objection(database):
            raise CannotCopy(f"{path}: {words}")
        yield database


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """No worker can use the data directory meanwhile. Raises: CannotCopy, OSError."""
    try:
        lock = files.hold(directory)
    except BlockingIOError as error:
        raise CannotCopy(f"a worker uses {directory}: stop it first") from error
    try:
        yield
    finally:
        os.close(lock)


def _copied(path: Path) -> Copied:
    with files.reading(path) as database:
        ((tasks,),) = database.execute(_LISTED)
        owner = database.execute("SELECT value FROM meta WHERE key = 'owner'").fetchone()
        last = database.execute(_LAST).fetchone()
    return Copied(
        path=path,
        size_bytes=path.stat().st_size,
        worker=str(owner[0]) if owner else "",
        tasks=tasks,
        last=msgspec.json.decode(last[0], type=Transition) if last else None,
    )


def _put_in_place(staged: Path, path: Path, name: str) -> Path | None:
    for made in (staged, path.with_name(files.LOCK_NAME)):
        _give_to_owner_of(path.parent, made)
    if path.exists():
        files.fold_in(path)
    kept_as = files.set_aside(path, name)
    staged.replace(path)
    files.sync(path.parent)
    return kept_as


def _give_to_owner_of(directory: Path, path: Path) -> None:
    """Root restores for the user who runs the worker."""
    owner = directory.stat()
    if path.stat().st_uid != owner.st_uid:
        with suppress(PermissionError):  # not root
            os.chown(path, owner.st_uid, owner.st_gid)
