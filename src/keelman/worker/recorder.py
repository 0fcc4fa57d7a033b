"""The flight recorder: every decision of the rules, written down as it is made.

A line is in the kernel's hands before anything is done for it. What cannot be written is lost, and
nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from keelman import flight
from keelman.errors import EngineError
from keelman.flight import After, Asked, Began, Call, Did, Failed, Stepped
from keelman.moves import Step
from keelman.rotating import RotatingFile
from keelman.seen import Action, Seen
from keelman.task import Task, Wish

log = structlog.get_logger(__name__)

FILE_NAME = "flight.jsonl"
FILE_MOST_BYTES = 16 * 1024 * 1024
FILES = 2

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

    `begins` makes the line that every file, and every run of a worker, begins with.
    """

    def __init__(self, directory: Path, begins: Callable[[], Began]) -> None:
        self._lines = RotatingFile(
            directory / FILE_NAME,
            most_bytes=FILE_MOST_BYTES,
            files=FILES,
            begins=lambda: flight.encode(begins()),
        )
        self._lost = 0

    def __call__(self, call: Call) -> None:
        """Write a call down; that it cannot be written is said once."""
        try:
            self._lines.append(flight.encode(call))
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
        self._lines.close()
