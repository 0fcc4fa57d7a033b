"""The soak itself, shortened: that it runs, measures everything, and finds a leak put in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keelman.store import Store
from tests.soak.judge import Verdict
from tests.soak.plan import Plan
from tests.soak.run import soak
from tests.soak.samples import (
    CONTAINERS,
    DESCRIPTORS,
    IN_USE,
    JOURNALS,
    MEMORY,
    ON_DISK,
    TASKS,
    THREADS,
    WAL,
)
from tests.soak.sampling import bytes_in, rows

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SECONDS = 45.0


def a_plan(leak: str = "") -> Plan:
    return Plan(seconds=SECONDS, at_once=6, sample_seconds=1.0, cut_seconds=15.0, leak=leak)


def test_every_table_is_counted(tmp_path: Path) -> None:
    """Whatever tables there will be; a database that is being written is only read."""
    store = Store(tmp_path, lambda: "an id")
    with closing(sqlite3.connect(tmp_path / "keelman.db")) as connection:
        connection.execute("CREATE TABLE more (a)")
        connection.executemany("INSERT INTO more VALUES (?)", [(1,), (2,)])
        connection.commit()
    found = rows(tmp_path / "keelman.db")
    before = bytes_in(tmp_path)
    (tmp_path / "flight.jsonl").write_bytes(b"1" * 1024 * 1024)
    sizes = bytes_in(tmp_path)
    store.close()
    assert sizes[WAL] > 0
    assert sizes[ON_DISK] == before[ON_DISK] > 0
    assert sizes[JOURNALS] == 1
    assert found["rows of more"] == 2
    assert found["rows of queue"] == 0
    assert found[IN_USE] > 0


async def test_a_short_soak_measures_everything_and_nothing_grows() -> None:
    """So short that much cannot be told; but what is left behind would be."""
    report = await soak(a_plan())
    figures = {DESCRIPTORS, THREADS, TASKS, MEMORY, CONTAINERS, IN_USE, WAL, JOURNALS, ON_DISK}
    assert report.findings.keys() > figures
    assert report.tasks > SECONDS / 2
    assert "rows of tombstones" in report.findings
    assert (report.growing, report.complaints) == ([], ())
    assert report.findings[THREADS].verdict is Verdict.FLAT


async def test_a_leak_that_is_put_in_is_found() -> None:
    """One at each wish."""
    report = await soak(a_plan("fd"))
    assert DESCRIPTORS in report.growing
    assert report.status == 1
