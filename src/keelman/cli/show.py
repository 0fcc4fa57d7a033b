"""How tasks and Transitions look: tables and lines for people, JSON for programs.

What a task could have written itself is cleaned of control characters before it reaches a terminal.
Without a terminal there are no colours and no width: nothing is cut off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from keelman.task import Reason, State
from keelman.wire import TaskReport, TransitionReport
from keelman.words import ANNOUNCED, headline

COLOURS = {
    State.PENDING: "yellow",
    State.SCHEDULED: "yellow",
    State.RUNNING: "green",
    State.COMPLETED: "cyan",
    State.FAILED: "bold red",
}
SHORT_ID = 8
_UNLIMITED = 4000
_AGES = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_OPTIONAL = ("PORTS", "RESTARTS", "REASON")
_LEAST = {"ID": 8, "NAME": 6, "STATE": 9}
_YIELDING = ("NAME", "IMAGE", "PORTS")  # what is cut off on a narrow terminal


def console() -> Console:
    """Standard output, as wide as it takes when it is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED)


def put(what: RenderableType) -> None:
    """Shows tables and pages; without a terminal without the spaces that fill their lines."""
    screen = console()
    if screen.is_terminal:
        screen.print(what)
        return
    with screen.capture() as shown:
        screen.print(what)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in shown.get().splitlines())


def json(value: object) -> None:
    """Writes indented JSON to standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def plain(task: TaskReport) -> dict[str, Any]:
    """The task as the worker reports it, its ID first."""
    fields = msgspec.json.decode(msgspec.json.encode(task))
    return {"ID": fields.pop("ID"), **fields}


def clean(text: str) -> str:
    """The text without what would steer a terminal."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "�" for sign in text)


def last_lines(message: str) -> list[str]:
    """What a failed task wrote last, as its Message has it."""
    _, announced, rest = message.partition(f"{ANNOUNCED}\n")
    return rest.splitlines() if announced else []


# -- ps ------------------------------------------------------------------------------------------


def task_table(tasks: Sequence[TaskReport], now: datetime) -> Table:
    """The tasks, one a line."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("ID", "NAME", "IMAGE", "STATE", "SINCE", "PORTS", "RESTARTS", "REASON"):
        table.add_column(head, no_wrap=head not in _YIELDING, min_width=_LEAST.get(head))
    length = short_length(task.id for task in tasks)
    for task in tasks:
        table.add_row(*_cells(task, length, now))
    table.columns = [column for column in table.columns if _says_something(column)]
    return table


def _says_something(column: Column) -> bool:
    """A column that is empty in every row only takes room."""
    told = [cell for cell in column.cells if isinstance(cell, Text)]
    return column.header not in _OPTIONAL or any(cell.plain for cell in told)


def _cells(task: TaskReport, length: int, now: datetime) -> list[Text]:
    state = Text(task.state.name, COLOURS[task.state])
    since = task.finish_time if task.state.ended else task.start_time
    bound = "" if task.state.ended else ports(task)
    rest = (age(since, now), bound, str(task.restart_count or ""), reason(task))
    begin = (task.id[:length], task.name, task.image)
    return [*map(_cell, begin), state, *map(_cell, rest)]


def _cell(text: str) -> Text:
    return Text(clean(text), no_wrap=True, overflow="ellipsis")


def short_length(ids: Iterable[str]) -> int:
    """How many characters tell the IDs apart: eight, or more where they begin alike."""
    known = set(ids)
    longest = max(map(len, known), default=SHORT_ID)
    lengths = range(SHORT_ID, longest)
    return next(
        (n for n in lengths if len({task_id[:n] for task_id in known}) == len(known)), longest
    )


def age(since: datetime | None, now: datetime) -> str:
    """`42s`, `5m`, `3h` or `2d`; nothing for what has not been."""
    if since is None:
        return ""
    seconds = max(int((now - since).total_seconds()), 0)
    return next((f"{seconds // unit}{sign}" for unit, sign in _AGES if seconds >= unit), "0s")


def ports(task: TaskReport) -> str:
    """`8080->80/tcp`, published ones only; IPv6's own free port only where there is no other."""
    told = []
    for port, bound in task.host_ports.items():
        ends = [end for end in bound if ":" not in end.host_ip] or bound
        told += [f"{end.host_port}->{port}" for end in ends]
    return ", ".join(dict.fromkeys(told))


def reason(task: TaskReport) -> str:
    """Why a task is where it is: its exit code when it ended by itself, or the Reason's code."""
    by_itself = task.reason in ("", Reason.EXITED) and task.exit_code is not None
    return f"exit {task.exit_code}" if by_itself else task.reason


# -- events --------------------------------------------------------------------------------------


def move_line(move: TransitionReport, *, of_one: bool = False) -> Text:
    """A Transition in a line; `of_one` when it is clear which task it is of."""
    words = clean(headline(move.message))
    return Text.assemble(
        (f"{move.time:%Y-%m-%dT%H:%M:%SZ}  ", "dim"),
        "" if of_one else f"{move.task_id}  ",
        (move.from_.name, COLOURS[move.from_]),
        " → ",
        (move.to.name, COLOURS[move.to]),
        f"  {move.reason}" if move.reason else "",
        (f"  {words}" if words else "", "dim"),
    )


# -- logs ----------------------------------------------------------------------------------------


class LogLines:
    """Pieces of a log as JSON, an object a line; what has no end of line yet waits for it."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._rest = b""

    def __call__(self, piece: bytes) -> bytes:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return b"".join(map(self._object, lines))

    def end(self) -> bytes:
        """The last line, when nothing ended it."""
        line, self._rest = self._rest, b""
        return self._object(line) if line else b""

    def _object(self, line: bytes) -> bytes:
        text = line.decode("utf-8", "replace")
        return msgspec.json.encode({"TaskID": self._task_id, "Line": text}) + b"\n"
