"""The rules at a glance: what `step` and `failed` decide, cell by cell, in a few words each.

`make decisions` writes the table to tests/data/decisions.txt, and test_decisions.py compares the
two: whoever changes a rule sees in the diff what else it changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keelman.moves import Step
from keelman.reconcile import failed, step
from keelman.seen import Action, Create, Signal
from keelman.task import Reason, State, Task
from tests.unit.decided import ACTIONS, ERRORS, TASKS, WISHES, sights
from tests.unit.given import NOW

TABLE = Path(__file__).parents[1] / "data" / "decisions.txt"
HEAD = """\
What the pure core decides. Written by `make decisions`, held by tests/unit/test_decisions.py.

A task is in its second attempt, unless it is PENDING; by its record a SCHEDULED one has no
container yet. Wishes: `none` (adopted), `run` (the one it serves), `stop`, `again` (run, a greater
number), `newer` (the same with a higher Generation). Those that come to the same share a line, and
so do all sights of one kind (`absent …`). What is not told of "RUNNING, such" is as with RUNNING.

A decision: the move with its Reason, what is remembered besides (`ending` why/rungs taken, `retry`,
`stuck`), the action, and when to look again. `rest` is nothing at all until something happens.
"""

ROWS = [*sights(1), *ERRORS]
ANY = "…"
Cells = dict[tuple[str, str], str]  # by what is seen or answered, and by wish


def table() -> str:
    """The whole text."""
    steps = {name: _steps(task) for name, task in TASKS.items()}
    failures = {name: _failures(*doing) for name, doing in ACTIONS.items()}
    parts = [HEAD, "# step: what is seen | wish | decision", *_sections(steps)]
    parts += ["\n# failed: the error of an action | wish | decision", *_sections(failures)]
    return "\n".join(parts) + "\n"


def _steps(task: Task) -> Cells:
    return {
        (sight, name): words(task, step(wish, task, seen, NOW))
        for sight, seen in sights(max(task.attempt, 1)).items()
        for name, wish in WISHES.items()
    }


def _failures(task: Task, action: Action) -> Cells:
    return {
        (answer, name): words(task, failed(wish, task, action, error, NOW))
        for answer, error in ERRORS.items()
        for name, wish in WISHES.items()
    }


# -- a decision in words -------------------------------------------------------------------------


def words(before: Task, after: Step) -> str:
    """A decision in short."""
    parts = [*_moved(after), *_remembered(before, after.task), *_acts(after)]
    if after.forget:
        parts.append("forget")
    if after.wake is not None:
        parts.append(f"look again {_when(after.wake - NOW)}")
    return ", ".join(parts) or "rest"


def _when(seconds: float) -> str:
    return f"in {seconds:.0f} s" if seconds > 0 else "now"


def _moved(after: Step) -> Iterator[str]:
    move = after.transition
    if move is None:
        return
    anew = f" #{after.task.attempt}" if move.to is State.SCHEDULED else ""
    yield f"{move.to.name}{anew} {move.reason}".rstrip()


def _remembered(before: Task, after: Task) -> Iterator[str]:
    if after.ending is not None and after.ending != before.ending:
        yield f"ending {after.ending.why}/{after.ending.signalled}"
    if after.retries > before.retries:
        yield f"retry {after.reason}"
    if after.reason is Reason.STUCK:
        yield "stuck"


def _acts(after: Step) -> Iterator[str]:
    match after.action:
        case None:
            return
        case Create(attempt=attempt):
            yield f"create #{attempt}"
        case Signal(signal=signal):
            yield f"signal {signal}"
        case action:
            yield type(action).__name__.lower()


# -- many of them in lines -----------------------------------------------------------------------


def _sections(tables: dict[str, Cells]) -> Iterator[str]:
    """What is "A, such" is told by where it differs from what is "A"."""
    for name, cells in tables.items():
        plain = name.partition(",")[0]
        usual = tables[plain] if plain != name else {}
        yield f"\n## {name}" + (f": as {plain}, but" if usual else "")
        yield from _lines({key: cell for key, cell in cells.items() if usual.get(key) != cell})


def _lines(cells: Cells) -> list[str]:
    """Cells as columns, in the order of what is seen."""
    wishes: dict[tuple[str, str], list[str]] = {}
    for (row, wish), decision in cells.items():
        wishes.setdefault((row, decision), []).append(wish)
    rows: dict[tuple[str, str], list[str]] = {}
    for (row, decision), names in wishes.items():
        rows.setdefault((_wished(names), decision), []).append(row)
    lines = [(row, *cell) for cell, alike in rows.items() for row in _by_kind(alike)]
    lines.sort(key=lambda line: (_place(line[0]), line[1]))
    return [f"{row:28}| {names:21}| {decision}" for row, names, decision in lines]


def _by_kind(rows: list[str]) -> list[str]:
    """Rows, but one for all of a kind, which the first word of their names tells."""
    members = {_kind(row): [one for one in ROWS if _kind(one) == _kind(row)] for row in rows}
    whole = {kind for kind, alike in members.items() if len(alike) > 1 and {*alike} <= {*rows}}
    named = [f"{_kind(row)} {ANY}" if _kind(row) in whole else row for row in rows]
    return list(dict.fromkeys(named))


def _place(row: str) -> int:
    """Where a row, or the first of its kind, stands among all."""
    return next(n for n, one in enumerate(ROWS) if row in (one, f"{_kind(one)} {ANY}"))


def _kind(row: str) -> str:
    return row.replace(",", "").split()[0]


def _wished(names: list[str]) -> str:
    return "any" if len(names) == len(WISHES) else " ".join(names)


if __name__ == "__main__":
    TABLE.write_text(table())
