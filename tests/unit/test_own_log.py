"""The worker's own log costs lines and never the worker."""

from __future__ import annotations

import io
import logging
import threading

import pytest
from aiohttp.http_exceptions import BadHttpMessage
from structlog.testing import capture_logs

from keelman import own_log
from keelman.own_log import Lines


class FullDisk(io.StringIO):
    """Takes nothing while it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.full = True
        self.tried = threading.Event()

    def write(self, text: str) -> int:
        if self.full:
            self.tried.set()
            raise OSError(28, "No space left on device")
        return super().write(text)


class Stuck(io.StringIO):
    """A pipe whose reader does not read, until it does."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()

    def write(self, text: str) -> int:
        self.reading.wait()
        return super().write(text)


def test_what_is_logged_is_written() -> None:
    file = io.StringIO()
    lines = Lines(file)
    lines.write("one\n")
    lines.write("two\n")
    lines.close()
    assert file.getvalue() == "one\ntwo\n"


def test_a_full_disk_costs_lines_only() -> None:
    file = FullDisk()
    lines = Lines(file)
    lines.write("lost\n")
    file.tried.wait()
    file.full = False
    lines.write("kept\n")
    lines.close()
    assert file.getvalue() == "kept\n"


def test_a_reader_that_does_not_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_log, "LINES_MOST", 2)
    file = Stuck()
    lines = Lines(file)
    for number in range(100):
        lines.write(f"{number}\n")
    file.reading.set()
    lines.close()
    assert 1 <= len(file.getvalue().splitlines()) <= 3


def test_what_is_no_http_is_not_quoted() -> None:
    """A broken header may be a token, and what follows a wrong length a task with its Env."""
    told = []
    for error in (BadHttpMessage("Authorization: Bearer s3cret"), OSError(5, "broken")):
        record = logging.LogRecord("aiohttp", 40, "", 0, "oops\nmore", None, None)
        record.exc_info = (type(error), error, None)
        with capture_logs() as logged:
            own_log.Bridge().emit(record)
        told.append((logged[0]["words"], logged[0]["error"]))
    assert told == [("oops", "BadHttpMessage"), ("oops", "OSError(5, 'broken')")]
