"""An older copy of the database is put back: what has become of each task since is found out.

In the copy it is yesterday, on the engine today. What the engine still shows is recorded as it is,
and nothing is run twice; what it no longer shows cannot be known (docs/operations.md says what that
comes to).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keelman.backup import back_up, restore
from keelman.errors import EngineFailed, EventsGone, TaskCompleted
from keelman.runtime.fake import FakeRuntime
from keelman.sse import first_seq
from keelman.task import Reason, State, Task
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_store import new_id
from tests.unit.given_wire import EVENT_ID, a_delete, an_event, an_id
from tests.unit.given_worker import (
    FAILS,
    NAME,
    RUN_SECONDS,
    SUCCEEDS,
    CountingEngine,
    Machine,
    at_work,
    meet,
    pass_time,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

RUNS: tuple[str, ...] = ()
KEEPS_NOTHING = {"keep_ended_seconds": 0.0}


@pytest.fixture
def today(machine: Machine) -> Iterator[Machine]:
    """Whatever happens on it, no container is made twice, and no task has two that live."""
    yield machine
    engine = machine.engine
    assert [name for name, count in Counter(engine.made).items() if count > 1] == []
    assert [task for task, count in lives(engine).items() if count > 1] == []


def lives(engine: CountingEngine) -> Counter[str]:
    """How many live containers each task has."""
    return Counter(one.name.rpartition("-")[0] for one in engine.live)


def copy_of(machine: Machine) -> Path:
    """What the database is now, for later."""
    target = machine.directory.with_name(f"copy-{new_id()}")
    return back_up(machine.directory, target, new_id(), replace=False).path


async def lived(machine: Machine, seconds: float, **limits: Any) -> Worker:
    """A worker comes, works for a while and goes; what it left can be read."""
    worker = machine.worker(**limits)
    async with at_work(worker):
        await pass_time(seconds)
    return worker


async def put_back(machine: Machine, copy: Path, seconds: float = 1, **limits: Any) -> Worker:
    """The worker after a restore, when it has found out what there is to find out."""
    machine.close()
    restore(copy, machine.directory, new_id())
    return await lived(machine, seconds, **limits)


async def asked(machine: Machine, event_id: str = EVENT_ID, **fields: Any) -> Worker:
    worker = await machine.met()
    await worker.add_task(an_event(event_id=event_id, **fields))
    return worker


# -- known to the copy ---------------------------------------------------------------------------


@in_virtual_time
async def test_what_runs_runs_on(today: Machine) -> None:
    await asked(today)
    await lived(today, 1)
    copy = copy_of(today)
    await lived(today, 100)
    worker = await put_back(today, copy)
    assert state_of(worker) is State.RUNNING
    assert len(today.engine.made) == len(today.engine.live) == 1


@pytest.mark.parametrize(
    ("command", "state", "code"),
    [(SUCCEEDS, State.COMPLETED, 0), (FAILS, State.FAILED, 3)],
    ids=["succeeded", "failed"],
)
def test_what_ended_since_is_told_so(
    today: Machine, command: tuple[str, ...], state: State, code: int
) -> None:
    @in_virtual_time
    async def rule() -> None:
        await asked(today, command=command)
        await lived(today, 1)
        copy = copy_of(today)
        ended = (await lived(today, 100)).get_task(TASK_ID)
        worker = await put_back(today, copy)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.exit_code, task.finish_time) == (state, code, ended.finish_time)
        assert len(today.engine.made) == 1

    rule()


@pytest.mark.parametrize("command", [RUNS, SUCCEEDS], ids=["still running", "ended since"])
def test_what_waited_and_ran_since_is_not_run_again(
    today: Machine, command: tuple[str, ...]
) -> None:
    @in_virtual_time
    async def rule() -> None:
        await asked(today, command=command)
        copy = copy_of(today)
        since = story(await lived(today, 100))
        assert story(await put_back(today, copy)) == since
        assert today.engine.starts == today.engine.made
        assert len(today.engine.made) == 1

    rule()


@in_virtual_time
async def test_attempts_catch_up_with_the_engine(today: Machine) -> None:
    """Their numbers name containers, which must not be named twice."""
    await asked(today, command=FAILS, restart_policy="always")
    await lived(today, 1)
    copy = copy_of(today)
    since = (await lived(today, 60)).get_task(TASK_ID).attempt
    assert since >= 3
    await put_back(today, copy, 60)
    numbers = [int(name.rpartition("-")[2]) for name in today.engine.made]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > since


@in_virtual_time
async def test_what_had_ended_and_was_run_again_since_is_stopped(today: Machine) -> None:
    """The copy knows of no wish for it. Who wants it still, asks again."""
    await asked(today, command=FAILS)
    await lived(today, 10)
    copy = copy_of(today)
    await asked(today, an_id(2), command=RUNS)
    assert state_of(await lived(today, 10)) is State.RUNNING
    worker = await put_back(today, copy)
    assert state_of(worker) is State.FAILED
    assert today.engine.live == []
    await asked(today, an_id(2), command=RUNS)
    worker = await lived(today, 10)
    assert state_of(worker) is State.RUNNING
    assert worker.get_task(TASK_ID).attempt == 3


@in_virtual_time
async def test_a_stop_that_the_copy_knows_is_carried_out(today: Machine) -> None:
    await asked(today, restart_policy="always")
    await lived(today, 1)
    worker = await today.met()
    await worker.add_task(a_delete())
    copy = copy_of(today)
    await lived(today, 100)
    worker = await put_back(today, copy)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (State.COMPLETED, Reason.STOPPED)
    assert len(today.engine.made) == 1


@pytest.mark.parametrize(
    ("policy", "state", "reason"),
    [
        ("no", State.FAILED, Reason.KILLED_BY_OTHER),
        ("always", State.RUNNING, Reason.NONE),
    ],
)
def test_a_stop_that_the_copy_does_not_know_was_somebody_elses(
    today: Machine, policy: str, state: State, reason: Reason
) -> None:
    """By the exit code of its signal; the restart policy starts it again."""

    @in_virtual_time
    async def rule() -> None:
        await asked(today, restart_policy=policy)
        await lived(today, 1)
        copy = copy_of(today)
        worker = await today.met()
        await worker.add_task(a_delete())
        assert state_of(await lived(today, 100)) is State.COMPLETED
        task = (await put_back(today, copy, 10)).get_task(TASK_ID)
        assert (task.state, task.reason) == (state, reason)

    rule()


# -- unknown to the copy -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "policy", "state"),
    [
        pytest.param(RUNS, "always", State.RUNNING, id="runs"),
        pytest.param(SUCCEEDS, "no", State.COMPLETED, id="succeeded"),
        pytest.param(FAILS, "no", State.FAILED, id="failed"),
        pytest.param(FAILS, "always", State.FAILED, id="in back-off"),
    ],
)
def test_what_was_asked_for_since_is_adopted(
    today: Machine, command: tuple[str, ...], policy: str, state: State
) -> None:
    """What ended is never started again, whatever its policy: that was not seen."""

    @in_virtual_time
    async def rule() -> None:
        await asked(today, an_id(1), task_id=an_id(8))
        await lived(today, 1)
        copy = copy_of(today)
        await asked(today, command=command, restart_policy=policy)
        await lived(today, RUN_SECONDS + 0.5)
        made = list(today.engine.made)
        worker = await put_back(today, copy, 100)
        assert state_of(worker) is state
        assert today.engine.made == made

    rule()


async def yesterday(machine: Machine, *since: int) -> Worker:
    """A restored worker that has met its engine, where these tasks run that it never heard of."""
    await asked(machine, an_id(1), task_id=an_id(900))
    await lived(machine, 1)
    copy = copy_of(machine)
    for number in since:
        await asked(machine, an_id(1000 + number), task_id=an_id(number))
    await lived(machine, 1)
    machine.close()
    restore(copy, machine.directory, new_id())
    worker = machine.worker()
    await meet(worker)
    return worker


@in_virtual_time
async def test_what_was_asked_for_since_is_known_before_anybody_asks(today: Machine) -> None:
    """404 for a task that runs would have its manager run it elsewhere, and never stop it here."""
    worker = await yesterday(today, 1)
    assert worker.get_task(an_id(1)).attempt == 1
    await worker.add_task(a_delete(task_id=an_id(1)))
    worker = await lived(today, 10)
    assert state_of(worker, an_id(1)) is State.COMPLETED


@in_virtual_time
async def test_one_that_cannot_be_seen_holds_up_no_other(
    today: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken up when it can be."""
    rebuild = FakeRuntime.rebuild

    async def fails_for_the_first(self: FakeRuntime, container_id: str) -> Task | None:
        task = await rebuild(self, container_id)
        if task is not None and task.id == an_id(1):
            raise EngineFailed("no such file or directory")
        return task

    with monkeypatch.context() as patch:
        patch.setattr(FakeRuntime, "rebuild", fails_for_the_first)
        worker = await yesterday(today, 1, 2)
        assert not worker.db.knows(an_id(1))
        assert worker.db.knows(an_id(2))
    assert state_of(await lived(today, 1), an_id(1)) is State.RUNNING


@in_virtual_time
async def test_an_event_since_is_new_again_and_starts_nothing_twice(today: Machine) -> None:
    """Its ID is forgotten; its task is found on the engine, adopted yet or not."""
    await asked(today, an_id(1), task_id=an_id(8))
    await lived(today, 1)
    copy = copy_of(today)
    await asked(today)
    await lived(today, 10)
    today.close()
    restore(copy, today.directory, new_id())
    worker = today.worker()
    await meet(worker)
    await worker.add_task(an_event())  # before any loop has looked
    worker = await lived(today, 10)
    await worker.add_task(an_event())
    worker = await lived(today, 10)
    assert state_of(worker) is State.RUNNING
    assert len(today.engine.made) == 2


@in_virtual_time
async def test_an_event_since_for_what_is_over_is_refused(today: Machine) -> None:
    await asked(today, an_id(1), task_id=an_id(8))
    copy = copy_of(today)
    await asked(today, command=SUCCEEDS)
    await lived(today, 10)
    await put_back(today, copy)
    with pytest.raises(TaskCompleted):
        await asked(today, command=SUCCEEDS)


@in_virtual_time
async def test_an_event_since_for_what_failed_runs_it_again(today: Machine) -> None:
    """As a new event would: that it was heard before is forgotten."""
    await asked(today, an_id(1), task_id=an_id(8))
    await lived(today, 1)
    copy = copy_of(today)
    await asked(today, command=FAILS)
    await lived(today, 10)
    await put_back(today, copy)
    await asked(today, command=FAILS)
    worker = await lived(today, 10)
    assert (state_of(worker), worker.get_task(TASK_ID).attempt) == (State.FAILED, 2)


# -- gone from the engine, too -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "state", "made"), [("no", State.FAILED, 1), ("always", State.RUNNING, 2)]
)
def test_what_ran_and_was_cleaned_away_since_is_vanished(
    machine: Machine, policy: str, state: State, made: int
) -> None:
    """It ended, and nobody can say how; its restart policy has the word."""

    @in_virtual_time
    async def rule() -> None:
        await asked(machine, restart_policy=policy)
        await lived(machine, 1)
        copy = copy_of(machine)
        worker = await machine.met()
        await worker.add_task(a_delete())
        await lived(machine, 100, **KEEPS_NOTHING)
        assert not machine.engine.containers
        worker = await put_back(machine, copy, 10)
        moves = [(move.to, move.reason) for move in worker.db.history(TASK_ID)]
        assert Reason.VANISHED in {reason for _, reason in moves}
        assert state_of(worker) is state

    rule()
    assert len(machine.engine.made) == made


@in_virtual_time
async def test_what_had_ended_and_was_cleaned_away_since_is_cleaned_away_again(
    today: Machine,
) -> None:
    await asked(today, command=SUCCEEDS)
    await lived(today, 10)
    copy = copy_of(today)
    await lived(today, 100, **KEEPS_NOTHING)
    worker = await put_back(today, copy, 1)
    assert state_of(worker) is State.COMPLETED
    worker = await lived(today, 10, **KEEPS_NOTHING)
    assert worker.db.buried(TASK_ID)
    assert len(today.engine.made) == 1


@in_virtual_time
async def test_what_waited_ran_and_was_cleaned_away_since_runs_once_more(machine: Machine) -> None:
    """Nothing says that it ran: the price of a copy older than `--keep-ended-hours`."""
    await asked(machine, command=SUCCEEDS)
    copy = copy_of(machine)
    await lived(machine, 100, **KEEPS_NOTHING)
    assert not machine.engine.containers
    assert state_of(await put_back(machine, copy, 10)) is State.COMPLETED
    assert len(machine.engine.made) == 2


# -- the log -------------------------------------------------------------------------------------


@in_virtual_time
async def test_who_has_read_on_is_told_to_list_anew(today: Machine) -> None:
    """Also of a number that exists again; and numbers and wishes go on from the copy's."""
    worker = await asked(today)
    copy = copy_of(today)
    worker = await lived(today, 10)
    last_id = f"{worker.db.log_id}:{worker.db.last_seq()}"
    worker = await put_back(today, copy, 10)
    assert worker.db.last_seq() == int(last_id.rpartition(":")[2])
    with pytest.raises(EventsGone):
        first_seq(worker, last_id)
    moves = worker.db.transitions(0)
    assert [move.seq for move in moves] == list(range(1, worker.db.last_seq() + 1))
    assert first_seq(worker, f"{worker.db.log_id}:1") == 1


@in_virtual_time
async def test_a_wish_after_a_restore_is_newer_than_all_before(today: Machine) -> None:
    """A number may come a second time, but never twice in one database."""
    await asked(today, command=FAILS)
    await lived(today, 10)
    copy = copy_of(today)
    for number in (2, 3, 4):
        await asked(today, an_id(number), command=FAILS)
        await lived(today, 10)
    await put_back(today, copy, 10)
    await asked(today, an_id(9), command=SUCCEEDS)
    worker = await lived(today, 20)
    wish = worker.queue.get(TASK_ID)
    assert wish is not None
    assert wish.seq == worker.get_task(TASK_ID).wish == 2
    assert state_of(worker) is State.COMPLETED


def test_the_name_of_the_worker_comes_with_the_copy(machine: Machine) -> None:
    """The copy of another worker's database is refused as that database would be."""

    @in_virtual_time
    async def rule() -> None:
        worker = await machine.met()
        await worker.db.set_owner(NAME)
        copy = copy_of(machine)
        machine.close()
        assert restore(copy, machine.directory.with_name("new"), new_id()).worker == NAME

    rule()
