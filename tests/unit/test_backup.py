"""Backups: whole, of one moment, beside a worker that writes; and how one is put back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from keelman import files
from keelman.backup import OWN_FILES, Copied, back_up, restore
from keelman.db import Db
from keelman.errors import CannotCopy
from keelman.queue import Queue
from keelman.store import FILE_NAME, Store
from keelman.task import State
from tests.unit.dumps import dump
from tests.unit.given import NOW, a_task
from tests.unit.given_store import keys, new_id, open_store, put, record
from tests.unit.given_wire import an_event, an_id


def kept(directory: Path, target: Path) -> Copied:
    return back_up(directory, target, new_id(), replace=False)


def put_back(source: Path, directory: Path) -> Copied:
    return restore(source, directory, new_id())


def told(path: Path) -> list[str]:
    """All that a database holds but for its log's id."""
    return [line for line in dump(path).splitlines() if "'log_id'" not in line]


def everything(directory: Path) -> dict[str, bytes]:
    """Every file with its content."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "copy"


@pytest.fixture
async def used(there: Path) -> AsyncIterator[Store]:
    """The store of a worker, which is open."""
    store = open_store(there)
    await Db(store).set_owner("w")
    await record(store, 3)
    await Queue(store).put(an_event(task_id=an_id(7)), NOW)
    yield store
    store.close()


# -- a backup ------------------------------------------------------------------------------------


def test_a_backup_is_the_database_without_its_log_id(
    used: Store, there: Path, target: Path
) -> None:
    made = kept(there, target)
    assert told(target) == told(there / FILE_NAME)
    assert "log_id" not in dump(target)
    assert "log_id" in dump(there / FILE_NAME)
    assert (made.path, made.size_bytes) == (target, target.stat().st_size)
    assert (made.worker, made.tasks) == ("w", 2)  # one on record, and one that waits
    assert made.last is not None
    assert (made.last.seq, made.last.time) == (3, NOW)


def test_a_backup_is_one_file_for_its_owner_alone(used: Store, there: Path, target: Path) -> None:
    old = os.umask(0)
    try:
        kept(there, target)
    finally:
        os.umask(old)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert list(everything(target.parent)) == [target.name]


async def test_a_backup_of_a_database_in_use_changes_nothing_of_it(
    used: Store, there: Path, target: Path
) -> None:
    before = everything(there)
    kept(there, target)
    after = everything(there)
    side = f"{FILE_NAME}-shm"  # in memory, really: readers leave their mark in it
    assert {**after, side: b""} == {**before, side: b""}
    assert await used.write(put("k1")) == "k1"


async def test_a_backup_of_a_database_at_rest_changes_nothing_of_it(
    there: Path, target: Path
) -> None:
    store = open_store(there)
    await store.write(put("k1"))
    store.close()
    before = everything(there)
    kept(there, target)
    after = everything(there)
    assert after[FILE_NAME] == before[FILE_NAME]
    assert after.get(f"{FILE_NAME}-wal", b"") == b""
    assert told(target) == told(there / FILE_NAME)
    again = open_store(there)
    assert (keys(again), again.new_log) == (["k1"], "")
    again.close()


DIE = textwrap.dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from keelman.store import Store

    def put(connection):
        connection.execute("INSERT INTO meta VALUES ('k1', 1)")

    async def main():
        store = Store(Path(sys.argv[1]), lambda: "an id")
        await store.write(put)
        os.kill(os.getpid(), 9)

    asyncio.run(main())
    """
)


def test_a_backup_after_a_kill_has_what_is_only_in_the_wal(there: Path, target: Path) -> None:
    died = subprocess.run([sys.executable, "-c", DIE, str(there)], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    before = everything(there)
    assert before[f"{FILE_NAME}-wal"]
    kept(there, target)
    assert "INSERT INTO meta (key, value) VALUES ('k1', 1);" in dump(target)
    after = everything(there)
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):  # it is the worker's to bring them together
        assert after[name] == before[name]


async def test_a_backup_is_of_one_moment_and_holds_up_no_writer(there: Path, target: Path) -> None:
    """A thousand writes of two rows each; every backup has both of a pair, or neither."""
    store, done = open_store(there), threading.Event()
    made: list[Path] = []

    def pair(number: int) -> Callable[[sqlite3.Connection], None]:
        def write(connection: sqlite3.Connection) -> None:
            for side in "ab":
                connection.execute(
                    "INSERT INTO meta VALUES (?, ?)", (f"k{number:05}{side}", "x" * 2000)
                )

        return write

    def back_up_again_and_again() -> None:
        while not done.is_set():
            copy = target.with_name(f"copy-{len(made)}")
            kept(there, copy)
            made.append(copy)

    backing_up = asyncio.create_task(asyncio.to_thread(back_up_again_and_again))
    for number in range(1000):
        await store.write(pair(number))
    done.set()
    await backing_up
    store.close()
    assert len(made) >= 2
    for copy in made:
        with files.reading(copy) as database:
            found = [key for (key,) in database.execute("SELECT key FROM meta WHERE key LIKE 'k%'")]
        assert found == [
            f"k{number:05}{side}" for number in range(len(found) // 2) for side in "ab"
        ]


class Stepping(sqlite3.Connection):
    """A database that somebody writes to after every step of its backup."""

    steps = 0

    def backup(self, target: sqlite3.Connection, **how: Any) -> None:
        super().backup(target, progress=self._step, **how)

    def _step(self, status: int, remaining: int, total: int) -> None:
        self.steps += 1
        assert self.steps < 100, "it begins again and again"
        (file,) = [row[2] for row in self.execute("PRAGMA database_list")]
        with sqlite3.connect(file) as writer:
            writer.execute("INSERT INTO meta VALUES (?, 1)", (f"k{self.steps}",))
        writer.close()


async def test_a_backup_is_made_in_one_step(there: Path, target: Path) -> None:
    """Between two a writer would make it begin again, and under load it would never end."""
    open_store(there).close()
    source = sqlite3.connect(there / FILE_NAME, factory=Stepping)
    files.copy(source, target, new_id())
    source.close()
    assert source.steps == 1


async def test_a_backup_waits_for_nobody(used: Store, there: Path, target: Path) -> None:
    """Nor for a writer that holds the database for as long as it likes."""
    with sqlite3.connect(there / FILE_NAME, isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO meta VALUES ('k1', 1)")
        kept(there, target)
        writer.execute("COMMIT")
    writer.close()
    assert "'k1'" not in dump(target)


async def test_places_in_lists_are_kept(there: Path, target: Path) -> None:
    """A row's number is a task's place; it must survive though others are gone."""
    store = open_store(there)
    db, queue = Db(store), Queue(store)
    await db.put(a_task(State.RUNNING).but(id=an_id(9)))  # adopted: before all others
    for number in (1, 2, 3):
        await queue.put(an_event(task_id=an_id(number), event_id=an_id(100 + number)), NOW)
    await queue.put(an_event(task_id=an_id(9), event_id=an_id(109), generation=1), NOW)
    for number in (1, 2):
        await db.forget(a_task(State.COMPLETED).but(id=an_id(number)), NOW)
    rows = store.read("SELECT rowid, task_id FROM queue")
    before = db.listed().body
    store.close()
    kept(there, target)
    put_back(target, there)
    again = open_store(there)
    assert again.read("SELECT rowid, task_id FROM queue") == rows
    assert Db(again).listed().body == before
    again.close()


# -- where it goes -------------------------------------------------------------------------------


def test_a_file_that_is_there_is_replaced_only_when_told(
    used: Store, there: Path, target: Path
) -> None:
    target.write_text("precious")
    with pytest.raises(CannotCopy, match="is there already"):
        kept(there, target)
    assert target.read_text() == "precious"
    back_up(there, target, new_id(), replace=True)
    assert told(target) == told(there / FILE_NAME)
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", sorted(OWN_FILES))
def test_the_workers_own_files_are_replaced_in_no_case(
    used: Store, there: Path, tmp_path: Path, name: str
) -> None:
    """By whatever path."""
    (tmp_path / "link").symlink_to(there)
    before = everything(there)
    for folder in (there, tmp_path / "link", there / ".." / there.name):
        with pytest.raises(CannotCopy, match="is the worker's own"):
            back_up(there, folder / name, new_id(), replace=True)
    assert everything(there).keys() == before.keys()
    assert everything(there)[FILE_NAME] == before[FILE_NAME]


def test_what_is_no_target_is_told(used: Store, there: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotCopy, match=f"there is no directory {tmp_path}/none"):
        kept(there, tmp_path / "none" / "copy")
    with pytest.raises(CannotCopy, match="is a directory"):
        back_up(there, tmp_path, new_id(), replace=True)


def test_without_a_database_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(CannotCopy, match=f"there is no database in {tmp_path}"):
        kept(tmp_path, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000], ids=["empty", "other"])
def test_what_is_no_database_is_not_copied(tmp_path: Path, target: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(CannotCopy, match=r"not a database|no database of a worker"):
        kept(tmp_path, target)
    assert not any(target.parent.iterdir())


def scratch(path: Path) -> None:
    """Its head is sound, what follows is not."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xa5" * (len(whole) - len(whole) // 2))


async def test_a_broken_database_gives_no_backup(there: Path, target: Path) -> None:
    store = open_store(there)
    await store.write(put("k1", "x" * 100_000))
    store.close()
    scratch(there / FILE_NAME)
    with pytest.raises(CannotCopy, match=f"no backup of {there}"):
        kept(there, target)
    assert not any(target.parent.iterdir())


NO_ROOM = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from keelman.backup import back_up
    from keelman.errors import CannotCopy

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        back_up(Path(sys.argv[1]), Path(sys.argv[2]), "a-tag-of-mine", replace=True)
    except CannotCopy as error:
        print(error.message)
    """
)


def test_when_room_runs_out_everything_is_as_it_was(used: Store, there: Path, target: Path) -> None:
    """Also the backup from before."""
    target.write_text("the last one")
    command = [sys.executable, "-c", NO_ROOM, str(there), str(target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    assert done.stdout.decode().startswith(f"no backup of {there / FILE_NAME} was made: ")
    assert target.read_text() == "the last one"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_without_room_nothing_is_begun(
    used: Store, there: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = kept(there, target.with_name("before")).size_bytes
    whole = shutil.disk_usage("/")

    def leave(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: whole._replace(free=free))

    leave(size - 1)
    with pytest.raises(CannotCopy, match=f"No space left on device: '{target}'"):
        kept(there, target)
    leave(size)
    kept(there, target)


def test_of_a_copy_that_fails_no_file_is_left(
    used: Store, there: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its files SQLite had made."""

    def fails(made: sqlite3.Connection, source: sqlite3.Connection) -> None:
        (part,) = target.parent.iterdir()
        for suffix in ("-journal", "-wal", "-shm"):
            part.with_name(part.name + suffix).touch()
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(files, "_fill", fails)
    with pytest.raises(CannotCopy, match="disk I/O error"):
        kept(there, target)
    assert not any(target.parent.iterdir())


def test_a_backup_that_is_broken_off_leaves_nothing(
    used: Store, there: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C at the last moment."""

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kept(there, target)
    assert not any(target.parent.iterdir())


def test_a_copy_that_came_out_broken_is_thrown_away(
    used: Store, there: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "fault", lambda connection: "row 3 missing from index")
    with pytest.raises(CannotCopy, match="row 3 missing"):
        kept(there, target)
    assert not any(target.parent.iterdir())


def test_a_backup_is_on_disk_before_it_has_its_name(
    used: Store, there: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "sync", lambda path: synced.append((path.name, target.exists())))
    kept(there, target)
    (first, before), (second, after) = synced
    assert first.startswith(f".{target.name}.")
    assert (before, second, after) == (False, target.parent.name, True)


# -- restored ------------------------------------------------------------------------------------


async def test_a_restored_database_is_the_backup_and_another_log(there: Path, target: Path) -> None:
    store = open_store(there)
    await store.write(put("k1"))
    log_id = Db(store).log_id
    kept(there, target)
    await store.write(put("k2"))
    store.close()
    back = put_back(target, there)
    assert (back.path, back.tasks, back.last) == (there / FILE_NAME, 0, None)
    again = open_store(there)
    assert keys(again) == ["k1"]
    assert Db(again).log_id != log_id
    assert again.new_log == "a backup was restored"
    again.close()
    once_more = open_store(there)
    assert once_more.new_log == ""
    once_more.close()


def test_what_was_there_is_kept_whole(there: Path, target: Path) -> None:
    """Also what a killed worker left in its -wal; and that can be put back, too."""
    subprocess.run([sys.executable, "-c", DIE, str(there)], check=False, timeout=60)
    empty = there.with_name("empty")
    open_store(empty).close()
    kept(empty, target)
    back = put_back(target, there)
    assert back.kept_as is not None
    assert back.kept_as.parent == there
    assert [path.name for path in there.glob("*replaced*")] == [back.kept_as.name]  # one file
    assert "'k1'" in dump(back.kept_as)
    assert "'k1'" not in dump(there / FILE_NAME)
    assert not (there / f"{FILE_NAME}-wal").exists()
    put_back(back.kept_as, there)
    assert "'k1'" in dump(there / FILE_NAME)


def test_a_wal_that_was_left_alone_is_not_mixed_in(there: Path, target: Path) -> None:
    """Beside another database SQLite would take it for that one's."""
    empty = there.with_name("empty")
    open_store(empty).close()
    kept(empty, target)
    subprocess.run([sys.executable, "-c", DIE, str(there)], check=False, timeout=60)
    (there / FILE_NAME).unlink()
    back = put_back(target, there)
    assert back.kept_as is None
    store = open_store(there)
    assert (keys(store), store.set_aside) == ([], None)
    store.close()


def test_a_broken_database_is_replaced_and_kept(there: Path, target: Path) -> None:
    open_store(there).close()
    kept(there, target)
    (there / FILE_NAME).write_bytes(b"broken" * 1000)
    (there / f"{FILE_NAME}-wal").write_bytes(b"its own")
    back = put_back(target, there)
    assert back.kept_as is not None
    assert back.kept_as.read_bytes() == b"broken" * 1000
    store = open_store(there)
    assert store.set_aside is None
    store.close()


def test_a_directory_that_is_new_is_made(tmp_path: Path, there: Path, target: Path) -> None:
    """A machine was lost, its backup was not."""
    open_store(there).close()
    kept(there, target)
    shutil.rmtree(there)
    back = put_back(target, tmp_path / "a" / "b")
    assert back.kept_as is None
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    open_store(tmp_path / "a" / "b").close()


def test_under_a_worker_nothing_is_restored(used: Store, there: Path, target: Path) -> None:
    kept(there, target)
    before = everything(there)
    with pytest.raises(CannotCopy, match=f"a worker uses {there}: stop it first"):
        put_back(target, there)
    assert everything(there) == before


def test_no_worker_starts_while_it_is_restored(
    there: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(there).close()
    kept(there, target)
    tried: list[str] = []
    set_aside = files.set_aside

    def trying(path: Path, name: str) -> Path | None:
        with pytest.raises(Exception, match="another worker uses"):
            open_store(there)
        tried.append(name)
        return set_aside(path, name)

    monkeypatch.setattr(files, "set_aside", trying)
    put_back(target, there)
    assert tried
    open_store(there).close()  # the lock is free again


def not_there(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE meta (key, value)")
    connection.close()


@pytest.mark.parametrize("wrong", [not_there, empty, of_another_program, scratch])
async def test_what_is_no_backup_is_not_restored(
    there: Path, target: Path, wrong: Callable[[Path], None]
) -> None:
    store = open_store(there)
    await store.write(put("k1", "x" * 100_000))
    store.close()
    kept(there, target)
    wrong(target)
    before = everything(there)
    with pytest.raises(CannotCopy):
        put_back(target, there)
    assert everything(there) == before


def test_a_database_does_not_take_its_own_place(there: Path) -> None:
    open_store(there).close()
    with pytest.raises(CannotCopy, match="is the database that is to be replaced"):
        put_back(there / FILE_NAME, there)


def test_what_fails_on_the_way_leaves_everything_as_it_was(
    there: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(there).close()
    kept(there, target)
    before = everything(there)

    def fails(path: Path, name: str) -> Path | None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "set_aside", fails)
    with pytest.raises(CannotCopy, match=f"{target} was not restored: .*Input/output error"):
        put_back(target, there)
    assert everything(there).keys() <= before.keys()
    assert everything(there)[FILE_NAME] == before[FILE_NAME]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_restores_for_the_workers_user(there: Path, target: Path) -> None:
    open_store(there).close()
    kept(there, target)
    (there / files.LOCK_NAME).unlink()
    os.chown(there, 1234, 1235)
    put_back(target, there)
    for name in (FILE_NAME, files.LOCK_NAME):
        assert ((there / name).stat().st_uid, (there / name).stat().st_gid) == (1234, 1235)


def test_a_copied_data_directory_can_be_restored_from(tmp_path: Path, there: Path) -> None:
    """With what a killed worker left in its -wal."""
    subprocess.run([sys.executable, "-c", DIE, str(there)], check=False, timeout=60)
    shutil.copytree(there, tmp_path / "copied")
    put_back(tmp_path / "copied" / FILE_NAME, tmp_path / "new")
    assert "'k1'" in dump(tmp_path / "new" / FILE_NAME)
