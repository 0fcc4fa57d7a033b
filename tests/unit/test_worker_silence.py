"""StopAfterDisconnect at a worker at work: clocks, restarts, boots, sleep, a lost database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keelman.task import Reason, State
from keelman.worker import reasons
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_wire import OTHER_EVENT_ID, an_event
from tests.unit.given_worker import (
    FAILS,
    STUBBORN,
    Machine,
    at_work,
    meet,
    pass_time,
    settle,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

BEARS = 30
WHOLE = ["PENDING SCHEDULED #1 ", "SCHEDULED RUNNING #1 ", "RUNNING FAILED #1 disconnected"]


def alone(**asked: Any) -> Any:  # noqa: ANN401  # a TaskEvent
    return an_event(stop_after_disconnect=BEARS, restart_policy="always", **asked)


async def asked(worker: Worker, **task: Any) -> None:
    """A client's request has passed the door."""
    worker.heard()
    await worker.add_task(alone(**task))


@in_virtual_time
async def test_it_is_stopped_when_nobody_was_heard_for_so_long(tmp_path: Path) -> None:
    """At the time, and not before; and it stays so."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(BEARS - 1)
        assert state_of(worker) is State.RUNNING
        await pass_time(2)
        assert (state_of(worker), machine.engine.live) == (State.FAILED, [])
        worker.heard()
        await pass_time(600)
        assert story(worker) == WHOLE
    machine.close()


@in_virtual_time
async def test_it_runs_on_while_somebody_asks(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        for _ in range(20):
            await pass_time(BEARS - 1)
            worker.heard()
        assert state_of(worker) is State.RUNNING
        await pass_time(BEARS + 1)
        assert state_of(worker) is State.FAILED
    machine.close()


@in_virtual_time
async def test_it_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    """The normal ladder."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker, command=STUBBORN, stop_timeout=5)
        await pass_time(BEARS + 4)
        assert len(machine.engine.live) == 1
        await pass_time(2)
        assert machine.engine.live == []
        assert "killed when its grace was over" in worker.get_task(TASK_ID).message
    machine.close()


@in_virtual_time
async def test_a_restart_in_between_is_no_sign_of_life(tmp_path: Path) -> None:
    """It goes on counting where the process before it was."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(BEARS - 5)
    async with at_work(worker := machine.worker()):
        await pass_time(4)
        assert state_of(worker) is State.RUNNING
        await pass_time(3)
        assert story(worker) == WHOLE
    async with at_work(worker := machine.worker()):
        await pass_time(60)
        assert (story(worker), len(machine.engine.made)) == (WHOLE, 1)
    machine.close()


@in_virtual_time
async def test_a_worker_that_was_killed_has_kept_it_too(tmp_path: Path) -> None:
    """It is not only kept when it goes in peace: a second is lost at most, to the safe side."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(2)
        kept = (machine.directory / "heard.json").read_bytes()
        await pass_time(BEARS - 5)
    (machine.directory / "heard.json").write_bytes(kept)
    async with at_work(worker := machine.worker()):
        await pass_time(1)
        assert state_of(worker) is State.RUNNING
        await pass_time(5)
        assert state_of(worker) is State.FAILED
    machine.close()


@pytest.mark.parametrize("jump", [3600.0, -3600.0], ids=["ahead", "back"])
@in_virtual_time
async def test_the_clock_on_the_wall_has_no_part_in_it(tmp_path: Path, jump: float) -> None:
    """Whoever sets it, nothing is stopped too early, and nothing too late."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(5)
    machine.wall = jump
    async with at_work(worker := machine.worker()):
        await pass_time(BEARS - 7)
        assert state_of(worker) is State.RUNNING
        await pass_time(4)
        assert machine.engine.live == []
    machine.close()


@in_virtual_time
async def test_time_asleep_counts(tmp_path: Path) -> None:
    """Though no alarm goes off in it."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(5)
        machine.asleep = 3600.0
        await pass_time(2)
        assert state_of(worker) is State.FAILED
    machine.close()


@in_virtual_time
async def test_after_a_boot_it_is_not_started_again(tmp_path: Path) -> None:
    """Its process went with the machine, and nobody was heard since."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(1)
        assert state_of(worker) is State.RUNNING
    machine.boot = "boot-2"
    machine.engine.exit(machine.engine.the_container().id, 137)
    async with at_work(worker := machine.worker()):
        await pass_time(60)
        assert (story(worker), len(machine.engine.made)) == (WHOLE, 1)
    machine.close()


@in_virtual_time
async def test_with_its_database_lost_it_is_still_alone(tmp_path: Path) -> None:
    """The field is on the container's label; what had ended is never started again."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(BEARS - 5)
    machine.lose_db()
    async with at_work(worker := machine.worker()):
        await pass_time(6)
        assert state_of(worker) is State.FAILED
    machine.lose_db()
    async with at_work(worker := machine.worker()):
        worker.heard()
        await pass_time(60)
        assert (machine.engine.live, len(machine.engine.made)) == ([], 1)
        assert state_of(worker).ended
    machine.close()


@in_virtual_time
async def test_what_waits_when_its_time_is_over_never_starts(tmp_path: Path) -> None:
    """Here for its back-off."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker, command=FAILS)
        await pass_time(BEARS + 1)
        made = len(machine.engine.made)
        assert worker.get_task(TASK_ID).reason is Reason.DISCONNECTED
        worker.heard()
        await pass_time(600)
        assert len(machine.engine.made) == made
    machine.close()


@in_virtual_time
async def test_a_newer_event_runs_it_again(tmp_path: Path) -> None:
    """The same event does not: that is what was asked for already."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(BEARS + 1)
        await asked(worker)
        await pass_time(1)
        assert state_of(worker) is State.FAILED
        await asked(worker, event_id=OTHER_EVENT_ID, generation=1)
        await pass_time(1)
        assert state_of(worker) is State.RUNNING
    machine.close()


@in_virtual_time
async def test_an_engine_that_was_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    """Nothing can be stopped before."""
    machine = Machine(tmp_path)
    async with at_work(worker := machine.worker()):
        await asked(worker)
        await pass_time(BEARS - 5)
        machine.engine.down()
        await pass_time(60)
        assert state_of(worker) is State.RUNNING
        machine.engine.up()
        await pass_time(60)
        assert state_of(worker) is State.FAILED
    machine.close()


@in_virtual_time
async def test_whoever_only_asks_why_changes_nothing(tmp_path: Path) -> None:
    worker = Machine(tmp_path).worker()
    await meet(worker)
    await asked(worker)
    for _ in range(4):
        await worker.run_task(TASK_ID)
    told = await reasons.why(worker, TASK_ID)
    assert "when nobody was heard for 30 s" in told.next
    assert told.at is not None
    await pass_time(BEARS)
    await settle(worker)
    assert state_of(worker) is State.FAILED
