"""The store: what is acknowledged is on disk, and nothing else is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keelman.errors import CannotRecord
from keelman.store import BATCH_MOST, FILE_NAME, Store
from tests.unit.given_store import ALL_KEYS, Gate, keys, open_store, peek, put


def put_and_fail(key: str) -> Callable[[sqlite3.Connection], None]:
    def write(connection: sqlite3.Connection) -> None:
        put(key)(connection)
        raise LookupError(key)

    return write


async def behind_a_gate(store: Store, *writes: Callable[[sqlite3.Connection], Any]) -> list[Any]:
    """What each write came to, all of them having waited for the same one."""
    gate = Gate()
    held = asyncio.create_task(store.write(gate))
    await gate.reached()
    waiting = [asyncio.create_task(store.write(write)) for write in writes]
    await asyncio.sleep(0)  # each has handed its job over
    gate.open()
    await held
    return await asyncio.gather(*waiting, return_exceptions=True)


# -- writes --------------------------------------------------------------------------------------


async def test_a_write_returns_its_result_and_is_on_disk(store: Store) -> None:
    assert await store.write(put("k1")) == "k1"
    assert peek(store.directory, ALL_KEYS) == [("k1",)]


async def test_what_a_write_raises_is_raised_and_nothing_of_it_is_kept(store: Store) -> None:
    with pytest.raises(LookupError, match="k1"):
        await store.write(put_and_fail("k1"))
    assert keys(store) == []


async def test_writes_that_wait_together_are_committed_together(store: Store) -> None:
    statements: list[str] = []
    store._writer.set_trace_callback(statements.append)
    await behind_a_gate(store, *(put(f"k{number:03}") for number in range(100)))
    store._writer.set_trace_callback(None)
    assert statements.count("COMMIT") == 2  # the gate's, and that of all others
    assert statements.count("SAVEPOINT job") == 101
    assert len(keys(store)) == 100


async def test_an_error_undoes_only_its_own_write(store: Store) -> None:
    results = await behind_a_gate(store, put("k1"), put_and_fail("k2"), put("k3"))
    assert [type(result) for result in results] == [str, LookupError, str]
    assert keys(store) == ["k1", "k3"]


@pytest.mark.parametrize(
    ("write", "error"),
    [
        pytest.param(put("k1"), sqlite3.IntegrityError, id="a key twice"),
        pytest.param(put("k9", object()), sqlite3.Error, id="a value of no type"),
        pytest.param(put("k9", 2**70), OverflowError, id="a number too large"),
    ],
)
async def test_a_write_that_is_wrong_in_itself_does_not_take_others_down(
    store: Store, write: Callable[[sqlite3.Connection], Any], error: type[Exception]
) -> None:
    results = await behind_a_gate(store, put("k1"), write, put("k3"))
    assert isinstance(results[1], error)
    assert keys(store) == ["k1", "k3"]


async def test_more_than_a_batch_is_several_batches(store: Store) -> None:
    many = [put(f"k{number:04}") for number in range(BATCH_MOST + 10)]
    assert await behind_a_gate(store, *many) == [f"k{number:04}" for number in range(len(many))]
    assert len(keys(store)) == len(many)


async def test_writes_happen_in_the_order_in_which_they_were_asked_for(store: Store) -> None:
    order: list[str] = []
    await asyncio.gather(*(store.write(put(f"k{n:02}"), order.append) for n in range(50)))
    assert order == sorted(order)


async def test_a_look_up_does_not_wait_for_a_write_and_sees_only_what_is_committed(
    store: Store,
) -> None:
    gate = Gate()

    def write(connection: sqlite3.Connection) -> None:
        put("k1")(connection)
        gate(connection)

    writing = asyncio.create_task(store.write(write))
    await gate.reached()
    assert keys(store) == []
    gate.open()
    await writing
    assert keys(store) == ["k1"]


async def test_a_snapshot_is_one_moment(store: Store) -> None:
    with store.snapshot():
        assert keys(store) == []
        with sqlite3.connect(store.directory / FILE_NAME) as other:
            put("k1")(other)
        other.close()
        assert keys(store) == []
    assert keys(store) == ["k1"]


# -- what follows a write ------------------------------------------------------------------------


async def test_what_follows_is_called_once_the_write_is_durable(store: Store) -> None:
    seen: list[list[tuple[object, ...]]] = []
    await store.write(put("k1"), lambda _: seen.append(peek(store.directory, ALL_KEYS)))
    assert seen == [[("k1",)]]


async def test_what_follows_is_called_before_the_writer_goes_on(store: Store) -> None:
    order: list[str] = []
    await store.write(put("k1"), lambda _: order.append("then"))
    order.append("after")
    assert order == ["then", "after"]


async def test_what_follows_is_called_even_when_the_caller_went_away(store: Store) -> None:
    gate, followed = Gate(), asyncio.Event()
    held = asyncio.create_task(store.write(gate))
    await gate.reached()
    writing = asyncio.create_task(store.write(put("k1"), lambda _: followed.set()))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    gate.open()
    await held
    await followed.wait()
    assert keys(store) == ["k1"]


async def test_nothing_follows_a_write_that_failed(store: Store) -> None:
    followed: list[object] = []
    with pytest.raises(LookupError):
        await store.write(put_and_fail("k1"), followed.append)
    assert followed == []


async def test_an_error_in_what_follows_leaves_nobody_waiting(store: Store) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def fail(_: str) -> None:
        raise LookupError("then")

    assert await store.write(put("k1"), fail) == "k1"
    assert [type(context["exception"]) for context in reported] == [LookupError]


# -- when it cannot record -----------------------------------------------------------------------


def full(store: Store) -> None:
    """The disk has no more room."""
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages}")


def read_only(store: Store) -> None:
    store._writer.execute("PRAGMA query_only = ON")


def commit_fails(store: Store) -> None:
    """All goes well until the COMMIT."""
    store._writer.executescript(
        "PRAGMA foreign_keys = ON; CREATE TABLE broken"
        " (id TEXT REFERENCES meta (key) DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TRIGGER break AFTER INSERT ON meta BEGIN INSERT INTO broken VALUES ('none'); END;"
    )


TROUBLES = pytest.mark.parametrize(
    "trouble", [full, read_only, commit_fails], ids=lambda trouble: trouble.__name__
)


@TROUBLES
async def test_a_disk_that_takes_nothing_is_cannot_record(
    store: Store, trouble: Callable[[Store], None]
) -> None:
    trouble(store)
    followed: list[object] = []
    with pytest.raises(CannotRecord, match="the database cannot be written: ") as caught:
        await store.write(put("k1", "x" * 1_000_000), followed.append)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert followed == []
    assert keys(store) == []


@TROUBLES
async def test_of_a_batch_that_is_not_committed_nothing_is_acknowledged(
    store: Store, trouble: Callable[[Store], None]
) -> None:
    trouble(store)
    writes = [store.write(put(f"k{number}", "x" * 1_000_000)) for number in range(3)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [CannotRecord] * 3
    assert peek(store.directory, ALL_KEYS) == []


async def test_it_records_again_once_there_is_room(store: Store) -> None:
    full(store)
    with pytest.raises(CannotRecord):
        await store.write(put("k1", "x" * 1_000_000))
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert await store.write(put("k2", "x" * 1_000_000)) == "k2"


async def test_a_failed_look_up_is_cannot_record(store: Store) -> None:
    with pytest.raises(CannotRecord, match="cannot be read"):
        store.read("SELECT * FROM nowhere")


async def test_a_closed_store_records_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.close()
    with pytest.raises(CannotRecord):
        await store.write(put("k1"))
    with pytest.raises(CannotRecord):
        store.read(ALL_KEYS)


async def test_closing_commits_what_waits(tmp_path: Path) -> None:
    store, gate = open_store(tmp_path), Gate()
    writes = [asyncio.create_task(store.write(write)) for write in (gate, put("k1"), put("k2"))]
    await asyncio.sleep(0)
    gate.open()
    store.close()
    assert await asyncio.gather(*writes) == [None, "k1", "k2"]
    assert peek(tmp_path, ALL_KEYS) == [("k1",), ("k2",)]
