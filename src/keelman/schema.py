"""The tables, version by version, and the way from an older version to this one.

A script that was released is never edited: what it made is on disks. Another version is another
script at the end, and a dump of a database of it in tests/data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from keelman.errors import CannotStart

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE queue (
        task_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, wish BLOB NOT NULL
    );
    CREATE TABLE task_events (
        event_id TEXT PRIMARY KEY, task_id TEXT NOT NULL, at REAL NOT NULL, digest TEXT NOT NULL,
        answer BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX task_events_task ON task_events (task_id, at);
    CREATE TABLE tombstones (task_id TEXT PRIMARY KEY, ended REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE tasks (
        task_id TEXT PRIMARY KEY, state INTEGER NOT NULL, wish INTEGER NOT NULL, finished REAL,
        task BLOB NOT NULL, report BLOB NOT NULL
    );
    CREATE INDEX tasks_state ON tasks (state, finished);
    CREATE TABLE transitions (
        seq INTEGER PRIMARY KEY, task_id TEXT NOT NULL, move BLOB NOT NULL
    );
    CREATE INDEX transitions_task ON transitions (task_id, seq);
    """,
)

# Facts of table `meta` that say which log it is, and how far it goes.
LOG_ID = "log_id"
LAST_SEQ = "transition_seq"

_TABLES = {"meta", "queue", "task_events", "tasks", "tombstones", "transitions"}


def version(connection: sqlite3.Connection) -> int:
    """The version that a database is of; 0: there is nothing in it yet."""
    ((found,),) = connection.execute("PRAGMA user_version")
    return int(found)


def objection(connection: sqlite3.Connection) -> str:
    """Why this Keelman cannot use a database, in words; empty when it can."""
    found, known = version(connection), len(MIGRATIONS)
    if found > known:
        return f"the database is of version {found}; this Keelman knows {known}"
    named = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return "" if found and named >= _TABLES else "that is no database of a worker"


def migrate(connection: sqlite3.Connection, keep: Callable[[int], None]) -> int:
    """Bring a database up to date, whole or not at all; returns the version that was found.

    `keep` is called with the version to come before one that holds anything is changed.
    Raises: CannotStart when it is of a newer version.
    """
    found, known = version(connection), len(MIGRATIONS)
    if found > known:
        raise CannotStart(objection(connection))
    if found < known:
        if found:
            keep(known)
        scripts = "\n".join(MIGRATIONS[found:])
        connection.executescript(f"BEGIN; {scripts} PRAGMA user_version = {known}; COMMIT;")
    return found
