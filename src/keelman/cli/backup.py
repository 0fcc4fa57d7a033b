"""`keelman backup`, `keelman restore`: a worker's database copied, and put back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from cyclopts import Parameter

from keelman import backup as copies
from keelman.cli.asking import flag
from keelman.cli.places import usual_data_dir
from keelman.words import size

DataDir = Annotated[
    Path | None,
    Parameter(
        name="--data-dir",
        help="The worker's. Usually /var/lib/keelman, or ~/.local/share/keelman if not root.",
    ),
]


def backup(
    file: Annotated[Path, Parameter(name="FILE", help="The copy to make.")],
    /,
    *,
    force: Annotated[bool, flag("Replace FILE if it is there.", "--force")] = False,
    data_dir: DataDir = None,
) -> None:
    """Copy a worker's database to FILE, as of one moment, while it runs or not."""
    made = copies.back_up(_directory(data_dir), _path(file), str(uuid4()), replace=force)
    _tell(f"{made.path}: {words(made)}")


def restore(
    file: Annotated[Path, Parameter(name="FILE", help="A copy of a database.")],
    /,
    *,
    data_dir: DataDir = None,
) -> None:
    """Put FILE in place of the database of a worker that was stopped; that is kept beside it."""
    put_back = copies.restore(_path(file), _directory(data_dir), str(uuid4()))
    _tell(f"{put_back.path}: {words(put_back)}")
    if put_back.kept_as is not None:
        _tell(f"{put_back.kept_as}: what was there before")


def words(copied: copies.Copied) -> str:
    """What is in a copy, in one line."""
    tasks = f"{copied.tasks} {'task' if copied.tasks == 1 else 'tasks'}"
    last, whose = "no Transition yet", ""
    if copied.last is not None:
        time = datetime.fromtimestamp(copied.last.time, UTC)
        last = f"up to Transition {copied.last.seq} of {time:%Y-%m-%dT%H:%M:%SZ}"
    if copied.worker:
        whose = f" of worker {copied.worker}"
    return f"{tasks}{whose}, {last}, {size(copied.size_bytes)}"


def _directory(given: Path | None) -> Path:
    return _path(given or usual_data_dir())


def _path(path: Path) -> Path:
    return path.expanduser().absolute()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
