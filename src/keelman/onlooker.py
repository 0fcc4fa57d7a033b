"""A worker's record and engine, looked at from outside: nothing is changed, no lock is taken.

The database is read by a connection that cannot write, in one snapshot, which a worker at work
neither waits for nor notices. (Where none is at work, SQLite leaves an empty `-wal` and a `-shm`
beside it, as for any reader; the next worker takes them away.) The engine is only looked at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from keelman.errors import KeelmanError
from keelman.facts import Answered, Damage, Facts, Record
from keelman.runtime import Runtime
from keelman.schema import MIGRATIONS
from keelman.store import FILE_NAME
from keelman.task import State, Task, Transition, Wish

T = TypeVar("T", bound=Struct)
BUSY_SECONDS = 5.0


class CannotAudit(KeelmanError):
    """There is nothing to look at, or it cannot be read."""

    code = "cannot_audit"


class _Report(Struct, frozen=True, kw_only=True):
    """What matters of a task's report: that it tells of the same task in the same State."""

    id: str = msgspec.field(name="ID")
    state: State = msgspec.field(name="State")


async def facts_of(record: Record, runtime: Runtime) -> Facts:
    """The record, beside what its engine has now. Raises: EngineAway."""
    engine_id = await runtime.identity()
    return Facts(record=record, engine_id=engine_id, containers=tuple(await runtime.containers()))


def record_in(directory: Path) -> Record:
    """All that the database in a data directory holds. Raises: CannotAudit."""
    path = directory / FILE_NAME
    if not path.exists():
        raise CannotAudit(f"no worker keeps its memory in {directory}: there is no {FILE_NAME}")
    with _told_plainly(directory), closing(_connect(path)) as connection:
        connection.execute("BEGIN")
        _check_version(connection)
        return _Reader(connection).record()


@contextmanager
def _told_plainly(directory: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise CannotAudit(f"the database in {directory} cannot be read: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)


def _check_version(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != len(MIGRATIONS):
        known = len(MIGRATIONS)
        raise CannotAudit(f"the database is of version {version}; this Keelman knows {known}")


class _Reader:
    """Reads one snapshot; what cannot be read is `damage`, and the rest is read all the same."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._facts = dict(connection.execute("SELECT key, value FROM meta"))
        self._damage: list[Damage] = []

    def record(self) -> Record:
        """The record. Raises: CannotAudit, when it is nobody's."""
        worker = self._facts.get("owner")
        if worker is None:
            raise CannotAudit("no worker has begun to use this data directory yet")
        engine_id = self._facts.get("engine_id")
        return Record(
            worker=str(worker),
            engine_id=None if engine_id is None else str(engine_id),
            wishes=tuple(self._wishes()),
            tasks=tuple(self._tasks()),
            transitions=tuple(self._transitions()),
            answered=tuple(self._answered()),
            tombstones=frozenset(self._tombstones()),
            wish_seq=int(self._facts.get("wish_seq", 0)),
            transition_seq=int(self._facts.get("transition_seq", 0)),
            journal_mode=str(self._value("PRAGMA journal_mode")),
            complaints=tuple(self._complaints()),
            damage=tuple(self._damage),
        )

    def _wishes(self) -> Iterator[Wish]:
        for task_id, seq, packed in self._rows("SELECT task_id, seq, wish FROM queue ORDER BY seq"):
            wish = self._decoded(packed, Wish, task_id, "wish")
            if wish is not None:
                columns = {"task_id": (task_id, wish.task_id), "seq": (seq, wish.seq)}
                self._compare(task_id, "wish", columns)
                yield wish

    def _tasks(self) -> Iterator[Task]:
        query = "SELECT task_id, state, wish, finished, task, report FROM tasks"
        for task_id, state, wish, finished, packed, report in self._rows(query):
            task = self._decoded(packed, Task, task_id, "task")
            shown = self._decoded(report, _Report, task_id, "report")
            if task is None or shown is None:
                continue
            columns = {
                "task_id": (task_id, task.id),
                "state": (state, int(task.state)),
                "wish": (wish, task.wish),
                "finished": (finished, task.finish_time),
                "report": (f"{shown.id} {shown.state.name}", f"{task.id} {task.state.name}"),
            }
            self._compare(task_id, "task", columns)
            yield task

    def _transitions(self) -> Iterator[Transition]:
        query = "SELECT seq, task_id, move FROM transitions ORDER BY seq"
        for seq, task_id, packed in self._rows(query):
            move = self._decoded(packed, Transition, task_id, f"Transition {seq}")
            if move is not None:
                columns = {"seq": (seq, move.seq), "task_id": (task_id, move.task_id)}
                self._compare(task_id, f"Transition {seq}", columns)
                yield move

    def _answered(self) -> Iterator[Answered]:
        query = "SELECT event_id, task_id, length(answer) = 0 FROM task_events ORDER BY at"
        for event_id, task_id, emptied in self._rows(query):
            yield Answered(event_id=event_id, task_id=task_id, emptied=bool(emptied))

    def _tombstones(self) -> Iterator[str]:
        return (task_id for (task_id,) in self._rows("SELECT task_id FROM tombstones"))

    def _complaints(self) -> list[str]:
        return [words for (words,) in self._rows("PRAGMA quick_check") if words != "ok"]

    # -- rows ------------------------------------------------------------------------------------

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        return self._connection.execute(query)

    def _value(self, query: str) -> object:
        ((value,),) = self._rows(query)
        return value

    def _decoded(self, packed: bytes, kind: type[T], task_id: object, what: str) -> T | None:
        try:
            return msgspec.json.decode(packed, type=kind)
        except (ValueError, TypeError) as error:
            self._add(task_id, f"its {what} cannot be read: {error}")
            return None

    def _compare(self, task_id: object, what: str, columns: Mapping[str, tuple[Any, Any]]) -> None:
        """What is kept beside a value, to be looked up by, must agree with it."""
        for name, (column, value) in columns.items():
            if column != value:
                self._add(task_id, f"its {what} has {column} as {name}, and holds {value}")

    def _add(self, task_id: object, words: str) -> None:
        self._damage.append(Damage(task_id=str(task_id), words=words))
