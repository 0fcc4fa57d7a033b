"""`keelman replay`: the rules are asked again what a worker asked them. Asks no worker."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from keelman.cli import show, story
from keelman.cli.failures import FAILED, NoSuchTask, Usage, complain
from keelman.flight import Began, Call, NotAFlight, Torn, read, replayed

STDIN = Path("-")

_Files = Annotated[
    Path,
    Parameter(
        name="FILE",
        help="A worker's flight.jsonl; - is standard input.",
        allow_leading_hyphen=True,
    ),
]
_Task = Annotated[
    str,
    Parameter(
        help="Tell the story of this one only: its ID, the start of one, or its Name.",
        show_default=False,
    ),
]


def replay(*files: _Files, task: _Task = "") -> int:
    """Ask the rules again what a worker asked them, and show where they answer differently."""
    if not files:
        raise Usage("name the files to replay: keelman replay FILE...")
    if wrong := [str(file) for file in files if str(file).startswith("-") and file != STDIN]:
        raise Usage(f"Unknown option: {wrong[0]}")
    replays = [Replay(str(file), task) for file in files]
    for one, file in zip(replays, files, strict=True):
        with _opened(file) as lines:
            one.run(lines)
    if task and not any(one.count for one in replays):
        raise NoSuchTask(f"no line is of a task {task}")
    return FAILED if any(one.differ for one in replays) else 0


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    try:
        lines = file.open("rb")
    except OSError as error:
        raise Usage(f"{file}: {error.strerror}") from error
    with lines:
        yield lines


class Replay:
    """One file, of which task it is to tell, how many lines were replayed and how many differ."""

    def __init__(self, name: str, task: str = "") -> None:
        self._name, self._task = name, task
        self._writers: dict[str, None] = {}
        self._shown = ""  # the task that was shown last
        self.count = self.differ = 0

    def run(self, lines: BinaryIO) -> None:
        """Raises: Usage when this is no flight record."""
        try:
            for number, line in read(lines):
                self._take(number, line)
        except NotAFlight as error:
            raise Usage(f"{self._name}: {error.message}") from error
        self._sum_up()

    def _take(self, number: int, line: Began | Call | Torn) -> None:
        if isinstance(line, Torn):
            complain(f"{self._name}: line {number} is torn, and passed over", 0)
        elif isinstance(line, Began):
            self._writers[f"{line.worker}, Keelman {line.version}"] = None
        elif self._is_asked_for(line):
            self._ask(number, line)

    def _is_asked_for(self, call: Call) -> bool:
        task = call.task
        return task.id.startswith(self._task.lower()) or task.spec.name == self._task

    def _ask(self, number: int, call: Call) -> None:
        found = replayed(call)
        self.count += 1
        if self._task or found:
            self._show(call)
        if found:
            self.differ += 1
            _put(f"  line {number} of {self._name} differs:")
        for change in found.changes if found else ():
            _put(f"    {story.difference(change)}")

    def _show(self, call: Call) -> None:
        if call.task.id != self._shown:
            self._shown = call.task.id
            _put(f"{call.task.id}  {call.task.spec.name}")
        _put(f"  {story.line(call)}")

    def _sum_up(self) -> None:
        by = f" (written by {'; '.join(self._writers)})" if self._writers else ""
        differ = f"{self.differ or 'none'} {'differ' if self.differ > 1 else 'differs'}"
        _put(f"{self._name}: {self.count} lines replayed{by}: {differ}")


def _put(words: str) -> None:
    line = " ".join(show.clean(words).splitlines())
    sys.stdout.write(f"{line.rstrip()}\n")
