"""A database as text that can be read, kept and compared: its schema, version, and every row.

Row numbers are part of it where a table has them of its own accord: they are places in lists.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_NAMED = re.compile("WITHOUT ROWID|INTEGER PRIMARY KEY")  # its rows' numbers are a column, or none


def dump(path: Path) -> str:
    """All that a database holds, in SQL that makes it again."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return "".join(f"{line}\n" for line in _lines(connection))


def load(text: str, path: Path) -> None:
    """A database made of what `dump` said."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"BEGIN; {text} COMMIT;")


def _lines(connection: sqlite3.Connection) -> Iterator[str]:
    ((version,),) = connection.execute("PRAGMA user_version")
    yield f"PRAGMA user_version = {version};"
    made = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    schema = sorted(made.fetchall(), key=lambda row: (row[0] != "table", row[1]))
    for _, _, sql in schema:
        yield f"{sql};"
    for kind, name, sql in schema:
        if kind == "table":
            yield from _rows(connection, name, numbered=not _NAMED.search(sql))


def _rows(connection: sqlite3.Connection, table: str, *, numbered: bool) -> Iterator[str]:
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    columns = ["rowid"] * numbered + names
    for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1"):
        values = ", ".join(_literal(value) for value in row)
        yield f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});"


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"CAST({_literal(value.decode())} AS BLOB)"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return repr(value)
