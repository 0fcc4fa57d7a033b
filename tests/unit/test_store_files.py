"""The store's files: who may open them, which are broken, and what a crash leaves in them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from keelman.errors import CannotRecord, CannotStart
from keelman.store import FILE_NAME, Store
from tests.unit.given_store import keys, open_store, peek, put

# -- opening -------------------------------------------------------------------------------------


def log_id(directory: Path) -> object:
    return peek(directory, "SELECT value FROM meta WHERE key = 'log_id'")[0][0]


def test_a_directory_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    first = open_store(tmp_path)
    with pytest.raises(CannotStart, match=f"another worker uses the data directory {tmp_path}"):
        open_store(tmp_path)
    first.close()
    open_store(tmp_path).close()


def test_a_missing_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    open_store(tmp_path / "a" / "b").close()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_an_empty_directory_becomes_its_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_store(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_directory_with_something_in_it_keeps_its_mode_and_every_file_is_the_owners_alone(
    tmp_path: Path,
) -> None:
    """It may be more than the worker's: nobody is shut out of what was his."""
    (tmp_path / "theirs").touch()
    tmp_path.chmod(0o755)
    open_store(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    ours = set(tmp_path.iterdir()) - {tmp_path / "theirs"}
    assert {file.stat().st_mode & 0o777 for file in ours} == {0o600}


def test_a_directory_that_cannot_be_used_is_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="cannot be used"):
        open_store(tmp_path / "file" / "below")


def test_every_commit_is_synced(store: Store) -> None:
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_log_keeps_its_id_and_a_new_one_gets_its_own(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    first = log_id(tmp_path)
    open_store(tmp_path).close()
    assert log_id(tmp_path) == first
    (tmp_path / FILE_NAME).unlink()
    open_store(tmp_path).close()
    assert log_id(tmp_path) != first


# -- broken files --------------------------------------------------------------------------------


def overwritten(path: Path) -> None:
    path.write_bytes(b"this is no database at all\n" * 1000)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def scratched(path: Path) -> None:
    """The header is sound, what it points to is not."""
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))


@pytest.mark.parametrize(
    "broken", [overwritten, cut_short, scratched], ids=lambda broken: broken.__name__
)
async def test_a_broken_database_is_set_aside_and_kept(
    tmp_path: Path, broken: Callable[[Path], None]
) -> None:
    store = open_store(tmp_path)
    await store.write(put("k1", "x" * 100_000))
    store.close()
    old_log = log_id(tmp_path)
    broken(tmp_path / FILE_NAME)
    as_it_was = (tmp_path / FILE_NAME).read_bytes()

    store = open_store(tmp_path)
    assert store.set_aside is not None
    assert store.set_aside.read_bytes() == as_it_was
    assert store.set_aside.name.startswith(f"{FILE_NAME}.broken-")
    assert await store.write(put("k2")) == "k2"
    store.close()
    assert log_id(tmp_path) != old_log


async def test_a_sound_database_is_not_set_aside(tmp_path: Path) -> None:
    for expected in ([], ["k1"]):
        store = open_store(tmp_path)
        assert store.set_aside is None
        assert keys(store) == expected
        await store.write(put("k1" if not expected else "k2"))
        store.close()


def test_what_cannot_be_opened_is_not_taken_for_broken(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(CannotStart):
        open_store(tmp_path)
    assert (tmp_path / FILE_NAME).is_dir()


# -- crashes -------------------------------------------------------------------------------------

WRITE_AND_DIE = textwrap.dedent(
    """
    import asyncio, os, signal, sys
    from pathlib import Path
    from keelman.store import Store

    acknowledged = 0

    def acknowledge(key):
        global acknowledged
        os.write(1, f"{key}\\n".encode())
        acknowledged += 1
        if acknowledged == int(sys.argv[2]):
            os.kill(os.getpid(), int(sys.argv[3])) if sys.argv[3] != "0" else os._exit(9)

    def put(key):
        def write(connection):
            connection.execute("INSERT INTO meta VALUES (?, ?)", (key, "x" * 1000))
            return key
        return write

    async def main():
        store = Store(Path(sys.argv[1]), lambda: "an id")
        await asyncio.gather(*(store.write(put(f"k{n:04}"), acknowledge) for n in range(1000)))

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("acknowledged", [1, 600])
@pytest.mark.parametrize("how", [signal.SIGKILL, 0], ids=["kill -9", "os._exit"])
def test_what_was_acknowledged_outlives_a_crash(
    tmp_path: Path, acknowledged: int, how: int
) -> None:
    died = subprocess.run(
        [sys.executable, "-c", WRITE_AND_DIE, str(tmp_path), str(acknowledged), str(int(how))],
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert died.returncode in {-signal.SIGKILL, 9}
    told = died.stdout.decode().split()
    assert len(told) == acknowledged
    store = open_store(tmp_path)
    assert store.set_aside is None
    assert set(told) <= set(keys(store))
    store.close()


async def test_a_file_that_was_deleted_under_the_worker_takes_no_write(tmp_path: Path) -> None:
    """What is written to it would be gone with the process."""
    store = open_store(tmp_path)
    await store.write(lambda connection: None)
    (tmp_path / FILE_NAME).unlink()
    with pytest.raises(CannotRecord):
        await store.write(lambda connection: None)
    store.close()
