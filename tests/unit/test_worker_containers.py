"""Containers that a worker did not expect: strangers, orphans, those of the expired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keelman.allowed import Allowed
from keelman.errors import (
    EngineAway,
    EngineRefused,
    Forbidden,
)
from keelman.runtime.fake import FakeRuntime
from keelman.seen import Create
from keelman.task import Mount, Reason, State
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID, a_task
from tests.unit.given_wire import OTHER_EVENT_ID, a_delete, an_event
from tests.unit.given_worker import (
    FAILS,
    STUBBORN,
    SUCCEEDS,
    Machine,
    clock,
    pass_time,
    settle,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State

RUN = an_event()


# -- other containers ----------------------------------------------------------------------------


@in_virtual_time
async def test_a_container_that_somebody_made_does_not_disturb_the_one_that_runs(
    machine: Machine,
) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    await settle(worker)
    other_hand = FakeRuntime(machine.engine, "w")
    task = worker.get_task(TASK_ID)
    await other_hand.do(task, Create(attempt=2))
    await settle(worker)
    assert [one.name for one in machine.engine.live] == [f"keelman-w-{TASK_ID}-1"]
    assert len(machine.engine.containers) == 1


@in_virtual_time
async def test_a_stranger_with_our_name_fails_the_task_and_is_left_alone(machine: Machine) -> None:
    stranger = machine.engine.stranger(f"keelman-w-{TASK_ID}-1")
    worker = await machine.met()
    await worker.add_task(RUN)
    await settle(worker)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.NAME_TAKEN)
    assert list(machine.engine.containers) == [stranger]


@in_virtual_time
async def test_what_runs_although_its_task_has_ended_is_stopped(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(command=SUCCEEDS))
    await settle(worker)
    await pass_time()
    await settle(worker)
    machine.engine.start(machine.engine.the_container().id)
    await settle(worker)
    assert machine.engine.live == []
    assert state_of(worker) is COMPLETED


@in_virtual_time
async def test_a_container_of_another_life_of_its_id_is_not_taken_for_it(machine: Machine) -> None:
    """The Db is older than the engine, and the same ID was sent with another spec."""
    other_hand = FakeRuntime(machine.engine, "w")
    worker = await machine.met()
    await other_hand.do(a_task(asked={"env": {"A": "1"}}), Create(attempt=3))
    await worker.add_task(an_event(env={"A": "2"}))
    await settle(worker)
    assert state_of(worker) is RUNNING
    assert [one.body["Env"] for one in machine.engine.containers.values()] == [["A=2"]]


@in_virtual_time
async def test_a_container_of_the_same_spec_is_taken_up_with_its_attempt(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event())
    wanted = worker.get_task(TASK_ID)
    other_hand = FakeRuntime(machine.engine, "w")
    await other_hand.do(wanted, Create(attempt=3))
    await settle(worker)
    assert worker.get_task(TASK_ID).attempt == 4  # nobody knows whether a start of 3 was asked
    assert len(machine.engine.containers) == 1


# -- mounts --------------------------------------------------------------------------------------


def mounting(source: Path) -> dict[str, Any]:
    return {"mounts": (Mount(source=str(source), target="/in"),)}


@in_virtual_time
async def test_a_mount_that_is_not_allowed_is_refused_when_it_is_sent(machine: Machine) -> None:
    worker = await machine.met()
    with pytest.raises(Forbidden, match="--allow-mount"):
        await worker.add_task(an_event(**mounting(Path("/etc"))))
    assert worker.db.shown(TASK_ID) is None


@in_virtual_time
async def test_an_event_that_was_answered_is_answered_so_again_whatever_is_allowed_now(
    machine: Machine, tmp_path: Path
) -> None:
    asked = an_event(**mounting(tmp_path))
    worker = await machine.met(allowed=Allowed(mounts=(str(tmp_path),)))
    answer = await worker.add_task(asked)
    worker = await machine.met(allowed=Allowed())
    assert await worker.add_task(asked) == answer


@in_virtual_time
async def test_a_link_changed_after_it_was_allowed_is_refused_before_the_create(
    machine: Machine, tmp_path: Path
) -> None:
    link = tmp_path / "allowed" / "link"
    link.parent.mkdir()
    link.mkdir()
    worker = await machine.met(allowed=Allowed(mounts=(str(link.parent),)))
    await worker.add_task(an_event(**mounting(link)))
    link.rmdir()
    link.symlink_to("/etc")
    await settle(worker)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.NOT_ALLOWED)
    assert machine.engine.made == []


# -- retention -----------------------------------------------------------------------------------


async def ended(machine: Machine) -> Worker:
    worker = await machine.met()
    await worker.add_task(an_event(command=FAILS))
    await settle(worker)
    await pass_time()
    await settle(worker)
    assert state_of(worker) is FAILED
    return worker


@in_virtual_time
async def test_an_expired_task_goes_container_first(machine: Machine) -> None:
    worker = await ended(machine)
    worker._expired.add(TASK_ID)
    await worker.run_task(TASK_ID)
    assert machine.engine.containers == {}
    assert worker.db.get(TASK_ID) is not None
    await worker.run_task(TASK_ID)
    assert worker.db.get(TASK_ID) is None
    assert worker.db.buried(TASK_ID)
    assert await worker.run_task(TASK_ID) is None


@in_virtual_time
async def test_a_task_that_is_gone_is_kept_in_no_memory(machine: Machine) -> None:
    """Retention may list it once more in the moment in which its record goes."""
    worker = await ended(machine)
    worker.retire([TASK_ID])
    await settle(worker)
    assert worker.db.get(TASK_ID) is None
    worker.retire([TASK_ID])
    await settle(worker)
    assert worker._expired == set()


@in_virtual_time
async def test_an_ended_task_that_has_not_expired_keeps_its_container(machine: Machine) -> None:
    worker = await ended(machine)
    await settle(worker)
    assert len(machine.engine.containers) == 1


@in_virtual_time
async def test_a_task_that_expired_and_runs_again_has_its_time_anew(machine: Machine) -> None:
    worker = await ended(machine)
    worker._expired.add(TASK_ID)
    await worker.add_task(an_event(command=FAILS, event_id=OTHER_EVENT_ID))
    await settle(worker)
    assert state_of(worker) is RUNNING
    await pass_time()
    await settle(worker)
    assert state_of(worker) is FAILED
    assert len(machine.engine.containers) == 1


@in_virtual_time
async def test_a_wish_that_comes_while_a_task_is_cleaned_away_keeps_it(machine: Machine) -> None:
    worker = await ended(machine)
    worker._expired.add(TASK_ID)
    await worker.run_task(TASK_ID)  # its container is gone
    task = worker.get_task(TASK_ID)
    again = an_event(event_id=OTHER_EVENT_ID)
    assert json.loads(await worker.add_task(again))["State"] == PENDING
    assert await worker.forget(task) == clock()
    await settle(worker)
    assert state_of(worker) is RUNNING


# -- adoption ------------------------------------------------------------------------------------


@in_virtual_time
async def test_with_a_new_db_what_runs_is_adopted_whole(machine: Machine) -> None:
    worker = await machine.met()
    asked = an_event(
        command=STUBBORN,
        env={"SECRET": "s3cret"},
        restart_policy="always",
        generation=4,
        port_bindings={"80/tcp": "8080"},
    )
    await worker.add_task(asked)
    await settle(worker)
    before = worker.get_task(TASK_ID)
    machine.lose_db()

    worker = await machine.met()
    await settle(worker)
    after = worker.get_task(TASK_ID)
    kept = ("id", "spec", "generation", "state", "attempt", "container_id", "host_ports")
    assert {name: getattr(after, name) for name in kept} == {
        name: getattr(before, name) for name in kept
    }
    assert machine.engine.starts == machine.engine.made == [f"keelman-w-{TASK_ID}-1"]
    await worker.add_task(a_delete())
    await settle(worker)
    assert state_of(worker) is COMPLETED
    assert machine.engine.live == []


@in_virtual_time
async def test_with_a_new_db_what_was_only_made_is_started_as_a_new_attempt(
    machine: Machine,
) -> None:
    """The old worker may have asked for a start that is on its way yet."""
    worker = await machine.met()
    await worker.add_task(RUN)
    await worker.run_task(TASK_ID)
    machine.lose_db()
    worker = await machine.met()
    await settle(worker)
    with pytest.raises(EngineRefused):
        machine.engine.start(f"keelman-w-{TASK_ID}-1")
    task = worker.get_task(TASK_ID)
    assert (task.state, task.attempt, task.restart_count) == (RUNNING, 2, 0)
    assert len(machine.engine.starts) == 1


@pytest.mark.parametrize(
    ("command", "state"), [(SUCCEEDS, COMPLETED), (FAILS, FAILED)], ids=["exit 0", "exit 3"]
)
@in_virtual_time
async def test_with_a_new_db_what_had_ended_is_recorded_and_never_restarted(
    machine: Machine, command: tuple[str, ...], state: State
) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(command=command, restart_policy="always"))
    await settle(worker)
    machine.lose_db()
    await pass_time()
    worker = await machine.met()
    await settle(worker)
    assert state_of(worker) is state
    assert [line.split(" #")[0] for line in story(worker)] == [
        *("PENDING SCHEDULED", "SCHEDULED RUNNING", f"RUNNING {state.name}")
    ]
    assert len(machine.engine.starts) == 1


@in_virtual_time
async def test_what_is_left_of_a_task_that_was_cleaned_away_is_removed(machine: Machine) -> None:
    worker = await ended(machine)
    await worker.db.forget(worker.get_task(TASK_ID), clock())
    for row in await worker.runtime.rows():
        assert await worker.adoption.adopt(row) is None
    assert machine.engine.containers == {}
    assert worker.db.get(TASK_ID) is None


@in_virtual_time
async def test_another_engine_is_refused_and_nothing_vanishes(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(RUN)
    await settle(worker)
    machine.engine.identity = "OTHER"
    machine.engine.containers.clear()
    with pytest.raises(EngineAway, match="another engine is here, OTHER"):
        await machine.met()
    worker = machine.worker()
    assert await worker.run_task(TASK_ID) == clock() + 1
    assert state_of(worker) is RUNNING
