"""The queue: what an event becomes, once and for good."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keelman.db import TOMBSTONE_SECONDS, Db
from keelman.errors import (
    EventReused,
    KeelmanError,
    SpecChanged,
    Stopping,
    TaskCompleted,
    TaskEnded,
    UnknownTask,
)
from keelman.queue import Admitted, Queue
from keelman.store import Store
from keelman.task import State, TaskEvent
from tests.unit.given import NOW, TASK_ID, a_task, a_wish
from tests.unit.given_store import open_store
from tests.unit.given_wire import EVENT_ID, OTHER_EVENT_ID, a_delete, an_event, an_id

RUN = an_event()
STOP = an_event(State.COMPLETED, event_id=OTHER_EVENT_ID)


@pytest.fixture
def queue(store: Store) -> Queue:
    return Queue(store)


@pytest.fixture
def db(store: Store) -> Db:
    return Db(store)


def told(answer: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(answer)
    return fields


# -- one event, one answer -----------------------------------------------------------------------


async def test_a_wish_can_be_read_as_soon_as_it_is_answered(queue: Queue, db: Db) -> None:
    admitted = await queue.put(RUN, NOW)
    assert admitted.wish == queue.get(TASK_ID) == a_wish(seq=1)
    assert (told(admitted.answer)["ID"], told(admitted.answer)["State"]) == (TASK_ID, 0)
    assert db.shown(TASK_ID) is not None
    assert queue.waiting() == [TASK_ID]


async def test_the_same_event_again_gets_the_same_answer_and_makes_no_second_wish(
    queue: Queue, db: Db
) -> None:
    first = await queue.put(RUN, NOW)
    await db.put(a_task(State.RUNNING))
    again = await queue.put(RUN, NOW + 60)
    assert again == Admitted(answer=first.answer)
    assert queue.get(TASK_ID) == first.wish


@pytest.mark.parametrize(
    "later",
    [
        pytest.param([STOP], id="after it was stopped"),
        pytest.param([STOP, a_delete()], id="after it was stopped twice"),
    ],
)
async def test_an_event_seen_before_never_changes_a_newer_wish(
    queue: Queue, later: list[TaskEvent]
) -> None:
    first = await queue.put(RUN, NOW)
    for event in later:
        await queue.put(event, NOW)
    assert (await queue.put(RUN, NOW)).answer == first.answer
    wish = queue.get(TASK_ID)
    assert wish is not None
    assert wish.stops


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(an_event(State.SCHEDULED), id="another State"),
        pytest.param(an_event(generation=1), id="another Generation"),
        pytest.param(an_event(cpu=1.0), id="another spec"),
        pytest.param(an_event(task_id=an_id(7)), id="another task"),
        pytest.param(an_event(State.COMPLETED), id="a stop"),
        pytest.param(msgspec.structs.replace(RUN, timestamp=NOW), id="another Timestamp"),
    ],
)
async def test_the_same_event_id_with_another_body_is_a_conflict(
    queue: Queue, other: TaskEvent
) -> None:
    first = await queue.put(RUN, NOW)
    with pytest.raises(EventReused, match=EVENT_ID):
        await queue.put(other, NOW)
    assert queue.get(TASK_ID) == first.wish
    assert queue.get(an_id(7)) is None


async def test_an_event_that_changes_nothing_is_remembered_with_its_answer(
    queue: Queue, db: Db
) -> None:
    await queue.put(RUN, NOW)
    await db.put(a_task(State.RUNNING))
    same_spec = an_event(event_id=OTHER_EVENT_ID)
    first = await queue.put(same_spec, NOW)
    assert (first.wish, told(first.answer)["State"]) == (None, 2)
    await db.put(a_task(State.FAILED))
    assert await queue.put(same_spec, NOW) == first


async def test_a_refused_event_leaves_no_trace_and_may_be_sent_again(queue: Queue, db: Db) -> None:
    await queue.put(RUN, NOW)
    other_spec = an_event(event_id=OTHER_EVENT_ID, cpu=1.0)
    with pytest.raises(SpecChanged):
        await queue.put(other_spec, NOW)
    await db.put(a_task(State.FAILED))
    admitted = await queue.put(other_spec, NOW)
    assert admitted.wish == a_wish(seq=2, cpu=1.0)


async def test_an_unknown_task_that_is_to_be_stopped_stays_unknown(queue: Queue) -> None:
    for stop in (an_event(State.COMPLETED), a_delete()):
        with pytest.raises(UnknownTask):
            await queue.put(stop, NOW)
    assert queue.get(TASK_ID) is None
    assert queue.waiting() == []


async def test_deletes_have_no_id_and_are_never_taken_for_one_another(queue: Queue) -> None:
    for number in (1, 2):
        await queue.put(an_event(task_id=an_id(number), event_id=an_id(90 + number)), NOW)
        await queue.put(a_delete(task_id=an_id(number)), NOW)
    assert [wish.stops for wish in map(queue.get, [an_id(1), an_id(2)]) if wish] == [True, True]


# -- many at once --------------------------------------------------------------------------------


async def test_an_event_sent_many_times_at_once_is_one_wish_and_one_answer(queue: Queue) -> None:
    admitted = await asyncio.gather(*(queue.put(RUN, NOW) for _ in range(20)))
    assert len({one.answer for one in admitted}) == 1
    assert [one.wish.seq for one in admitted if one.wish is not None] == [1]


async def test_two_stops_at_once_are_one_wish(queue: Queue) -> None:
    await queue.put(RUN, NOW)
    admitted = await asyncio.gather(*(queue.put(a_delete(), NOW) for _ in range(2)))
    assert [one.wish.seq for one in admitted if one.wish is not None] == [2]


async def test_wishes_are_numbered_without_gaps_whatever_is_refused_among_them(
    queue: Queue,
) -> None:
    wanted = [an_event(task_id=an_id(n), event_id=an_id(1000 + n)) for n in range(1, 101)]
    replays = wanted[:50:5]
    refused = [
        an_event(State.COMPLETED, event_id=an_id(2000 + n), task_id=an_id(500 + n))
        for n in range(20)
    ]
    mixed = [*wanted[:50], *replays, *refused, *wanted[50:]]
    results = await asyncio.gather(
        *(queue.put(event, NOW) for event in mixed), return_exceptions=True
    )
    numbers = [
        result.wish.seq for result in results if isinstance(result, Admitted) and result.wish
    ]
    assert numbers == list(range(1, 101))
    assert sum(isinstance(result, UnknownTask) for result in results) == 20
    assert queue.waiting() == [event.task_id for event in wanted]


# -- what is told of it --------------------------------------------------------------------------


async def test_what_follows_learns_of_the_wish_that_was_made(queue: Queue) -> None:
    followed: list[Admitted] = []
    await queue.put(RUN, NOW, followed.append)
    await queue.put(RUN, NOW, followed.append)
    assert [one.wish.seq if one.wish else None for one in followed] == [1, None]


async def test_a_task_waits_until_the_db_serves_its_newest_wish(queue: Queue, db: Db) -> None:
    await queue.put(RUN, NOW)
    await db.put(a_task(State.SCHEDULED, wish=1))
    assert queue.waiting() == []
    await queue.put(STOP, NOW)
    assert queue.waiting() == [TASK_ID]
    await db.put(a_task(State.COMPLETED, wish=2))
    assert queue.waiting() == []


# -- across restarts -----------------------------------------------------------------------------


async def test_wishes_events_and_numbers_outlive_the_process(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    first = await Queue(store).put(RUN, NOW)
    store.close()
    store = open_store(tmp_path)
    queue = Queue(store)
    assert queue.get(TASK_ID) == first.wish
    assert (await queue.put(RUN, NOW)).answer == first.answer
    later = await queue.put(an_event(task_id=an_id(2), event_id=OTHER_EVENT_ID), NOW)
    assert later.wish is not None
    assert later.wish.seq == 2
    store.close()


# -- after the end -------------------------------------------------------------------------------


async def ended(queue: Queue, db: Db, state: State = State.COMPLETED) -> None:
    await queue.put(RUN, NOW)
    await db.put(a_task(state, wish=1))


async def test_a_completed_task_is_not_run_again(queue: Queue, db: Db) -> None:
    await ended(queue, db)
    with pytest.raises(TaskCompleted):
        await queue.put(an_event(event_id=OTHER_EVENT_ID), NOW)


async def test_a_failed_task_is_shown_pending_once_it_is_asked_for_again(
    queue: Queue, db: Db
) -> None:
    await ended(queue, db, State.FAILED)
    again = await queue.put(an_event(event_id=OTHER_EVENT_ID), NOW)
    assert told(again.answer)["State"] == 0
    assert queue.waiting() == [TASK_ID]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        pytest.param(RUN, TaskEnded, id="the event it was made by"),
        pytest.param(an_event(cpu=1.0), EventReused, id="that event with another body"),
        pytest.param(an_event(event_id=OTHER_EVENT_ID), TaskEnded, id="a new event"),
        pytest.param(STOP, TaskEnded, id="a stop by POST"),
    ],
)
async def test_of_a_task_that_was_cleaned_away_the_ids_stay_taken(
    queue: Queue, db: Db, event: TaskEvent, error: type[KeelmanError]
) -> None:
    await ended(queue, db)
    assert await db.forget(a_task(State.COMPLETED, wish=1), NOW)
    for _ in range(2):
        with pytest.raises(error):
            await queue.put(event, NOW)
    assert queue.get(TASK_ID) is None


async def test_a_delete_of_a_task_that_was_cleaned_away_changes_nothing(
    queue: Queue, db: Db
) -> None:
    await ended(queue, db)
    await db.forget(a_task(State.COMPLETED, wish=1), NOW)
    assert (await queue.put(a_delete(), NOW)).wish is None
    assert queue.get(TASK_ID) is None


async def test_after_its_tombstone_the_ids_are_free_and_the_numbers_go_on(
    queue: Queue, db: Db
) -> None:
    await ended(queue, db)
    await db.forget(a_task(State.COMPLETED, wish=1), NOW)
    await db.sweep(NOW + TOMBSTONE_SECONDS + 1)
    admitted = await queue.put(RUN, NOW)
    assert admitted.wish == a_wish(seq=2)


async def test_a_run_while_stopping_is_a_conflict(queue: Queue, db: Db) -> None:
    await queue.put(RUN, NOW)
    await db.put(a_task(State.RUNNING))
    await queue.put(a_delete(), NOW)
    with pytest.raises(Stopping):
        await queue.put(an_event(event_id=OTHER_EVENT_ID), NOW)
