"""Live listeners: each gets every Transition once, in order, or is told that it cannot."""

from __future__ import annotations

import asyncio

import pytest

from keelman import db as dbs
from keelman import events as streams
from keelman.db import Db
from keelman.errors import EventsGone
from keelman.events import Events
from keelman.store import Store
from keelman.task import State, Transition
from keelman.wire import encode_transition
from tests.unit.given import NOW, TASK_ID, a_task


@pytest.fixture
def db(store: Store) -> Db:
    return Db(store)


async def record(db: Db, events: Events | None, count: int = 1) -> None:
    """So many Transitions, on disk and, where there are listeners, told."""
    for _ in range(count):
        move = Transition(task_id=TASK_ID, from_=State.PENDING, to=State.SCHEDULED, time=NOW)
        done = await db.put(a_task(State.SCHEDULED), move)
        assert done is not None
        if events is not None:
            events.publish(done)


async def everything(events: Events, seq: int = 0) -> list[int]:
    """The numbers that a listener gets that has seen all up to `seq`."""
    numbers: list[int] = []
    while seq < events.last_seq:
        entries = await events.after(seq)
        numbers += [entry.move.seq for entry in entries]
        seq = numbers[-1]
    return numbers


async def test_a_listener_gets_what_is_published_with_its_json(db: Db) -> None:
    events = Events(db)
    listening = asyncio.create_task(events.after(0))
    await asyncio.sleep(0)
    assert not listening.done()
    await record(db, events)
    (entry,) = await listening
    assert entry.move == db.transitions(0)[0]
    assert entry.body == encode_transition(entry.move)


@pytest.mark.parametrize("ring", [1, 3, 10, 100])
@pytest.mark.parametrize("read", [1, 4, 100])
async def test_whoever_is_behind_gets_everything_from_ring_and_db_without_a_hole(
    db: Db, monkeypatch: pytest.MonkeyPatch, ring: int, read: int
) -> None:
    monkeypatch.setattr(streams, "RING_LENGTH", ring)
    monkeypatch.setattr(streams, "READ_MOST", read)
    await record(db, None, 5)  # by the worker before this one
    events = Events(db)
    await record(db, events, 10)
    for seen in range(16):
        assert await everything(events, seen) == list(range(seen + 1, 16))


async def test_the_recent_ones_come_from_memory(db: Db, store: Store) -> None:
    events = Events(db)
    await record(db, events, 3)
    await store.write(lambda connection: connection.execute("DELETE FROM transitions"))
    assert await everything(events) == [1, 2, 3]


async def test_each_of_many_listeners_gets_everything(db: Db) -> None:
    events = Events(db)

    async def listen() -> list[int]:
        numbers: list[int] = []
        while len(numbers) < 20:
            numbers += [entry.move.seq for entry in await events.after(len(numbers))]
        return numbers

    listening = [asyncio.create_task(listen()) for _ in range(5)]
    await record(db, events, 20)
    assert await asyncio.gather(*listening) == [list(range(1, 21))] * 5


async def test_a_hole_is_told_and_never_skipped(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RING_LENGTH", 2)
    monkeypatch.setattr(dbs, "TRANSITIONS_MOST", 4)
    events = Events(db)
    await record(db, events, 10)
    await db.sweep(NOW)
    assert await everything(events, 6) == [7, 8, 9, 10]
    with pytest.raises(EventsGone, match="Transition 6 is no longer kept"):
        await events.after(5)


async def test_closing_ends_whoever_waits_and_whoever_comes_later(db: Db) -> None:
    events = Events(db)
    waiting = [asyncio.create_task(events.after(0)), asyncio.create_task(events.after(7))]
    news = asyncio.create_task(events.news())
    await asyncio.sleep(0)
    events.close()
    async with asyncio.timeout(10):
        assert await asyncio.gather(*waiting) == [[], []]
        await news
        await events.news()
        assert await events.after(0) == []


async def test_what_was_published_before_closing_is_still_given(db: Db) -> None:
    events = Events(db)
    await record(db, events, 2)
    events.close()
    assert [entry.move.seq for entry in await events.after(0)] == [1, 2]


async def test_a_listener_that_goes_leaves_the_others_alone(db: Db) -> None:
    events = Events(db)
    going, staying = (asyncio.create_task(events.after(0)) for _ in range(2))
    await asyncio.sleep(0)
    going.cancel()
    await record(db, events)
    assert len(await staying) == 1
