"""The flight recorder: every decision of the rules, written down as it is made.

A line is one write, in the kernel's hands before anything is done for it, so that `kill -9` loses
none. What cannot be written is lost, and nothing else is.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from keelman import flight
from keelman.errors import EngineError
from keelman.flight import After, Asked, Began, Call, Did, Failed, Stepped
from keelman.moves import Step
from keelman.seen import Action, Seen
from keelman.task import Task, Wish

log = structlog.get_logger(__name__)

FILE_NAME = "flight.jsonl"
OLD_NAME = "flight.jsonl.1"
FILE_MOST_BYTES = 16 * 1024 * 1024  # each of the two
LINE_MOST_BYTES = FILE_MOST_BYTES // 2

Recorder = Callable[[Call], None]


class Rules:
    """`reconcile`, and a recorder that is told of each question with its answer; it may not raise.

    A question that the rules fail on, which is a bug, is told of before the error goes on its way.
    """

    def __init__(self, recorder: Recorder | None = None) -> None:
        self._recorder = recorder or (lambda _: None)

    def step(self, wish: Wish | None, task: Task, seen: Seen, now: float) -> Step:
        return self._answer(Stepped(wish=wish, task=task, seen=seen, at=now))

    def done(self, task: Task, action: Action, now: float) -> Task:
        return self._answer(Did(task=task, action=action, at=now))

    def failed(
        self, wish: Wish | None, task: Task, action: Action, error: EngineError, now: float
    ) -> Step:
        trouble = flight.trouble(error)
        return self._answer(Failed(wish=wish, task=task, action=action, error=trouble, at=now))

    def _answer(self, call: Asked[After]) -> After:
        try:
            after = call.ask()
        except Exception as error:  # a bug: told of, and on its way
            self._recorder(msgspec.structs.replace(call, raised=type(error).__name__))
            raise
        self._recorder(msgspec.structs.replace(call, after=after))
        return after


class FlightFile:
    """The recorder's file in a data directory, and the one before it.

    `begins` makes the line that every file, and every run of a worker, begins with. Nobody else
    writes there: the data directory is locked.
    """

    def __init__(self, directory: Path, begins: Callable[[], Began]) -> None:
        self._path = directory / FILE_NAME
        self._old = directory / OLD_NAME
        self._begins = begins
        self._file: int | None = None
        self._lost = 0

    def __call__(self, call: Call) -> None:
        """Write a call down; that it cannot be written is said once."""
        try:
            self._append(flight.encode(call))
        except Exception as error:  # noqa: BLE001  # a record is worth less than any step
            if not self._lost:
                log.warning("flight not recorded", error=str(error))
            self._lost += 1
            return
        if self._lost:
            log.info("flight recorded again", lost=self._lost)
        self._lost = 0

    def close(self) -> None:
        """Let go of the file; another call opens it again."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def _append(self, line: bytes) -> None:
        """Raises: OSError, ValueError for a line that is too long for any file."""
        if len(line) > LINE_MOST_BYTES:
            raise ValueError(f"a line of {len(line)} bytes")
        if self._file is not None and not _takes(self._file, len(line)):
            self.close()
        if self._file is None:
            self._file = self._opened(len(line))
        _write(self._file, line)

    def _opened(self, more: int) -> int:
        """The file, with its beginning written and room for so many bytes."""
        began = flight.encode(self._begins())
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_size + len(began) + more >= FILE_MOST_BYTES:
                self._path.replace(self._old)
        with contextlib.ExitStack() as undo:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, file)
            _write(file, b"\n" + began if _is_torn(file) else began)
            undo.pop_all()
        return file


def _takes(file: int, more: int) -> bool:
    """Whether there is room in it, and nobody removed it."""
    found = os.fstat(file)
    return found.st_nlink > 0 and found.st_size + more <= FILE_MOST_BYTES


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
