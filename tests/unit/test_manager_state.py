"""What the manager remembers: each thing whole or not at all, and read in its order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from keelman import moves
from keelman.db import Db
from keelman.errors import NotInvited
from keelman.manager.inviting import Invitation
from keelman.manager.nodes import Node, Use
from keelman.manager.state import REMEMBERED_SECONDS, Record, SqliteState
from keelman.queue import Queue
from keelman.store import Store
from keelman.task import Reason, State, Transition
from tests.unit.given import NOW, TASK_ID, a_task
from tests.unit.given_assign import moved, on_a
from tests.unit.given_store import open_store
from tests.unit.given_wire import a_delete, an_event

FIRST, SECOND = moved(State.PENDING, State.SCHEDULED), moved(State.SCHEDULED, State.RUNNING)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    one = open_store(tmp_path)
    yield one
    one.close()


@pytest.fixture
async def state(store: Store) -> SqliteState:
    one = SqliteState(store)
    await one.open()
    return one


def nobody(_: Transition | None) -> None:
    pass


async def test_it_is_opened_as_often_as_a_manager_starts(state: SqliteState) -> None:
    """What is there stays."""
    await state.put_node(Node(name="a", url="http://a:1"))
    await state.open()
    assert state.nodes() == [Node(name="a", url="http://a:1")]


async def test_news_are_read_in_their_order_and_once(state: SqliteState) -> None:
    """With the number of the last event, in one transaction."""
    await state.put_node(Node(name="a", url="u"))
    await state.hear("a", [(TASK_ID, FIRST)], "log:1")
    await state.hear("a", [(TASK_ID, SECOND)], "log:2")
    assert (state.seen("a"), state.untold()) == ("log:2", [TASK_ID])
    told = state.news(TASK_ID)
    assert told is not None
    assert told[1] == FIRST
    record = Record(task=a_task(), placement=on_a(), read=told[0])
    await state.record(record, nobody)
    told = state.news(TASK_ID)
    assert told is not None
    assert told[1] == SECOND
    assert state.placement(TASK_ID) == on_a()


async def test_a_node_s_record_and_what_was_heard_of_it_do_not_meet(state: SqliteState) -> None:
    """An operator changes the one while the other goes on."""
    await state.put_node(Node(name="a", url="u"))
    await state.hear("a", [], "log:1")
    await state.change_node(Node(name="a", url="u", use=Use.CORDONED))
    assert state.seen("a") == "log:1"


async def test_nothing_is_heard_of_a_node_that_was_removed(state: SqliteState) -> None:
    """Its last words come too late."""
    await state.put_node(Node(name="a", url="u"))
    await state.drop_node("a")
    await state.hear("a", [(TASK_ID, FIRST)], "log:1")
    assert (state.nodes(), state.untold(), state.seen("a")) == ([], [], "")


async def test_what_changes_of_a_node_that_was_removed_does_not_bring_it_back(
    state: SqliteState,
) -> None:
    """Its last heartbeat comes too late, too."""
    await state.put_node(Node(name="a", url="u"))
    await state.drop_node("a")
    await state.change_node(Node(name="a", url="u", worker="w"))
    assert state.nodes() == []


async def test_a_failure_from_before_a_stop_is_not_recorded(
    store: Store, state: SqliteState
) -> None:
    """Nothing of it, and its news stay unread: the stop has the last word."""
    queue, db = Queue(store), Db(store)
    await queue.put(an_event(), NOW)
    running = a_task(State.RUNNING, wish=1)
    await state.record(Record(task=running, placement=on_a()), nobody)
    await state.put_node(Node(name="a", url="u"))
    await state.hear("a", [(TASK_ID, FIRST)], "log:1")
    told = state.news(TASK_ID)
    assert told is not None
    await queue.put(a_delete(), NOW)
    failed = moves.finished(running, State.FAILED, Reason.EXITED, NOW)
    record = Record(
        task=failed.task, placement=on_a(known=False), transition=failed.transition, read=told[0]
    )
    await state.record(record, nobody)
    assert (state.placement(TASK_ID), state.news(TASK_ID)) == (on_a(), told)
    assert db.get(TASK_ID) == running


async def test_what_is_forgotten_is_forgotten_whole(store: Store, state: SqliteState) -> None:
    """But not over a newer wish."""
    queue = Queue(store)
    await queue.put(an_event(), NOW)
    await state.put_node(Node(name="a", url="u"))
    await state.hear("a", [(TASK_ID, FIRST)], "log:1")
    await state.record(Record(task=a_task(wish=0), placement=on_a()), nobody)
    assert not await state.forget(a_task(wish=0), NOW)
    assert state.placements() == [on_a()]
    assert await state.forget(a_task(wish=1), NOW)
    assert (state.placements(), state.untold()) == ([], [])


def invitation(until: float = NOW + 60, name: str = "", key: str = "") -> Invitation:
    return Invitation(until=until, name=name, key=key)


async def test_an_invitation_is_used_in_one_transaction(state: SqliteState) -> None:
    """What the rules refuse is not recorded."""
    await state.invite("d1", invitation(name="node-4"), NOW)
    assert state.invitation("d1") == invitation(name="node-4")
    assert state.invitation("d2") is None
    after = await state.use_invitation("d1", lambda found: replace(found, key="k"))
    assert state.invitation("d1") == after == invitation(name="node-4", key="k")

    def refused(found: Invitation | None) -> Invitation:
        raise NotInvited(f"{found}")

    with pytest.raises(NotInvited):
        await state.use_invitation("d1", refused)
    assert state.invitation("d1") == after


def replace(found: Invitation | None, **changes: str) -> Invitation:
    assert found is not None
    return msgspec.structs.replace(found, **changes)


async def test_invitations_of_long_ago_are_forgotten(state: SqliteState) -> None:
    """Not at once: so long one is told that it has expired."""
    await state.invite("old", invitation(until=NOW), NOW)
    await state.invite("d1", invitation(), NOW + REMEMBERED_SECONDS)
    assert state.invitation("old") is not None
    await state.invite("d2", invitation(), NOW + REMEMBERED_SECONDS + 1)
    assert state.invitation("old") is None
