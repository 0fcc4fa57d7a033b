"""The worker's own log: structured, one line each, on standard error.

Lines are written by a thread of their own: a reader that stops reading, or a full disk behind the
log, costs lines and never the worker.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import queue
import sys
import threading
from typing import Literal, TextIO

import structlog
from aiohttp.http_exceptions import HttpProcessingError

LINES_MOST = 10_000
LAST_LINES_SECONDS = 2.0


class Lines:
    """A file-like end for log lines, which never raises and never blocks."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._waiting: queue.Queue[str | None] = queue.Queue(LINES_MOST)
        self._thread = threading.Thread(target=self._run, name="keelman-log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Take a piece of text; it is dropped when too much waits already."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(text)

    def flush(self) -> None:
        """Nothing is waited for."""

    def close(self) -> None:
        """Write what waits, for a while."""
        self.write("")
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(LAST_LINES_SECONDS)

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # a full disk, a closed pipe
                self._file.write(text)
                self._file.flush()


class Bridge(logging.Handler):
    """What libraries log, as one line of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        error = _told(record.exc_info[1]) if record.exc_info else None
        words = record.getMessage().splitlines()[0][:200]
        structlog.get_logger(record.name).warning("library", words=words, error=error)


def _told(error: BaseException | None) -> str:
    """An error, without the words of one about what is no HTTP: those quote what was sent."""
    return type(error).__name__ if isinstance(error, HttpProcessingError) else repr(error)


def configure(form: Literal["auto", "console", "json"]) -> None:
    """Log as JSON lines, or for people; `auto` is for people on a terminal."""
    lines = Lines(sys.stderr)
    atexit.register(lines.close)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=lines),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[Bridge()], force=True)


def _renderers(form: Literal["auto", "console", "json"]) -> list[structlog.typing.Processor]:
    if form == "json" or (form == "auto" and not sys.stderr.isatty()):
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The usual one shows local values, which may be secrets of a task.
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]
