"""The ledger: it says what live tasks hold, whatever was asked, ended, undone or started again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Coroutine
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keelman import ledger, machine, room
from keelman.admission import Known
from keelman.db import Db
from keelman.errors import Conflict, InsufficientResources, KeelmanError
from keelman.machine import Resources
from keelman.queue import Queue
from keelman.store import Store
from keelman.task import State, Task, new_task
from tests.unit.given import NOW, a_spec, a_task, a_wish
from tests.unit.given_store import Gate, open_store
from tests.unit.given_wire import OTHER_EVENT_ID, a_delete, an_event, an_id
from tests.unit.worlds import REPEATABLE

T = TypeVar("T")

ONE = Resources(cpu=1.0, memory=100, disk=100)
HALF: dict[str, Any] = {"cpu": 0.5, "memory": 60}


@pytest.fixture
def queue(store: Store) -> Queue:
    return Queue(store, ONE)


@pytest.fixture
def db(store: Store) -> Db:
    return Db(store)


def one(number: int, **asked: Any) -> Any:  # noqa: ANN401  # a TaskEvent, by its number
    return an_event(event_id=an_id(1000 + number), task_id=an_id(number), **asked)


async def held(store: Store) -> Resources:
    return await store.write(ledger.allocated)


async def rows(store: Store) -> int:
    found: int = (
        await store.write(lambda writer: writer.execute("SELECT count(*) FROM ledger").fetchone())
    )[0]
    return found


# -- who gets in ---------------------------------------------------------------------------------


async def test_who_would_go_beyond_is_refused_and_leaves_no_trace(
    queue: Queue, store: Store
) -> None:
    await queue.put(one(1, **HALF), NOW)
    refused = one(2, **HALF)
    with pytest.raises(InsufficientResources, match=r"^Task\.Memory: 60 bytes .* 40 are left"):
        await queue.put(refused, NOW)
    assert queue.get(an_id(2)) is None
    assert not queue.has_seen(refused)
    assert store.fact("wish_seq") == "1"
    assert await held(store) == Resources(cpu=0.5, memory=60)


async def test_who_was_refused_may_send_the_same_again_when_there_is_room(
    queue: Queue, db: Db
) -> None:
    await queue.put(one(1, **HALF), NOW)
    with pytest.raises(InsufficientResources):
        await queue.put(one(2, **HALF), NOW)
    await db.put(a_task(State.COMPLETED, asked=HALF, wish=1).but(id=an_id(1)))
    assert (await queue.put(one(2, **HALF), NOW)).wish is not None


async def test_of_many_at_once_just_as_many_get_in_as_there_is_room_for(
    queue: Queue, store: Store
) -> None:
    """All in one batch of the writer's."""
    gate = Gate()
    held_up = asyncio.create_task(store.write(gate))
    await gate.reached()
    asking = [asyncio.create_task(queue.put(one(n, cpu=0.3), NOW)) for n in range(1, 33)]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(held_up, *asking, return_exceptions=True)
    refused = [result for result in results if isinstance(result, InsufficientResources)]
    assert len(refused) == 29
    assert await held(store) == Resources(cpu=0.9)


async def test_the_same_event_and_the_same_spec_again_count_once(
    queue: Queue, store: Store
) -> None:
    await queue.put(one(1, **HALF), NOW)
    await queue.put(one(1, **HALF), NOW)
    again = an_event(event_id=OTHER_EVENT_ID, task_id=an_id(1), **HALF)
    await queue.put(again, NOW)
    newer = an_event(event_id=an_id(77), task_id=an_id(1), generation=3, **HALF)
    assert (await queue.put(newer, NOW)).wish is not None
    assert await held(store) == Resources(cpu=0.5, memory=60)


async def test_a_new_life_counts_with_its_new_spec(queue: Queue, db: Db, store: Store) -> None:
    await queue.put(one(1, **HALF), NOW)
    await db.put(a_task(State.COMPLETED, asked=HALF, wish=1).but(id=an_id(1)))
    assert await held(store) == Resources()
    anew = an_event(event_id=an_id(77), task_id=an_id(1), generation=1, memory=100)
    await queue.put(anew, NOW)
    assert await held(store) == Resources(memory=100)
    await db.put(a_task(State.COMPLETED, asked=HALF, wish=1, message="x").but(id=an_id(1)))
    assert await held(store) == Resources(memory=100), "the old life's record changes nothing"


async def test_a_dry_run_is_judged_alike_and_holds_nothing(queue: Queue, store: Store) -> None:
    assert (await queue.judge(one(1, **HALF), NOW)).refusal is None
    assert await rows(store) == 0
    await queue.put(one(1, **HALF), NOW)
    refusal = (await queue.judge(one(2, **HALF), NOW)).refusal
    assert isinstance(refusal, InsufficientResources)


async def test_another_conflict_comes_first(queue: Queue) -> None:
    await queue.put(one(1, **HALF), NOW)
    with pytest.raises(Conflict) as caught:
        await queue.put(an_event(event_id=OTHER_EVENT_ID, task_id=an_id(1), memory=999), NOW)
    assert caught.value.code == "spec_changed"


# -- what is held, and how long ------------------------------------------------------------------


async def test_a_stop_frees_nothing_before_the_end_is_on_record(
    queue: Queue, db: Db, store: Store
) -> None:
    """A step that does not know of it may be about to make the container."""
    await queue.put(one(1, **HALF), NOW)
    await queue.put(a_delete(task_id=an_id(1)), NOW)
    with pytest.raises(InsufficientResources):
        await queue.put(one(2, **HALF), NOW)
    task = a_task(State.SCHEDULED, asked=HALF, wish=1).but(id=an_id(1))
    await db.put(task)
    await db.put(task.to(State.RUNNING, wish=2))
    assert await held(store) == Resources(cpu=0.5, memory=60)
    await db.put(task.to(State.COMPLETED, wish=2))
    assert await held(store) == Resources()


async def test_what_was_adopted_holds_what_it_has_also_beyond_what_is_given(
    queue: Queue, db: Db, store: Store
) -> None:
    await db.put(a_task(State.RUNNING, asked={"memory": 150}))
    assert await held(store) == Resources(memory=150)
    with pytest.raises(InsufficientResources):
        await queue.put(one(2, memory=1), NOW)
    assert (await queue.put(one(3), NOW)).wish is not None


async def test_what_is_not_written_is_not_held(store: Store) -> None:
    """A write that fails after it was promised something takes the promise back."""

    def broken(connection: sqlite3.Connection) -> None:
        ledger.promise(connection, a_wish(**HALF), ONE)
        assert ledger.allocated(connection) == Resources(cpu=0.5, memory=60)
        raise KeyError

    with pytest.raises(KeyError):
        await store.write(broken)
    assert await rows(store) == 0


async def test_ended_tasks_are_not_looked_at(queue: Queue, db: Db, store: Store) -> None:
    """However many there are: the ledger has live ones only, and of those who ask for something."""
    for number in range(1, 40):
        await queue.put(one(number, cpu=0.5), NOW)
        await db.put(a_task(State.FAILED, asked={"cpu": 0.5}, wish=number).but(id=an_id(number)))
    await queue.put(one(100), NOW)
    await queue.put(one(101, cpu=0.5), NOW)
    assert await rows(store) == 1


async def test_sums_beyond_what_sqlite_counts_are_no_trouble(db: Db, queue: Queue) -> None:
    for number in (1, 2, 3):
        await db.put(a_task(State.RUNNING, asked={"disk": 2**63 - 1}).but(id=an_id(number)))
    with pytest.raises(InsufficientResources):
        await queue.put(one(9, disk=1), NOW)


async def test_a_record_that_cannot_be_read_keeps_no_worker_from_starting(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await Queue(store).put(one(1, **HALF), NOW)
    await Queue(store).put(one(2, **HALF), NOW)
    await store.write(
        lambda writer: writer.execute(
            "UPDATE queue SET wish = x'ff7b' WHERE task_id = ?", (an_id(1),)
        )
    )
    store.close()
    store = open_store(tmp_path)
    assert await held(store) == Resources(cpu=0.5, memory=60)
    assert len(Db(store).asked()) == 1
    store.close()


# -- whatever comes ------------------------------------------------------------------------------

ALL_IDS = [an_id(number) for number in (1, 2, 3, 4)]
IDS = st.sampled_from(ALL_IDS)
ONE_OF_MANY = st.integers(0, 11)
SPECS = st.fixed_dictionaries(
    {
        "cpu": st.sampled_from([0.1, 0.2, 0.3, 0.7]),
        "memory": st.sampled_from([0, 1, 30, 60, 101]),
        "disk": st.sampled_from([0, 0, 50]),
    }
)
GIVEN = st.builds(
    Resources,
    cpu=st.sampled_from([0.3, 1.0, 2.0]),
    memory=st.sampled_from([60, 100, 200]),
    disk=st.sampled_from([50, 100]),
)


class Asking(RuleBasedStateMachine):
    """Queue and Db as their two writers use them, across restarts with more and less to give."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.numbers = count(1)
        self.open(ONE)

    def open(self, given: Resources) -> None:
        self.store = open_store(Path(self.folder.name))
        self.store._writer.execute("PRAGMA synchronous = OFF")
        self.given, self.queue, self.db = given, Queue(self.store, given), Db(self.store)

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(what)

    def known(self, task_id: str) -> Known:
        return Known(wish=self.queue.get(task_id), task=self.db.get(task_id))

    def live(self) -> dict[str, Resources]:
        """What each live task asks for, by the rules of admission and nothing else."""
        known = {task_id: self.known(task_id) for task_id in ALL_IDS}
        return {
            task_id: room.asked(one.spec)
            for task_id, one in known.items()
            if one.live and one.spec is not None
        }

    def one_of(self, ids: Collection[str], which: int) -> str:
        return sorted(ids)[which % len(ids)]

    def on_record(self) -> list[str]:
        return [task_id for task_id in ALL_IDS if self.known(task_id) != Known()]

    @rule(task_id=IDS, asked=SPECS, more=st.sampled_from([0, 1]), same=st.booleans())
    def ask(self, task_id: str, asked: dict[str, Any], more: int, *, same: bool) -> None:
        known = self.known(task_id)
        generation = known.generation + more
        if same and known.spec is not None:
            asked = {name: getattr(known.spec, name) for name in asked}
        before, rows = self.live(), self.rows()
        event = an_event(
            event_id=an_id(5000 + next(self.numbers)),
            task_id=task_id,
            generation=generation,
            **asked,
        )
        refusal = self.do(self.queue.judge(event, NOW)).refusal
        assert self.rows() == rows
        if refusal is not None:
            with pytest.raises(type(refusal)):
                self.do(self.queue.put(event, NOW))
            assert self.rows() == rows
            if isinstance(refusal, InsufficientResources):
                own = before.pop(task_id, Resources())
                assert self.is_short(room.asked(a_spec(**asked)), own, before)
            return
        self.do(self.queue.put(event, NOW))
        after = self.live()
        was, now = machine.total(before.values()), machine.total(after.values())
        for one, then, most in zip(parts(now), parts(was), parts(self.given), strict=True):
            assert one <= max(then, most)

    def is_short(self, wanted: Resources, own: Resources, others: dict[str, Resources]) -> bool:
        """Whether it asks for more than it has, and with it there would be too much."""
        every = machine.total([wanted, *others.values()])
        columns = zip(parts(wanted), parts(own), parts(every), parts(self.given), strict=True)
        return any(asks > has and whole > most for asks, has, whole, most in columns)

    @precondition(lambda self: self.live())
    @rule(which=ONE_OF_MANY)
    def stop(self, which: int) -> None:
        before = self.live()
        self.do(self.queue.put(a_delete(task_id=self.one_of(before, which)), NOW))
        assert self.live() == before

    @precondition(lambda self: self.on_record())
    @rule(which=ONE_OF_MANY, state=st.sampled_from(State), serve=st.booleans())
    def step(self, which: int, state: State, *, serve: bool) -> None:
        """The lane records a move; it may have looked before the newest wish came."""
        known = self.known(self.one_of(self.on_record(), which))
        task = known.task or (None if known.wish is None else new_task(known.wish))
        if task is None:
            return
        if serve or task.state.ended:
            task = served(task, known)
        if (after := moved(task, state)) is not None:
            self.do(self.db.put(after))

    @precondition(lambda self: self.on_record())
    @rule(which=ONE_OF_MANY)
    def forget(self, which: int) -> None:
        task = self.db.get(self.one_of(self.on_record(), which))
        if task is not None and task.state.ended:
            self.do(self.db.forget(task, NOW))
            self.do(self.db.sweep(NOW + 1e9))  # its ID is free again at once

    @rule(given=GIVEN)
    def start_again(self, given: Resources) -> None:
        self.store.close()
        self.open(given)

    @precondition(lambda self: not self.live())
    @rule()
    def nothing_is_held_by_nobody(self) -> None:
        assert self.do(rows(self.store)) == 0

    @invariant()
    def the_ledger_says_what_live_tasks_ask_for(self) -> None:
        assert self.held() == machine.total(self.live().values())
        assert machine.total(self.db.asked()) == self.held()

    def held(self) -> Resources:
        return self.do(held(self.store))

    def rows(self) -> list[Any]:
        tables = ("queue", "tasks", "task_events", "meta")
        return [self.store.read(f"SELECT * FROM {table}") for table in tables]

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()
        self.loop.close()


def parts(some: Resources) -> tuple[float, int, int]:
    return some.cpu, some.memory, some.disk


def served(task: Task, known: Known) -> Task:
    """The task as it serves its newest wish, which may begin another life."""
    wish = known.wish
    if wish is None or wish.seq <= task.wish:
        return task
    if not task.state.ended:
        return task.but(wish=wish.seq, generation=wish.generation)
    if wish.begins_anew(task):
        again = task.but(spec=wish.spec)
        return again.to(State.SCHEDULED, wish=wish.seq, generation=wish.generation)
    return task.but(wish=wish.seq)


def moved(task: Task, state: State) -> Task | None:
    if task.state.ended or state is task.state:
        return task
    try:
        return task.to(state)
    except KeelmanError:
        return None


TestAsking = Asking.TestCase
TestAsking.settings = settings(REPEATABLE, max_examples=50, stateful_step_count=40)
