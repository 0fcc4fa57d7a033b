"""How one task looks: what was asked for, what became of it, and how it came to that.

What is as usual is left out. What a task could have written itself is cleaned, as in `show`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from keelman.cli import phases, show
from keelman.task import State
from keelman.wire import TaskReport, TransitionReport
from keelman.words import headline

_HEAD = ("ID", "Name", "State")  # told in the first lines of a page
_ENGINE_ID = 12  # as many characters of a container's ID as the engine's own tools show


def task_page(task: TaskReport, moves: Sequence[TransitionReport], now: datetime) -> Group:
    """All that is known of one task; the last that a failed one wrote is last."""
    parts = [_title(task, now), _fields(task), *_phases(moves, now), *_history(moves)]
    return Group(*parts, *_last_lines(task))


def _title(task: TaskReport, now: datetime) -> Text:
    since = show.age(task.finish_time if task.state.ended else task.start_time, now)
    state = (task.state.name, show.COLOURS[task.state])
    name = show.clean(task.name) or task.id[: show.SHORT_ID]
    return Text.assemble((name, "bold"), "  ", state, f" for {since}" if since else "")


def _fields(task: TaskReport) -> Table:
    table = grid()
    fields = show.plain(task)
    fields["HostPorts"] = show.ports(task) or {}
    if show.last_lines(task.message):
        fields["Message"] = headline(task.message)
    table.add_row("  ID", task.id)
    for field, value in fields.items():
        if field not in _HEAD and value != _USUAL[field]:
            table.add_row(f"  {field}", Text(show.clean(_words(value))))
    if task.state is State.RUNNING and task.container_id:
        table.add_row("  Get in", f"docker exec -it {task.container_id[:_ENGINE_ID]} sh")
    return table


def grid() -> Table:
    """A table of names and words."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


_USUAL = show.plain(TaskReport(id="", state=State.PENDING))


def _words(value: object) -> str:
    match value:
        case dict():
            pairs = (f"{key}={_words(item)}" if item else key for key, item in value.items())
            return "\n".join(pairs)
        case [dict(), *_]:
            return "\n".join(" ".join(_words(item).split("\n")) for item in value)
        case list():
            return shlex.join(map(str, value))
        case _:
            return str(value)


def section(title: str) -> Iterator[Text]:
    """What stands over a part of a page."""
    yield Text()
    yield Text(title, "bold")


def _phases(moves: Sequence[TransitionReport], now: datetime) -> Iterator[RenderableType]:
    found = phases.phases(moves, now)
    if not found:
        return
    table = grid()
    for phase in found:
        table.add_row(f"  {phase.name}", phases.line(phase))
    yield from section("Phases")
    yield table


def _history(moves: Sequence[TransitionReport]) -> Iterator[Text]:
    yield from section("History")
    for move in moves:
        yield Text("  ") + show.move_line(move, of_one=True)


def _last_lines(task: TaskReport) -> Iterator[Text]:
    lines = show.last_lines(task.message)
    if lines:
        yield from section("Last lines of its output")
    for line in lines:
        yield Text(f"  {show.clean(line)}")
