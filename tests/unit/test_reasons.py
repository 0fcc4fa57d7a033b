"""A worker that is asked why: it answers with its own decision, and nothing comes of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from keelman.errors import CannotRecord, EngineFailed, UnknownTask
from keelman.explanation import Blocker, Explanation
from keelman.health import HealthCheck
from keelman.runtime import Tell, to_nobody
from keelman.seen import Action, Seen
from keelman.task import State, Task
from keelman.worker import reasons
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_why import seconds_of
from tests.unit.given_wire import a_delete, an_event, an_id
from tests.unit.given_worker import (
    FAILS,
    STUBBORN,
    FusedRuntime,
    Machine,
    at_work,
    clock,
    pass_time,
    send,
    settle,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State
REMOTE = "nginx:2"
CHECK = HealthCheck(kind="command", command=("ask",), interval=10, timeout=3, retries=3)
TABLES = ("queue", "task_events", "tasks", "transitions", "tombstones", "meta")


async def why(worker: Worker, number: int | None = None) -> Explanation:
    return await reasons.why(worker, TASK_ID if number is None else an_id(number))


# -- nothing comes of it -------------------------------------------------------------------------


def everything(machine: Machine, worker: Worker) -> dict[str, Any]:
    """All that a question could change: on disk, at the engine, in memory."""
    return {
        **{table: worker.db._store.read(f"SELECT * FROM {table}") for table in TABLES},
        "containers": {
            name: (one.name, str(one.state)) for name, one in machine.engine.containers.items()
        },
        "made": list(machine.engine.made),
        "starts": list(machine.engine.starts),
        "execs": list(machine.engine.execs),
        "probers": {name: id(one) for name, one in worker.probes._probers.items()},
        "held": set(worker.slots._held),
        "queue for slots": list(worker.slots._waiting),
        "pulls": {name: set(one.waiting) for name, one in worker.images._under_way.items()},
        "ended pulls": dict(worker.images._ended),
        "lanes": dict(worker.lanes._woken),
        "timers": set(worker.lanes._timers),
        "woken early": list(worker.lanes._early),
        "orphans": dict(worker.adoption._found),
        "mishaps": dict(worker.mishaps._last),
        "expired": set(worker._expired),
    }


def spied(worker: Worker) -> list[str]:
    """What the engine is asked to do from here on, but for looks."""
    runtime, asked = worker.runtime, list[str]()
    assert isinstance(runtime, FusedRuntime)

    async def do(task: Task, action: Action) -> None:
        asked.append(str(action))

    async def pull(image: str, tell: Tell = to_nobody) -> None:
        asked.append(f"pull {image}")

    runtime.do = do  # type: ignore[method-assign]  # a spy
    runtime.pull = pull  # type: ignore[method-assign]  # a spy
    return asked


Scene = Callable[[Machine], Any]


async def a_new_wish(machine: Machine) -> Worker:
    worker = await machine.met()
    await worker.add_task(an_event(image=REMOTE, health_check=CHECK))
    return worker


async def a_container_to_make(machine: Machine) -> Worker:
    worker = await machine.met()
    await worker.add_task(an_event())
    return worker


async def a_container_to_start(machine: Machine) -> Worker:
    worker = await machine.met()
    await worker.add_task(an_event())
    await worker.run_task(TASK_ID)
    return worker


async def a_pull_that_another_waits_for(machine: Machine) -> Worker:
    worker = await machine.met()
    worker.images.pull(REMOTE, an_id(7))
    await worker.add_task(an_event(image=REMOTE))
    return worker


async def no_slot(machine: Machine) -> Worker:
    worker = await machine.met(start_slots=1)
    worker.slots.take(an_id(7))
    await worker.add_task(an_event())
    return worker


async def a_running_one_that_is_not_probed_yet(machine: Machine) -> Worker:
    await settle(await runs(machine, health_check=CHECK))
    return await machine.met()


async def a_probed_one_that_has_exited(machine: Machine) -> Worker:
    worker = await runs(machine, health_check=CHECK)
    machine.engine.exit(machine.engine.the_container().id, 3)
    assert worker.probes._probers
    return worker


async def a_stop_to_carry_out(machine: Machine) -> Worker:
    worker = await runs(machine)
    await worker.add_task(a_delete())
    return worker


async def one_to_clean_away(machine: Machine) -> Worker:
    worker = await runs(machine)
    machine.engine.exit(machine.engine.the_container().id, 0)
    await settle(worker)
    worker.retire([TASK_ID])
    return worker


async def runs(machine: Machine, **asked: Any) -> Worker:
    worker = await machine.met()
    await worker.add_task(an_event(**asked))
    await settle(worker)
    return worker


@pytest.mark.parametrize(
    "scene",
    [
        *(a_new_wish, a_container_to_make, a_container_to_start, a_pull_that_another_waits_for),
        *(no_slot, a_running_one_that_is_not_probed_yet, a_probed_one_that_has_exited),
        *(a_stop_to_carry_out, one_to_clean_away),
    ],
)
def test_asking_changes_nothing(scene: Scene, machine: Machine) -> None:
    @in_virtual_time
    async def ask() -> None:
        worker = await scene(machine)
        asked, before = spied(worker), everything(machine, worker)
        told = await why(worker)
        assert told == await why(worker)
        assert everything(machine, worker) == before
        assert asked == []

    ask()


@in_virtual_time
async def test_a_story_in_which_everybody_asks_is_the_same_story(machine: Machine) -> None:
    worker = machine.worker(start_slots=1)
    async with at_work(worker), asyncio.TaskGroup() as group:
        asking = group.create_task(ask_for_ever(worker))
        await worker.add_task(an_event(command=FAILS, restart_policy="on-failure:1"))
        await pass_time(60)
        asking.cancel()
    assert story(worker) == [
        "PENDING SCHEDULED #1 ",
        "SCHEDULED RUNNING #1 ",
        "RUNNING SCHEDULED #1 exited",
        "SCHEDULED RUNNING #2 ",
        "RUNNING FAILED #2 exited",
    ]
    assert len(machine.engine.made) == len(machine.engine.starts) == 2


async def ask_for_ever(worker: Worker) -> None:
    while True:
        if worker.db.knows(TASK_ID):
            await why(worker)
        await asyncio.sleep(0.05)


@in_virtual_time
async def test_an_orphan_is_not_adopted_for_a_question(machine: Machine) -> None:
    await runs(machine)
    machine.lose_db()
    worker = machine.worker()
    worker.adoption.found(await worker.runtime.rows())
    before = everything(machine, worker)
    assert before["orphans"]
    with pytest.raises(UnknownTask):
        await why(worker)
    assert everything(machine, worker) == before


@in_virtual_time
async def test_who_has_never_heard_of_a_task_says_so(machine: Machine) -> None:
    with pytest.raises(UnknownTask):
        await why(await machine.met(), 9)


# -- what is told --------------------------------------------------------------------------------


@in_virtual_time
async def test_a_pull_is_told_with_its_progress(machine: Machine) -> None:
    machine.engine.latency["pull"] = 60.0
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(image=REMOTE))
        await pass_time(20)
        told = await why(worker)
    assert (told.state, told.blocked.by, told.seen) == (SCHEDULED, Blocker.PULL, "absent")
    assert told.blocked.message == "pulling nginx:2: 0 of 1 layers, 0.0 of 40.0 MB"
    assert told.because == "it was taken up, 20 s ago"


@in_virtual_time
async def test_a_place_in_the_queue_for_slots_is_told(machine: Machine) -> None:
    machine.engine.latency["create"] = 100.0
    worker = machine.worker(start_slots=1)
    async with at_work(worker):
        for number in range(1, 5):
            await send(worker, number)
            await pass_time(0.1)
        told = [(await why(worker, number)).blocked for number in (2, 3, 4)]
    assert [block.by for block in told] == [Blocker.SLOT] * 3
    assert [block.message for block in told] == [
        "the only one, and no task is before it",
        "the only one, and 1 task is before it",
        "the only one, and 2 tasks are before it",
    ]


@in_virtual_time
async def test_a_back_off_is_told_with_what_failed(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(command=FAILS, restart_policy="on-failure"))
        await pass_time(5.5)
        told = await why(worker)
        due = worker.get_task(TASK_ID).due
        container = machine.engine.the_container().id[:12]
    assert (told.blocked.by, told.next) == (Blocker.BACK_OFF, f"remove container {container}")
    assert "exited with code 3" in told.blocked.message
    assert told.at is not None
    assert told.at.timestamp() == pytest.approx(due, abs=1e-5)


@in_virtual_time
async def test_a_stop_is_told_rung_by_rung(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(command=STUBBORN))
        await pass_time(1)
        await worker.add_task(a_delete())
        await pass_time(4)
        told = await why(worker)
    assert told.blocked.message == "a stop was asked for; SIGTERM was sent 4 s ago"
    assert told.next == "send KILL; once its process is gone, record it as COMPLETED"
    assert (seconds_of(told) or 0) - (clock() - 1_000_000.0) == pytest.approx(6, abs=0.01)


@in_virtual_time
async def test_health_is_told_from_the_prober_that_is_at_work(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(health_check=CHECK))
        await pass_time(5)
        told = await why(worker)
    assert told.summary == "It runs, and its probes pass (ask ended with 0)."


@in_virtual_time
async def test_an_engine_that_is_away_is_told_with_since_when(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(10)
        machine.engine.down()
        await pass_time(12)
        told = await why(worker)
        assert (told.state, told.blocked.by, told.seen) == (RUNNING, Blocker.ENGINE, "unknown")
        assert told.blocked.message.startswith("the engine has not answered for 12 s")
        machine.engine.up()
        await pass_time(3)
        assert (await why(worker)).summary == "It runs."


@in_virtual_time
async def test_a_worker_that_never_met_its_engine_says_so(machine: Machine) -> None:
    await runs(machine)
    told = await why(machine.worker())
    assert told.blocked.message == (
        "nothing is known of its container (the engine was not reached yet)"
    )


@in_virtual_time
async def test_an_engine_that_hangs_is_not_waited_for(machine: Machine) -> None:
    worker = await runs(machine)
    machine.engine.latency["look"] = 1000.0
    began = clock()
    told = await why(worker)
    assert clock() - began == reasons.LOOK_SECONDS
    assert "no answer within 5 s" in told.blocked.message


@in_virtual_time
async def test_one_look_that_fails_is_no_more_than_that(machine: Machine) -> None:
    worker = await runs(machine)
    machine.engine.fail_next("look", EngineFailed("out of file descriptors"))
    told = await why(worker)
    assert told.summary == (
        "It stays RUNNING: nothing is known of its container (out of file descriptors)."
    )


@in_virtual_time
async def test_a_parked_task_is_told_until_a_step_ends_well(machine: Machine) -> None:
    worker = await runs(machine)
    until = await worker.park(TASK_ID, LookupError("a bug"))
    told = await why(worker)
    assert told.blocked.by == Blocker.INTERNAL_ERROR
    assert told.blocked.message == "LookupError('a bug'); it is tried again in 2 s"
    assert told.at is not None
    assert told.at.timestamp() == until
    await worker.run_task_safely(TASK_ID)
    assert (await why(worker)).blocked.by == ""


@in_virtual_time
async def test_a_full_disk_is_told(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event())
    worker.db._store._writer.execute("PRAGMA query_only = ON")
    await worker.run_task_safely(TASK_ID)
    told = await why(worker)
    assert (told.state, told.blocked.by) == (PENDING, Blocker.CANNOT_RECORD)
    assert "tried again in 1 s" in told.blocked.message
    worker.db._store._writer.execute("PRAGMA query_only = OFF")
    await worker.run_task_safely(TASK_ID)
    assert (await why(worker)).blocked.by == ""


@in_virtual_time
async def test_a_database_that_cannot_be_read_is_an_error(machine: Machine) -> None:
    worker = await runs(machine)
    worker.db._store._reader.execute("ALTER TABLE tasks RENAME TO away")
    with pytest.raises(CannotRecord):
        await why(worker)


@in_virtual_time
async def test_an_ended_task_is_told_until_when_it_is_kept(machine: Machine) -> None:
    worker = machine.worker(keep_ended_seconds=3600.0)
    async with at_work(worker):
        await worker.add_task(an_event(command=FAILS))
        await pass_time(65)
        told = await why(worker)
        assert told.state is FAILED
        assert told.blocked.message == "its record is kept for 59 m 0 s more"
        await worker.add_task(an_event(event_id=an_id(5), command=FAILS))
        await pass_time(1)
        assert (await why(worker)).state is RUNNING


# -- of one moment -------------------------------------------------------------------------------


@in_virtual_time
async def test_a_task_that_moves_during_the_look_is_looked_at_again(machine: Machine) -> None:
    """Else a record from before would be told with a sight from after."""
    worker = await machine.met()
    await worker.add_task(an_event())
    looks = moving(worker, times=1)
    told = await why(worker)
    assert looks == [TASK_ID] * 2
    assert (told.state, told.seen) == (SCHEDULED, "created")


@in_virtual_time
async def test_a_task_that_never_comes_to_rest_is_told_all_the_same(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(command=STUBBORN))
    looks = moving(worker, times=9)
    assert (await why(worker)).summary
    assert looks == [TASK_ID] * reasons.LOOKS_MOST


def moving(worker: Worker, times: int) -> list[str]:
    """Has the task's own lane make a step after each of so many looks; the looks."""
    peek, looks = worker.peek, list[str]()

    async def peeked(task: Task) -> Seen:
        looks.append(task.id)
        seen = await peek(task)
        if len(looks) <= times:
            await worker.run_task(task.id)
            if state_of(worker) is RUNNING:
                await worker.add_task(a_delete())
        return seen

    worker.peek = peeked  # type: ignore[method-assign]  # a spy
    return looks
