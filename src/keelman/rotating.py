"""Lines in files that are bounded: the newest, and those that were full before it.

A line is one write, in the kernel's hands when `append` returns, so that `kill -9` loses none.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path


def nothing() -> bytes:
    """No beginning."""
    return b""


class RotatingFile:
    """A file of lines, `most_bytes` at most; a full one becomes `….1`, that `….2`, up to `files`.

    `begins` makes what every file, and every run of a worker, begins with. Nobody else writes
    there: the data directory is locked.
    """

    def __init__(
        self, path: Path, *, most_bytes: int, files: int, begins: Callable[[], bytes] = nothing
    ) -> None:
        self.most_bytes = most_bytes
        self.line_most_bytes = most_bytes // 2
        self._path = path
        self._files = files
        self._begins = begins
        self._file: int | None = None

    def append(self, line: bytes) -> None:
        """Write a line, all of it or nothing.

        Raises: OSError, ValueError for a line that is too long for any file.
        """
        if len(line) > self.line_most_bytes:
            raise ValueError(f"a line of {len(line)} bytes")
        if self._file is not None and not self._takes(self._file, len(line)):
            self.close()
        if self._file is None:
            self._file = self._opened(len(line))
        _write(self._file, line)

    def close(self) -> None:
        """Let go of the file; another line opens it again."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def _takes(self, file: int, more: int) -> bool:
        """Whether there is room in it, and nobody removed it."""
        found = os.fstat(file)
        return found.st_nlink > 0 and found.st_size + more <= self.most_bytes

    def _opened(self, more: int) -> int:
        """The file, with its beginning written and room for so many bytes."""
        began = self._begins()
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_size + len(began) + more >= self.most_bytes:
                self._turn()
        with contextlib.ExitStack() as undo:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, file)
            began = b"\n" + began if _is_torn(file) else began
            if began:
                _write(file, began)
            undo.pop_all()
        return file

    def _turn(self) -> None:
        """Each file takes the place of the one before it; the oldest is gone."""
        names = [self._path, *map(self._old, range(1, self._files))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)

    def _old(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _is_torn(file: int) -> bool:
    """Whether the last line has no end: the machine went down."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _write(file: int, text: bytes) -> None:
    """All of it or nothing. Raises: OSError."""
    size = os.fstat(file).st_size
    if os.write(file, text) < len(text):
        os.ftruncate(file, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
