"""What the manager remembers beside tasks and wishes: nodes, placements, news, invitations.

`State` has only the methods that the manager calls, so that another store can stand in its place.
`SqliteState` keeps it in the tables beside the tasks', in the same transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from keelman import db
from keelman.manager.inviting import Invitation
from keelman.manager.news import News
from keelman.manager.nodes import Node
from keelman.manager.placement import Placement
from keelman.store import Store
from keelman.task import Task, Transition

_TABLES = """
CREATE TABLE IF NOT EXISTS nodes (
    name TEXT PRIMARY KEY, node BLOB NOT NULL, seen TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS placements (
    task_id TEXT PRIMARY KEY, placement BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS news (
    number INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, news BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS invitations (
    digest TEXT PRIMARY KEY, until REAL NOT NULL, invitation BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS news_task ON news (task_id, number);
"""

_INVITATION = "SELECT invitation FROM invitations WHERE digest = ?"

REMEMBERED_SECONDS = 7 * 86_400.0  # so long it is told that an invitation has expired

Recorded = Callable[[Transition | None], None]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What one step leaves: the records, a move, and the number of the news that it has read."""

    task: Task
    placement: Placement
    transition: Transition | None = None
    read: int | None = None


class State(Protocol):
    """The memory of the cluster. Everything that writes raises CannotRecord when it cannot."""

    async def open(self) -> None:
        """Make it ready."""

    def nodes(self) -> list[Node]:
        """All nodes, by name."""

    async def put_node(self, node: Node) -> None:
        """Record a node."""

    async def change_node(self, node: Node) -> None:
        """Record what changed of a node; nothing, when it was dropped meanwhile."""

    async def drop_node(self, name: str) -> None:
        """Forget a node."""

    def seen(self, name: str) -> str:
        """The id of the last event that was taken from a node; empty before the first."""

    def placements(self) -> list[Placement]:
        """Where every task is."""

    def placement(self, task_id: str) -> Placement:
        """Where a task is; nowhere, when it was never placed."""

    def news(self, task_id: str) -> tuple[int, News] | None:
        """The oldest news of a task that are not read yet, and their number."""

    def untold(self) -> list[str]:
        """Tasks of which there are news."""

    async def hear(self, node: str, news: Iterable[tuple[str, News]], seen: str) -> None:
        """Keep what a node told of tasks, and up to which event, in one transaction."""

    async def record(self, record: Record, then: Recorded) -> None:
        """Keep what a step came to, in one transaction; `then` is called when that is durable.

        A FAILED that was decided on before a stop came is not recorded, and its news stay unread.
        """

    async def forget(self, task: Task, now: float) -> bool:
        """Drop an ended task and all that is about it; False when a newer wish came."""

    async def invite(self, digest: str, invitation: Invitation, now: float) -> None:
        """Keep an invitation by the digest of its secret; those that ended long ago are dropped."""

    def invitation(self, digest: str) -> Invitation | None:
        """The invitation with a secret of this digest; None when there is none."""

    async def use_invitation(
        self, digest: str, used: Callable[[Invitation | None], Invitation]
    ) -> Invitation:
        """What `used` makes of the invitation that is kept, in one transaction; what it raises."""


class SqliteState:
    """A State in the file of a Store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self) -> None:
        await self._store.write(_make_tables)

    def nodes(self) -> list[Node]:
        rows = self._store.read("SELECT node FROM nodes ORDER BY name")
        return [msgspec.json.decode(packed, type=Node) for (packed,) in rows]

    async def put_node(self, node: Node) -> None:
        values = (node.name, msgspec.json.encode(node))
        query = "INSERT OR REPLACE INTO nodes (name, node) VALUES (?, ?)"
        await self._store.write(lambda connection: connection.execute(query, values))

    async def change_node(self, node: Node) -> None:
        values = (msgspec.json.encode(node), node.name)
        query = "UPDATE nodes SET node = ? WHERE name = ?"
        await self._store.write(lambda connection: connection.execute(query, values))

    async def drop_node(self, name: str) -> None:
        query = "DELETE FROM nodes WHERE name = ?"
        await self._store.write(lambda connection: connection.execute(query, (name,)))

    def seen(self, name: str) -> str:
        rows = self._store.read("SELECT seen FROM nodes WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def placements(self) -> list[Placement]:
        rows = self._store.read("SELECT placement FROM placements")
        return [msgspec.json.decode(packed, type=Placement) for (packed,) in rows]

    def placement(self, task_id: str) -> Placement:
        query = "SELECT placement FROM placements WHERE task_id = ?"
        rows = self._store.read(query, task_id)
        if not rows:
            return Placement(task_id=task_id)
        return msgspec.json.decode(rows[0][0], type=Placement)

    def news(self, task_id: str) -> tuple[int, News] | None:
        query = "SELECT number, news FROM news WHERE task_id = ? ORDER BY number LIMIT 1"
        rows = self._store.read(query, task_id)
        return (rows[0][0], msgspec.json.decode(rows[0][1], type=News)) if rows else None

    def untold(self) -> list[str]:
        rows = self._store.read("SELECT DISTINCT task_id FROM news")
        return [task_id for (task_id,) in rows]

    async def hear(self, node: str, news: Iterable[tuple[str, News]], seen: str) -> None:
        rows = [(task_id, msgspec.json.encode(one)) for task_id, one in news]
        await self._store.write(lambda connection: _hear(connection, node, rows, seen))

    async def record(self, record: Record, then: Recorded) -> None:
        await self._store.write(lambda connection: _record(connection, record), then)

    async def forget(self, task: Task, now: float) -> bool:
        return await self._store.write(lambda connection: _forget(connection, task, now))

    async def invite(self, digest: str, invitation: Invitation, now: float) -> None:
        await self._store.write(lambda connection: _invite(connection, digest, invitation, now))

    def invitation(self, digest: str) -> Invitation | None:
        rows = self._store.read(_INVITATION, digest)
        return msgspec.json.decode(rows[0][0], type=Invitation) if rows else None

    async def use_invitation(
        self, digest: str, used: Callable[[Invitation | None], Invitation]
    ) -> Invitation:
        return await self._store.write(lambda connection: _use(connection, digest, used))


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        connection.execute(statement)


def _hear(
    connection: sqlite3.Connection, name: str, rows: list[tuple[str, bytes]], seen: str
) -> None:
    found = connection.execute("UPDATE nodes SET seen = ? WHERE name = ?", (seen, name))
    if found.rowcount:  # else it was removed meanwhile
        connection.executemany("INSERT INTO news (task_id, news) VALUES (?, ?)", rows)


def _record(connection: sqlite3.Connection, record: Record) -> Transition | None:
    move = db.put(connection, record.task, record.transition)
    if record.transition is not None and move is None:
        return None
    values = (record.task.id, msgspec.json.encode(record.placement))
    connection.execute("INSERT OR REPLACE INTO placements VALUES (?, ?)", values)
    if record.read is not None:
        connection.execute("DELETE FROM news WHERE number = ?", (record.read,))
    return move


def _forget(connection: sqlite3.Connection, task: Task, now: float) -> bool:
    if not db.forget(connection, task, now):
        return False
    connection.execute("DELETE FROM placements WHERE task_id = ?", (task.id,))
    connection.execute("DELETE FROM news WHERE task_id = ?", (task.id,))
    return True


def _invite(
    connection: sqlite3.Connection, digest: str, invitation: Invitation, now: float
) -> None:
    long_ago = now - REMEMBERED_SECONDS
    connection.execute("DELETE FROM invitations WHERE until < ?", (long_ago,))
    _put_invitation(connection, digest, invitation)


def _use(
    connection: sqlite3.Connection, digest: str, used: Callable[[Invitation | None], Invitation]
) -> Invitation:
    row = connection.execute(_INVITATION, (digest,)).fetchone()
    found = None if row is None else msgspec.json.decode(row[0], type=Invitation)
    now_used = used(found)
    _put_invitation(connection, digest, now_used)
    return now_used


def _put_invitation(connection: sqlite3.Connection, digest: str, one: Invitation) -> None:
    values = (digest, one.until, msgspec.json.encode(one))
    connection.execute("INSERT OR REPLACE INTO invitations VALUES (?, ?, ?)", values)
