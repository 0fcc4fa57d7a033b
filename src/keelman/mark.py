"""A mark beside the database: which log was told, how far, and where. It tells a put-back one.

Whoever listens to the log trusts its id: that what is numbered n today was numbered n yesterday.
An older database in the place of the one that was told of numbers things a second time. So what was
told is also written outside of it, and what does not agree with that gets a new id.

The mark is never synced. After a power cut it may be behind, which is no contradiction, or gone,
which costs listeners a new list.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "keelman.mark"
LINE_MOST = 500


def home_of(descriptor: int) -> str:
    """What an open file has and no copy of it: when it was last changed from outside, and where.

    For a file that nobody writes: the lock of a data directory. With it the directory is known.
    """
    stat = os.fstat(descriptor)
    return f"{stat.st_ino:x}.{stat.st_ctime_ns:x}"


class Mark:
    """The mark of one data directory, held open. `home` is where that is."""

    def __init__(self, path: Path, home: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._home = home
        self._log_id = ""
        self._seq = -1

    def doubt(self, log_id: str | None, seq: int) -> str:
        """Why a log that ends with `seq` may not be the one that was told, in words; empty: it is.

        Not to know is a reason.
        """
        if log_id is None:
            return "a backup was restored"
        line, _, _ = os.pread(self._file, LINE_MOST, 0).decode(errors="replace").partition("\n")
        match line.split():
            case [_, _, home] if home != self._home:
                return "the data directory is a copy"
            case [told, _, _] if told != log_id:
                return "another database was put in its place"
            case [_, last, _] if last.isdecimal():
                return "an older database was put in its place" if int(last) > seq else ""
            case _:
                return f"nothing is known of what was told: {FILE_NAME} is missing or broken"

    def begin(self, log_id: str, seq: int) -> None:
        """From now on it is this log that is told. Raises: OSError."""
        self._log_id, self._seq = log_id, -1
        self.reach(seq)

    def reach(self, seq: int) -> None:
        """The log is told up to `seq`. Raises: OSError."""
        if seq != self._seq:
            os.pwrite(self._file, f"{self._log_id} {seq:019} {self._home}\n".encode(), 0)
            self._seq = seq

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
