"""A record and an engine looked at from outside, also while a worker holds them open."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from keelman import onlooker
from keelman.audit import audit
from keelman.errors import EngineAway
from keelman.facts import Answered, Facts, Record
from keelman.onlooker import CannotAudit, facts_of, record_in
from keelman.runtime.marks import container_name
from keelman.schema import MIGRATIONS
from keelman.store import FILE_NAME, Store
from keelman.task import State, Task
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_store import Gate, open_store, peek, put
from tests.unit.given_wire import EVENT_ID, a_delete, an_event, an_id
from tests.unit.given_worker import FAILS, NAME, SUCCEEDS, Machine, clock, pass_time, settle
from tests.unit.virtual_time import in_virtual_time

RUNS, ENDED, AGAIN, GONE = (an_id(number) for number in range(1, 5))


async def at_rest(machine: Machine) -> Worker:
    """A worker with a task that runs, one that failed, one in its back-off, one cleaned away."""
    worker = await machine.met()
    await worker.db.set_owner(NAME)
    wanted = {RUNS: (), ENDED: FAILS, GONE: SUCCEEDS, AGAIN: FAILS}
    for number, (task_id, command) in enumerate(wanted.items()):
        policy = "always" if task_id == AGAIN else ""
        event = an_event(
            event_id=an_id(10 + number), task_id=task_id, command=command, restart_policy=policy
        )
        await worker.add_task(event)
        while worker.get_task(task_id).state is not State.RUNNING:
            await worker.run_task(task_id)
    await pass_time()
    for task_id in (RUNS, ENDED, GONE):
        await settle(worker, task_id)
    await worker.run_task(AGAIN)
    worker.retire([GONE])
    await settle(worker, GONE)
    return worker


async def looked(worker: Worker) -> Facts:
    return await facts_of(record_in(worker.directory), worker.runtime)


# -- what is gathered ----------------------------------------------------------------------------


@in_virtual_time
async def test_all_that_is_on_record_is_read(machine: Machine) -> None:
    """As the worker itself knows it."""
    worker = await at_rest(machine)
    ids = [RUNS, ENDED, AGAIN]
    moves = tuple(worker.db.transitions(0))
    assert len({move.task_id for move in moves}) == 4
    assert record_in(machine.directory) == Record(
        worker=NAME,
        engine_id=machine.engine.identity,
        wishes=tuple(filter(None, map(worker.queue.get, [RUNS, ENDED, AGAIN]))),
        tasks=tuple(filter(None, map(worker.db.get, ids))),
        transitions=moves,
        answered=tuple(
            Answered(event_id=an_id(10 + number), task_id=task_id, emptied=task_id == GONE)
            for number, task_id in enumerate([RUNS, ENDED, GONE, AGAIN])
        ),
        tombstones=frozenset({GONE}),
        wish_seq=4,
        transition_seq=len(moves),
        journal_mode="wal",
    )


@in_virtual_time
async def test_the_engine_is_asked_for_what_it_has(machine: Machine) -> None:
    worker = await at_rest(machine)
    facts = await looked(worker)
    assert facts.engine_id == machine.engine.identity
    told = {(one.task_id, one.attempt, one.live, one.exit_code) for one in facts.containers}
    assert told == {(RUNS, 1, True, None), (ENDED, 1, False, 3), (AGAIN, 1, False, 3)}
    assert len(facts.ours) == 3


@in_virtual_time
async def test_a_worker_at_rest_is_sound(machine: Machine) -> None:
    worker = await at_rest(machine)
    assert audit(await looked(worker), clock()) == []


@in_virtual_time
async def test_a_task_that_was_stopped_is_sound(machine: Machine) -> None:
    worker = await at_rest(machine)
    await worker.add_task(a_delete(task_id=RUNS))
    assert [one.invariant for one in audit(await looked(worker), clock())] == ["I8"]  # in flight
    await settle(worker, RUNS)
    assert worker.get_task(RUNS).state is State.COMPLETED
    assert audit(await looked(worker), clock()) == []


@in_virtual_time
async def test_what_happens_behind_a_workers_back_is_found(machine: Machine) -> None:
    worker = await at_rest(machine)
    task = worker.get_task(RUNS)
    body = worker.runtime.create_body(task, 2)
    body["HostConfig"] |= {"RestartPolicy": {"Name": "always"}}
    second = machine.engine.add(container_name(NAME, RUNS, 2), body)
    machine.engine.start(second.id)
    found = {(one.invariant, one.task_id) for one in audit(await looked(worker), clock())}
    assert found == {("I1", RUNS), ("I3", RUNS), ("I5", RUNS)}
    machine.engine.vanish(second.id)
    machine.engine.vanish(task.container_id)
    (finding,) = audit(await looked(worker), clock())
    assert (finding.invariant, finding.task_id) == ("I5", RUNS)


@in_virtual_time
async def test_an_engine_that_does_not_answer_is_no_finding(machine: Machine) -> None:
    worker = await at_rest(machine)
    machine.engine.down()
    with pytest.raises(EngineAway):
        await looked(worker)


# -- without a trace -----------------------------------------------------------------------------


async def owned(directory: Path) -> Store:
    """A database that a worker began to use."""
    store = open_store(directory)
    await store.write(put("owner", NAME))
    return store


def on_disk(directory: Path) -> dict[str, bytes]:
    """What the worker has written; SQLite's index of readers is not its."""
    names = (FILE_NAME, f"{FILE_NAME}-wal", "lock")
    return {name: (directory / name).read_bytes() for name in names if (directory / name).exists()}


async def test_a_worker_at_work_is_not_disturbed(tmp_path: Path) -> None:
    store = await owned(tmp_path)
    before = on_disk(tmp_path)
    assert record_in(tmp_path).worker == NAME
    assert on_disk(tmp_path) == before
    await store.write(put("k-after"))
    store.close()


async def test_a_write_under_way_is_neither_waited_for_nor_seen(tmp_path: Path) -> None:
    store, gate = await owned(tmp_path), Gate()
    waits = asyncio.ensure_future(store.write(gate))
    also = asyncio.ensure_future(store.write(put("transition_seq", 7)))
    await gate.reached()
    assert record_in(tmp_path).transition_seq == 0
    gate.open()
    await asyncio.gather(waits, also)
    assert record_in(tmp_path).transition_seq == 7
    store.close()


async def test_the_record_of_a_worker_that_has_gone_is_read_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    """And a worker may begin again on it."""
    (await owned(tmp_path)).close()
    before = (tmp_path / FILE_NAME).read_bytes()
    assert record_in(tmp_path).worker == NAME
    assert (tmp_path / FILE_NAME).read_bytes() == before
    open_store(tmp_path).close()


async def test_the_record_of_a_worker_that_was_killed_is_read_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    """Most of it is in the journal yet, and stays there."""
    (tmp_path / "dead").mkdir()
    store = await owned(tmp_path / "live")
    for name, content in on_disk(tmp_path / "live").items():
        (tmp_path / "dead" / name).write_bytes(content)
    store.close()
    before = on_disk(tmp_path / "dead")
    assert record_in(tmp_path / "dead").worker == NAME
    assert on_disk(tmp_path / "dead") == before


async def test_a_record_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker commits while it is read is not in it."""
    store, read = await owned(tmp_path), onlooker._Reader._tasks

    def written_to_meanwhile(reader: onlooker._Reader) -> Iterator[Task]:
        peek(tmp_path, "INSERT INTO tombstones VALUES ('t', 0)")
        return read(reader)

    monkeypatch.setattr(onlooker._Reader, "_tasks", written_to_meanwhile)
    assert record_in(tmp_path).tombstones == frozenset()
    monkeypatch.undo()
    assert record_in(tmp_path).tombstones == {"t"}
    store.close()


async def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """It goes into an address, where some signs mean something."""
    directory = tmp_path / "a?mode=rwc#b %41"
    (await owned(directory)).close()
    assert record_in(directory).worker == NAME


# -- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nowhere", ""], ids=["no folder", "an empty one"])
def test_where_no_worker_was_there_is_nothing_to_audit(name: str, tmp_path: Path) -> None:
    with pytest.raises(CannotAudit, match=r"there is no keelman\.db"):
        record_in(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_nobody_owns_is_not_audited(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with pytest.raises(CannotAudit, match="no worker has begun"):
        record_in(tmp_path)


@pytest.mark.parametrize("version", [len(MIGRATIONS) - 1, len(MIGRATIONS) + 1])
async def test_a_database_of_another_version_is_not_audited(version: int, tmp_path: Path) -> None:
    (await owned(tmp_path)).close()
    peek(tmp_path, f"PRAGMA user_version = {version}")
    with pytest.raises(CannotAudit, match=f"is of version {version}; this Keelman knows"):
        record_in(tmp_path)


async def test_what_is_no_database_is_not_audited(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(os.urandom(4096))
    with pytest.raises(CannotAudit, match="cannot be read"):
        record_in(tmp_path)


async def test_a_counter_that_is_none_is_not_audited(tmp_path: Path) -> None:
    (await owned(tmp_path)).close()
    peek(tmp_path, "INSERT INTO meta VALUES ('wish_seq', 'many')")
    with pytest.raises(CannotAudit, match="cannot be read"):
        record_in(tmp_path)


# -- what is damaged -----------------------------------------------------------------------------


async def with_a_task(machine: Machine) -> None:
    worker = await machine.met()
    await worker.db.set_owner(NAME)
    await worker.add_task(an_event(command=FAILS))
    await settle(worker)
    await pass_time()
    await settle(worker)
    machine.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE queue SET seq = 9", "its wish has 9 as seq, and holds 1"),
        ("UPDATE queue SET wish = '{'", "its wish cannot be read: Input data was truncated"),
        ("UPDATE tasks SET state = 3", "its task has 3 as state, and holds 4"),
        ("UPDATE tasks SET wish = 2", "its task has 2 as wish, and holds 1"),
        ("UPDATE tasks SET finished = NULL", "its task has None as finished, and holds 1000"),
        ("UPDATE tasks SET task = x'ff'", "its task cannot be read"),
        ("UPDATE tasks SET task = 7", "its task cannot be read"),
        ("UPDATE tasks SET report = '{}'", "its report cannot be read"),
        (
            "UPDATE tasks SET report = replace(report, '\"State\":4', '\"State\":3')",
            f"its task has {TASK_ID} COMPLETED as report, and holds {TASK_ID} FAILED",
        ),
        (
            "UPDATE transitions SET seq = 9 WHERE seq = 3",
            "its Transition 9 has 9 as seq, and holds 3",
        ),
        ("UPDATE transitions SET move = '[]' WHERE seq = 1", "its Transition 1 cannot be read"),
    ],
)
@in_virtual_time
async def test_a_row_that_was_changed_by_hand_is_found(
    change: str, words: str, machine: Machine
) -> None:
    await with_a_task(machine)
    assert record_in(machine.directory).damage == ()
    peek(machine.directory, change)
    (row,) = record_in(machine.directory).damage
    assert row.task_id == TASK_ID
    assert row.words.startswith(words)


@pytest.mark.parametrize("table", ["queue", "tasks", "transitions"])
@in_virtual_time
async def test_a_row_of_another_task_than_it_says_is_found(table: str, machine: Machine) -> None:
    await with_a_task(machine)
    peek(machine.directory, f"UPDATE {table} SET task_id = '{an_id(7)}'")
    record = record_in(machine.directory)
    assert {row.task_id for row in record.damage} == {an_id(7)}
    assert all(f"as task_id, and holds {TASK_ID}" in row.words for row in record.damage)


@in_virtual_time
async def test_an_answer_whose_task_is_gone_is_found(machine: Machine) -> None:
    await with_a_task(machine)
    peek(machine.directory, "DELETE FROM tasks")
    assert _of_i2(record_in(machine.directory)) == []  # its wish is there: it is carried out again
    peek(machine.directory, "DELETE FROM queue")
    (words,) = _of_i2(record_in(machine.directory))
    assert words == f"event {EVENT_ID} was answered, and nothing is left of its task"


def _of_i2(record: Record) -> list[str]:
    facts = Facts(record=record, engine_id=record.engine_id or "")
    return [one.words for one in audit(facts, 0.0) if one.invariant == "I2"]


async def test_what_sqlite_itself_finds_is_told(tmp_path: Path) -> None:
    """A value that its column forbids, such as a failing disk leaves behind."""
    (await owned(tmp_path)).close()
    strict, lax = "digest TEXT NOT NULL", "digest TEXT         "
    for before, after in ((strict, lax), (lax, strict)):
        _schema(tmp_path, before, after)
        if after == lax:
            peek(tmp_path, "INSERT INTO task_events VALUES ('e', 't', 0, NULL, '')")
    assert record_in(tmp_path).complaints == ("NULL value in task_events.digest",)


def _schema(directory: Path, before: str, after: str) -> None:
    connection = sqlite3.connect(directory / FILE_NAME)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?)", (before, after))
    connection.commit()
    connection.close()


async def test_a_journal_that_is_not_as_the_worker_has_it_is_told(tmp_path: Path) -> None:
    (await owned(tmp_path)).close()
    peek(tmp_path, "PRAGMA journal_mode = DELETE")
    assert record_in(tmp_path).journal_mode == "delete"
