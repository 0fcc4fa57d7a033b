"""Whose log a store opens: the one that was told, or one that gets a new id.

Nothing here is asked of an API: that a listener with the old id is sent away is `sse`'s.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from keelman import mark
from keelman.db import Db
from keelman.store import FILE_NAME
from tests.unit.given_store import open_store, record


async def filled(directory: Path, count: int) -> str:
    """A database with so many Transitions more; the id of its log."""
    store = open_store(directory)
    await record(store, count)
    log_id = Db(store).log_id
    store.close()
    return log_id


def opened(directory: Path) -> tuple[str, str, int]:
    """The id of the log, why it is new, and how far it goes."""
    store = open_store(directory)
    db = Db(store)
    found = (db.log_id, store.new_log, db.last_seq())
    store.close()
    return found


def remove(directory: Path) -> None:
    for path in directory.glob(f"{FILE_NAME}*"):
        path.unlink()


async def test_a_log_keeps_its_id_from_start_to_start(tmp_path: Path) -> None:
    log_id = await filled(tmp_path, 3)
    for last in (3, 3):
        assert opened(tmp_path) == (log_id, "", last)
    assert await filled(tmp_path, 1) == log_id
    assert opened(tmp_path) == (log_id, "", 4)


async def test_a_new_database_has_a_new_log_and_nothing_to_say(tmp_path: Path) -> None:
    log_id = await filled(tmp_path, 3)
    remove(tmp_path)
    found, why, last = opened(tmp_path)
    assert (found != log_id, why, last) == (True, "", 0)


def put_back(directory: Path, kept: Path) -> None:
    shutil.copy(kept / FILE_NAME, directory / FILE_NAME)


def put_back_anew(directory: Path, kept: Path) -> None:
    """Its file is another one, which may have the number of the one before."""
    remove(directory)
    shutil.copy2(kept / FILE_NAME, directory / FILE_NAME)


def put_back_whole(directory: Path, kept: Path) -> None:
    shutil.rmtree(directory)
    shutil.copytree(kept, directory)


def put_back_over(directory: Path, kept: Path) -> None:
    shutil.copytree(kept, directory, dirs_exist_ok=True)


def put_elsewhere(directory: Path, kept: Path) -> None:
    """Nothing but the one file, in an empty directory."""
    shutil.rmtree(directory)
    directory.mkdir()
    shutil.copy(kept / FILE_NAME, directory / FILE_NAME)


WAYS = pytest.mark.parametrize(
    "way",
    [put_back, put_back_anew, put_back_whole, put_back_over, put_elsewhere],
    ids=lambda way: str(way.__name__),
)


@WAYS
async def test_an_older_database_that_is_put_back_gets_a_new_log_id(
    tmp_path: Path, way: Callable[[Path, Path], object]
) -> None:
    """Or who had read on would miss what is numbered a second time."""
    there, kept = tmp_path / "data", tmp_path / "kept"
    log_id = await filled(there, 3)
    shutil.copytree(there, kept)
    assert await filled(there, 2) == log_id
    way(there, kept)
    found, why, last = opened(there)
    assert found != log_id
    assert why
    assert last == 3
    assert opened(there) == (found, "", 3)


async def test_an_older_database_is_known_after_it_has_caught_up(tmp_path: Path) -> None:
    """The numbers agree again; the id is what tells the two apart."""
    there, kept = tmp_path / "data", tmp_path / "kept"
    log_id = await filled(there, 3)
    shutil.copytree(there, kept)
    await filled(there, 2)
    put_back(there, kept)
    later = await filled(there, 2)
    assert later != log_id
    assert opened(there) == (later, "", 5)


async def test_a_database_from_before_the_one_before_is_known(tmp_path: Path) -> None:
    """The log of today has another id, and is shorter."""
    there, kept = tmp_path / "data", tmp_path / "kept"
    log_id = await filled(there, 9)
    shutil.copytree(there, kept)
    remove(there)
    await filled(there, 1)
    put_back(there, kept)
    found, why, _ = opened(there)
    assert found != log_id
    assert why == "another database was put in its place"


async def test_a_worker_that_knew_no_mark_is_followed_by_a_new_id_once(tmp_path: Path) -> None:
    log_id = await filled(tmp_path, 3)
    (tmp_path / mark.FILE_NAME).unlink()
    found, why, _ = opened(tmp_path)
    assert found != log_id
    assert "keelman.mark is missing" in why
    assert opened(tmp_path) == (found, "", 3)


async def test_a_mark_that_is_behind_is_no_contradiction(tmp_path: Path) -> None:
    """As after a power cut, before which it was not synced."""
    log_id = await filled(tmp_path, 3)
    behind = (tmp_path / mark.FILE_NAME).read_bytes()
    await filled(tmp_path, 2)
    (tmp_path / mark.FILE_NAME).write_bytes(behind)
    assert opened(tmp_path) == (log_id, "", 5)


# -- when it is written --------------------------------------------------------------------------


def marked(directory: Path) -> int:
    return int((directory / mark.FILE_NAME).read_text().split()[1])


async def test_what_is_told_was_marked_before(tmp_path: Path) -> None:
    """A listener that knew more than the mark could be misled."""
    store = open_store(tmp_path)
    marks: list[tuple[int, int]] = []
    for _ in range(5):
        await record(store, 1, lambda move: marks.append((move.seq, marked(tmp_path))))
    store.close()
    assert marks == [(seq, seq) for seq in range(1, 6)]


async def test_what_was_not_committed_is_not_marked(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await record(store, 1)

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE meta SET value = 99 WHERE key = 'transition_seq'")
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fails)
    assert marked(tmp_path) == 1
    store.close()


async def test_a_mark_that_cannot_be_written_costs_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)

    def fails(self: mark.Mark, seq: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mark.Mark, "reach", fails)
        async with asyncio.timeout(20):
            await record(store, 2)
    await record(store, 1)
    assert marked(tmp_path) == 3
    store.close()


async def test_a_store_that_could_not_be_opened_holds_no_file(tmp_path: Path) -> None:
    """Neither lock nor mark, however far it came."""
    log_id = await filled(tmp_path, 1)
    (tmp_path / mark.FILE_NAME).rename(tmp_path / "kept")
    (tmp_path / mark.FILE_NAME).mkdir()
    with pytest.raises(Exception, match="cannot be used"):
        open_store(tmp_path)
    (tmp_path / mark.FILE_NAME).rmdir()
    (tmp_path / "kept").rename(tmp_path / mark.FILE_NAME)
    assert opened(tmp_path) == (log_id, "", 1)
