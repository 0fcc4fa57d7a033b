"""The Db: each Task as it is, and every Transition."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from keelman import db as dbs
from keelman.db import TOMBSTONE_SECONDS, Db
from keelman.errors import CannotRecord
from keelman.listing import Listing
from keelman.queue import Queue
from keelman.store import Job, Store
from keelman.task import State, Task, TaskEvent, Transition
from tests.unit.given import NOW, TASK_ID, a_task
from tests.unit.given_store import open_store
from tests.unit.given_wire import OTHER_EVENT_ID, a_delete, an_event, an_id

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State


@pytest.fixture
def db(store: Store) -> Db:
    return Db(store)


@pytest.fixture
def queue(store: Store) -> Queue:
    return Queue(store)


def numbered(number: int, state: State = RUNNING, **known: Any) -> Task:
    return a_task(state, **known).but(id=an_id(number))


def a_move(task_id: str = TASK_ID, to: State = SCHEDULED) -> Transition:
    return Transition(task_id=task_id, from_=PENDING, to=to, time=NOW)


def listed(db: Db) -> list[tuple[str, int]]:
    return [(task["ID"], task["State"]) for task in json.loads(db.listed().body)]


# -- tasks ---------------------------------------------------------------------------------------


async def test_a_task_reads_back_as_it_was_recorded(db: Db) -> None:
    task = a_task(RUNNING, attempt=3)
    await db.put(task)
    assert db.get(TASK_ID) == task
    await db.put(task.to(FAILED, finish_time=NOW))
    assert db.get(TASK_ID) == task.to(FAILED, finish_time=NOW)


def test_what_is_not_on_record_is_none(db: Db) -> None:
    assert db.get(TASK_ID) is None
    assert db.shown(TASK_ID) is None
    assert not db.buried(TASK_ID)


async def test_the_newest_move_of_a_task_is_its_last(db: Db) -> None:
    assert db.last_move(TASK_ID) is None
    for to in (SCHEDULED, RUNNING):
        await db.put(a_task(RUNNING), a_move(to=to))
        await db.put(numbered(1), a_move(an_id(1)))
    last = db.last_move(TASK_ID)
    assert last is not None
    assert (last.to, last.seq) == (RUNNING, 3)


async def test_live_tasks_are_those_that_have_not_ended(db: Db) -> None:
    for state in State:
        await db.put(numbered(state, state))
    assert db.live() == {an_id(0): PENDING, an_id(1): SCHEDULED, an_id(2): RUNNING}


async def test_a_failure_decided_on_before_a_stop_came_is_not_recorded(
    db: Db, queue: Queue
) -> None:
    await queue.put(an_event(), NOW)
    await db.put(a_task(RUNNING))
    await queue.put(a_delete(), NOW)
    assert await db.put(a_task(FAILED), a_move(to=FAILED)) is None
    assert (db.get(TASK_ID), db.last_seq()) == (a_task(RUNNING), 0)


@pytest.mark.parametrize("state", [SCHEDULED, RUNNING, COMPLETED], ids=lambda state: state.name)
async def test_what_else_was_decided_on_before_a_stop_came_is_recorded(
    db: Db, queue: Queue, state: State
) -> None:
    await queue.put(an_event(), NOW)
    await queue.put(a_delete(), NOW)
    assert await db.put(a_task(state), a_move(to=state)) is not None


async def test_a_failure_is_recorded_whatever_else_was_wished(db: Db, queue: Queue) -> None:
    await db.put(a_task(FAILED, wish=0), a_move(to=FAILED))
    await queue.put(an_event(), NOW)
    assert await db.put(a_task(FAILED, wish=1), a_move(to=FAILED)) is not None
    assert await db.put(a_task(FAILED, wish=0), a_move(to=FAILED)) is not None


# -- the list ------------------------------------------------------------------------------------


async def test_a_wish_not_yet_taken_up_is_listed_as_pending(db: Db, queue: Queue) -> None:
    await queue.put(an_event(), NOW)
    assert listed(db) == [(TASK_ID, PENDING)]
    await db.put(a_task(RUNNING))
    assert listed(db) == [(TASK_ID, RUNNING)]


async def test_a_list_is_kept_for_those_only_who_may_see_as_much(db: Db) -> None:
    await db.put(a_task(RUNNING))
    assert db.listed().body is db.listed().body
    assert db.listed(shown=lambda _: b'"hidden"').body == b'["hidden"]'
    assert listed(db) == [(TASK_ID, RUNNING)]


async def test_no_kept_list_is_told_while_something_is_committed(
    db: Db, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be on disk already, and be told by another route."""
    await db.put(a_task(RUNNING))
    kept = db.listed().body
    monkeypatch.setattr(store, "_committing", True)
    between = db.listed().body
    assert between is not kept
    assert between is not db.listed().body
    monkeypatch.setattr(store, "_committing", False)
    assert db.listed().body is kept


async def test_a_failed_task_asked_for_again_is_listed_once_and_pending(
    db: Db, queue: Queue
) -> None:
    await queue.put(an_event(), NOW)
    await db.put(a_task(FAILED, wish=1))
    await queue.put(an_event(event_id=OTHER_EVENT_ID, name="again"), NOW)
    ((fields,),) = [json.loads(db.listed().body)]
    assert (fields["ID"], fields["State"], fields["Name"]) == (TASK_ID, PENDING, "again")


async def test_a_task_being_stopped_is_listed_as_it_is(db: Db, queue: Queue) -> None:
    await queue.put(an_event(), NOW)
    await db.put(a_task(RUNNING))
    await queue.put(a_delete(), NOW)
    assert listed(db) == [(TASK_ID, RUNNING)]


async def test_the_list_and_a_single_task_tell_the_same(db: Db, queue: Queue) -> None:
    for number, state in enumerate([None, *State], start=1):
        await queue.put(an_event(task_id=an_id(number), event_id=an_id(90 + number)), NOW)
        if state is not None:
            await db.put(numbered(number, state, wish=number))
    for task_id, state in listed(db):
        task = db.shown(task_id)
        assert task is not None
        assert task.state == state


@pytest.mark.parametrize("newer", [an_event(event_id=OTHER_EVENT_ID, generation=3),
                                   a_delete(generation=3)], ids=["run", "stop"])  # fmt: skip
async def test_a_generation_not_served_yet_is_shown_in_the_list_as_well(
    db: Db, queue: Queue, newer: TaskEvent
) -> None:
    await queue.put(an_event(), NOW)
    await db.put(a_task(RUNNING))
    await queue.put(newer, NOW)
    ((fields,), task) = json.loads(db.listed().body), db.shown(TASK_ID)
    assert task is not None
    assert (fields["State"], fields["Generation"]) == (RUNNING, 3) == (task.state, task.generation)


async def test_the_list_is_in_the_order_in_which_tasks_were_sent(db: Db, queue: Queue) -> None:
    """And stays in it, in whatever order the loop takes them up."""
    order = [an_id(number) for number in (5, 3, 9, 1)]
    for task_id in order:
        await queue.put(an_event(task_id=task_id, event_id=task_id), NOW)
    assert [task_id for task_id, _ in listed(db)] == order
    for number in (9, 1, 5, 3):
        await db.put(numbered(number, RUNNING))
        assert [task_id for task_id, _ in listed(db)] == order


async def test_an_adopted_task_is_listed_before_those_that_were_sent_later(
    db: Db, queue: Queue
) -> None:
    await db.put(numbered(7, RUNNING, wish=0))
    await queue.put(an_event(), NOW)
    assert listed(db) == [(an_id(7), RUNNING), (TASK_ID, PENDING)]


async def test_an_adopted_task_keeps_its_place_when_it_is_asked_for(db: Db, queue: Queue) -> None:
    """Or a page would show it again, and whoever goes on from it would skip all others."""
    for number in (7, 5):
        await db.put(numbered(number, RUNNING, wish=0))
    await queue.put(an_event(), NOW)
    before = [task_id for task_id, _ in listed(db)]
    for number in (5, 7):
        await queue.put(a_delete(task_id=an_id(number)), NOW)
        assert [task_id for task_id, _ in listed(db)] == before
    await queue.put(an_event(task_id=an_id(9), event_id=an_id(9)), NOW)
    assert [task_id for task_id, _ in listed(db)] == [an_id(7), an_id(5), TASK_ID, an_id(9)]


async def test_a_place_is_never_given_to_another_task(db: Db, queue: Queue) -> None:
    """Not even that of the newest, after it was cleaned away."""
    await queue.put(an_event(task_id=an_id(1), event_id=an_id(1)), NOW)
    for number in (2, 3):
        await queue.put(an_event(task_id=an_id(number), event_id=an_id(number)), NOW)
        await db.put(numbered(number, COMPLETED, wish=number, finish_time=NOW))
    (first,) = db._store.read("SELECT max(rowid) FROM queue")
    assert await db.forget(numbered(3, COMPLETED, wish=3), NOW)
    await queue.put(an_event(task_id=an_id(4), event_id=an_id(4)), NOW)
    (second,) = db._store.read("SELECT max(rowid) FROM queue")
    assert second > first


async def test_the_list_is_of_one_moment_and_says_which(
    db: Db, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is committed while it is put together comes after it."""
    await db.put(a_task(SCHEDULED), a_move())
    read = store.read
    advance = "UPDATE meta SET value = value + 1 WHERE key = 'transition_seq'"

    def interrupted(sql: str, *values: object) -> list[Any]:
        rows = read(sql, *values)
        committed = threading.Event()
        store._jobs.put((Job(lambda writer: writer.execute(advance)), committed.set))
        assert committed.wait(10)
        return rows

    monkeypatch.setattr(store, "read", interrupted)
    assert db.listed().seq == 1
    assert db.listed().seq > 1


# -- Transitions ---------------------------------------------------------------------------------


async def test_a_move_gets_the_next_number_and_is_told_with_it(db: Db) -> None:
    followed: list[Transition | None] = []
    first = await db.put(a_task(SCHEDULED), a_move(), followed.append)
    second = await db.put(a_task(RUNNING), a_move(to=RUNNING), followed.append)
    assert [move.seq for move in (first, second) if move] == [1, 2]
    assert followed == [first, second]
    assert db.transitions(0) == [first, second]


async def test_a_task_without_a_move_takes_no_number(db: Db) -> None:
    assert await db.put(a_task(SCHEDULED)) is None
    assert (db.last_seq(), db.first_seq()) == (0, 1)


async def test_moves_are_numbered_without_gaps_under_concurrency(db: Db) -> None:
    tasks = [numbered(number) for number in range(100)]
    moves = await asyncio.gather(*(db.put(task, a_move(task.id)) for task in tasks))
    assert [move.seq for move in moves if move] == list(range(1, 101))
    assert [move.task_id for move in db.transitions(0)] == [task.id for task in tasks]


async def test_a_task_and_its_move_are_recorded_together_or_not_at_all(
    db: Db, store: Store
) -> None:
    await store.write(
        lambda connection: connection.execute(
            "CREATE TRIGGER break BEFORE INSERT ON transitions BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    )
    with pytest.raises(sqlite3.IntegrityError):
        await db.put(a_task(SCHEDULED), a_move())
    assert db.get(TASK_ID) is None
    assert db.last_seq() == 0
    await store.write(lambda connection: connection.execute("DROP TRIGGER break"))
    move = await db.put(a_task(SCHEDULED), a_move())
    assert move is not None
    assert move.seq == 1


async def test_transitions_are_read_from_a_number_on_of_all_or_of_one(db: Db) -> None:
    for number in (1, 2, 1, 2, 1):
        await db.put(numbered(number), a_move(an_id(number)))
    assert [move.seq for move in db.transitions(2)] == [3, 4, 5]
    assert [move.seq for move in db.transitions(1, most=2)] == [2, 3]
    assert [move.seq for move in db.history(an_id(1))] == [1, 3, 5]
    assert db.transitions(5) == []
    assert db.history(an_id(9)) == []


# -- retention -----------------------------------------------------------------------------------


async def many_ended(db: Db, *finished: float) -> None:
    for number, at in enumerate(finished):
        await db.put(numbered(number, FAILED if number % 2 else COMPLETED, finish_time=at))


@pytest.mark.parametrize(
    ("before", "keep", "most", "expired"),
    [
        pytest.param(0, 100, 100, [], id="all are kept"),
        pytest.param(NOW + 2, 100, 100, [0, 1], id="too old"),
        pytest.param(NOW + 9, 100, 100, [0, 1, 2, 3, 4], id="all too old"),
        pytest.param(0, 5, 100, [], id="as many as may be"),
        pytest.param(0, 3, 100, [0, 1], id="too many"),
        pytest.param(0, 1, 100, [0, 1, 2, 3], id="all but one"),
        pytest.param(0, 0, 100, [0, 1, 2, 3, 4], id="none is kept"),
        pytest.param(NOW + 3, 4, 100, [0, 1, 2], id="too old, and too many"),
        pytest.param(NOW + 9, 0, 2, [0, 1], id="the oldest first"),
    ],
)
async def test_ended_tasks_expire_by_age_and_by_number(
    db: Db, before: float, keep: int, most: int, expired: list[int]
) -> None:
    await many_ended(db, *(NOW + number for number in range(5)))
    ids = db.expired(before, keep=keep, most=most)
    assert ids == [an_id(number) for number in expired]


async def test_no_more_are_kept_when_all_ended_at_the_same_time(db: Db) -> None:
    await many_ended(db, *[NOW] * 5)
    assert len(db.expired(0, keep=2, most=100)) == 3


async def test_a_live_task_never_expires(db: Db) -> None:
    for state in (PENDING, SCHEDULED, RUNNING):
        await db.put(numbered(state, state))
    assert db.expired(NOW + 1e9, keep=0, most=100) == []


async def test_a_forgotten_task_leaves_only_a_tombstone(db: Db, queue: Queue) -> None:
    await queue.put(an_event(), NOW)
    task = a_task(COMPLETED, wish=1)
    await db.put(task, a_move(to=COMPLETED))
    assert await db.forget(task, NOW)
    assert (db.get(TASK_ID), db.shown(TASK_ID), queue.get(TASK_ID)) == (None, None, None)
    assert listed(db) == []
    assert db.buried(TASK_ID)
    assert len(db.history(TASK_ID)) == 1  # what happened, happened


async def test_a_task_with_a_newer_wish_is_not_forgotten(db: Db, queue: Queue) -> None:
    await queue.put(an_event(), NOW)
    task = a_task(FAILED, wish=1)
    await db.put(task)
    again = await queue.put(an_event(event_id=OTHER_EVENT_ID), NOW)
    assert not await db.forget(task, NOW)
    assert (db.get(TASK_ID), queue.get(TASK_ID)) == (task, again.wish)
    assert not db.buried(TASK_ID)


async def test_tombstones_stay_for_their_time(db: Db) -> None:
    await db.forget(a_task(COMPLETED), NOW)
    await db.sweep(NOW + TOMBSTONE_SECONDS)
    assert db.buried(TASK_ID)
    await db.sweep(NOW + TOMBSTONE_SECONDS + 1)
    assert not db.buried(TASK_ID)


async def test_no_event_outlives_its_task_for_ever(db: Db, queue: Queue) -> None:
    """The clock may have gone back between the event and the end."""
    await queue.put(an_event(), NOW + 100)
    await db.forget(a_task(COMPLETED, wish=1), NOW)
    await db.sweep(NOW + TOMBSTONE_SECONDS + 1)
    assert (queue.has_seen(an_event()), db.buried(TASK_ID)) == (True, True)
    await db.sweep(NOW + TOMBSTONE_SECONDS + 101)
    assert (queue.has_seen(an_event()), db.buried(TASK_ID)) == (False, False)


async def test_of_a_live_tasks_events_only_the_newest_is_kept_for_ever(
    db: Db, queue: Queue
) -> None:
    """A manager that repeats its wish under new IDs does not fill the disk."""
    await queue.put(an_event(event_id=an_id(1)), NOW)
    await queue.put(an_event(event_id=an_id(2)), NOW + 1)
    await db.sweep(NOW + TOMBSTONE_SECONDS)
    assert [queue.has_seen(an_event(event_id=an_id(number))) for number in (1, 2)] == [True, True]
    await db.sweep(NOW + TOMBSTONE_SECONDS + 2)
    assert [queue.has_seen(an_event(event_id=an_id(number))) for number in (1, 2)] == [False, True]


async def test_the_log_is_trimmed_at_its_old_end_only_and_its_numbers_go_on(
    db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbs, "TRANSITIONS_MOST", 3)
    for _ in range(5):
        await db.put(a_task(RUNNING), a_move())
    await db.sweep(NOW)
    assert [move.seq for move in db.transitions(0)] == [3, 4, 5]
    assert (db.first_seq(), db.last_seq()) == (3, 5)
    move = await db.put(a_task(RUNNING), a_move())
    assert move is not None
    assert move.seq == 6


# -- facts beside them ---------------------------------------------------------------------------


async def test_it_knows_its_log_and_its_engine_across_restarts(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    db = Db(store)
    assert db.engine_id() is None
    await db.set_engine_id("ENGINE")
    await db.put(a_task(RUNNING), a_move())
    store.close()
    store = open_store(tmp_path)
    again = Db(store)
    assert (again.log_id, again.engine_id(), again.last_seq()) == (db.log_id, "ENGINE", 1)
    store.close()


async def test_a_probe_tells_whether_writing_works(db: Db, store: Store) -> None:
    await db.probe(NOW)
    store._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(CannotRecord):
        await db.probe(NOW)


async def test_a_list_of_all_is_made_once_until_anything_is_written(db: Db, queue: Queue) -> None:
    """Whoever writes it: a list is never older than what was committed when it was asked for."""
    await db.put(numbered(1))
    made = db.listed()
    assert db.listed() is made
    await queue.put(an_event(task_id=an_id(2)), NOW)
    asked = db.listed()
    assert [task["ID"] for task in json.loads(asked.body)] == [an_id(1), an_id(2)]
    await db.put(numbered(1, COMPLETED, finish_time=NOW))
    assert json.loads(db.listed().body)[0]["State"] == COMPLETED
    assert db.listed(Listing(limit=1)).body != db.listed().body
