"""The ledger: what each live task holds of the machine, kept beside the tables of the database.

A task holds what it asks for from its wish until its end is on record: a stop sets nothing free
before the process is gone. Whoever changes `queue` or `tasks` has the ledger changed in the same
transaction, and taken back with it, so that of many who ask at once nobody gets what another has.

It is a table in memory, made anew of those two when they are opened: nothing of it is on disk, and
it cannot contradict them. It holds live tasks only, so that a question costs the same however many
have ended.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from keelman import room
from keelman.machine import Resources
from keelman.task import Task, Wish

# A wish for a task that is not on record as live; `held` says whether it begins one.
LIVE = (
    "SELECT task_id, task, NULL FROM tasks WHERE state < 3 UNION ALL"
    " SELECT q.task_id, q.wish, t.task FROM queue q LEFT JOIN tasks t USING (task_id)"
    " WHERE t.state IS NULL OR (t.state >= 3 AND t.wish < q.seq)"
)
_NANO = 10**9  # cores are summed as the engine takes them, in whole numbers
_UNREADABLE = (msgspec.MsgspecError, UnicodeError)


class _Asking(msgspec.Struct):
    """What matters here of a task on record, or of a wish for one."""

    spec: Resources = msgspec.field(name="Spec")


def held(rows: Iterable[tuple[str, bytes, bytes | None]]) -> Iterator[tuple[str, Resources]]:
    """What each live task holds, by the rows of LIVE. One that cannot be read holds nothing."""
    for task_id, packed, ended in rows:
        with contextlib.suppress(*_UNREADABLE):
            if ended is None or _begins_anew(packed, ended):
                yield task_id, msgspec.json.decode(packed, type=_Asking).spec


def _begins_anew(wish: bytes, ended: bytes) -> bool:
    task = msgspec.json.decode(ended, type=Task)
    return msgspec.json.decode(wish, type=Wish).begins_anew(task)


def begin(connection: sqlite3.Connection) -> None:
    """Open the ledger of a database on the connection that will write it."""
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(
        "CREATE TEMP TABLE ledger (task_id TEXT PRIMARY KEY, cpu INTEGER NOT NULL,"
        " memory INTEGER NOT NULL, disk INTEGER NOT NULL) WITHOUT ROWID"
    )
    for task_id, resources in held(connection.execute(LIVE).fetchall()):
        _hold(connection, task_id, resources)


def promise(connection: sqlite3.Connection, wish: Wish, given: Resources) -> None:
    """Hold what a wish asks for, of what is given to all. Raises: InsufficientResources."""
    if wish.stops:
        return
    wanted = room.asked(wish.spec)
    if wish.spec.cpu or wish.spec.memory or wish.spec.disk:
        room.check(wanted, _holds(connection, wish.task_id), allocated(connection), given)
    _hold(connection, wish.task_id, wanted)


def follow(connection: sqlite3.Connection, task: Task) -> None:
    """What a task holds by its record, which was just written."""
    if not task.state.ended:
        _hold(connection, task.id, room.asked(task.spec))
    elif not _is_asked_for_anew(connection, task):
        _release(connection, task.id)


def allocated(connection: sqlite3.Connection) -> Resources:
    """What live tasks hold all together."""
    query = "SELECT total(cpu), total(memory), total(disk) FROM ledger"  # `sum` may overflow
    return _resources(connection.execute(query).fetchone())


def _is_asked_for_anew(connection: sqlite3.Connection, task: Task) -> bool:
    query = "SELECT wish FROM queue WHERE task_id = ? AND seq > ?"
    newer = connection.execute(query, (task.id, task.wish)).fetchone()
    return newer is not None and msgspec.json.decode(newer[0], type=Wish).begins_anew(task)


def _holds(connection: sqlite3.Connection, task_id: str) -> Resources:
    query = "SELECT cpu, memory, disk FROM ledger WHERE task_id = ?"
    return _resources(connection.execute(query, (task_id,)).fetchone() or (0, 0, 0))


def _resources(row: tuple[float, float, float]) -> Resources:
    cpu, memory, disk = row
    return Resources(cpu=cpu / _NANO, memory=int(memory), disk=int(disk))


def _hold(connection: sqlite3.Connection, task_id: str, some: Resources) -> None:
    row = (task_id, round(some.cpu * _NANO), some.memory, some.disk)
    if any(row[1:]):
        connection.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?)", row)
    else:
        _release(connection, task_id)


def _release(connection: sqlite3.Connection, task_id: str) -> None:
    connection.execute("DELETE FROM ledger WHERE task_id = ?", (task_id,))
