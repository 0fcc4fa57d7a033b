"""What the operator no longer allows: nothing more is made of it, and what runs goes on."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.allowed import Allowed
from keelman.errors import EngineUnavailable, Forbidden
from keelman.task import Reason, State
from keelman.worker import permission
from tests.unit.given import TASK_ID
from tests.unit.given_wire import an_event
from tests.unit.given_worker import (
    FAILS,
    IMAGE,
    STUBBORN,
    Machine,
    pass_time,
    settle,
    state_of,
    story,
)
from tests.unit.virtual_time import in_virtual_time

RUNNING, FAILED, SCHEDULED = State.RUNNING, State.FAILED, State.SCHEDULED
EVERYTHING = Allowed(capabilities=("ALL",), host_network=True, low_ports=True)
ASKED: dict[str, dict[str, Any]] = {
    "Network": {"network": "host"},
    "CapAdd": {"cap_add": ("NET_ADMIN",)},
    "PortBindings": {"port_bindings": {"80/tcp": "80"}},
}
OTHER_IMAGES = Allowed(images=("other/*",))


@pytest.mark.parametrize(("field", "asked"), ASKED.items(), ids=ASKED)
@in_virtual_time
async def test_what_is_not_allowed_is_refused_when_it_is_sent(
    machine: Machine, field: str, asked: dict[str, Any]
) -> None:
    worker = await machine.met()
    with pytest.raises(Forbidden, match=f"Task.{field}: .*--allow-") as caught:
        await worker.add_task(an_event(**asked))
    assert caught.value.field == f"Task.{field}"
    assert worker.db.shown(TASK_ID) is None


@in_virtual_time
async def test_one_answer_names_all_that_is_not_allowed(machine: Machine) -> None:
    worker = await machine.met()
    with pytest.raises(Forbidden) as caught:
        await worker.add_task(an_event(network="host", cap_add=("KILL", "BPF")))
    for option in ("--allow-host-network", "--allow-cap KILL", "--allow-cap BPF"):
        assert option in caught.value.message


def test_what_may_pass_by_itself_is_said_alone() -> None:
    away, no = EngineUnavailable("away"), Forbidden("no", "Task.Network")
    assert permission.together([away, no]) is away
    assert str(permission.together([no, Forbidden("nor that")])) == "no; nor that"


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@in_virtual_time
async def test_a_task_that_was_accepted_fails_when_it_is_no_longer_allowed(
    machine: Machine, asked: dict[str, Any]
) -> None:
    worker = await machine.met(allowed=EVERYTHING)
    await worker.add_task(an_event(**asked))
    worker = await machine.met()
    await settle(worker)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.NOT_ALLOWED)
    assert "--allow-" in task.message
    assert machine.engine.made == []


@in_virtual_time
async def test_an_image_that_is_no_longer_allowed_is_not_even_pulled(machine: Machine) -> None:
    worker = await machine.met()
    await worker.add_task(an_event(image="nginx:2"))
    worker = await machine.met(allowed=OTHER_IMAGES)
    await settle(worker)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.NOT_ALLOWED)
    assert worker.images.waiting == 0
    assert "nginx:2" not in machine.engine.images


@in_virtual_time
async def test_a_task_in_back_off_fails_when_it_is_no_longer_allowed(machine: Machine) -> None:
    """A restart policy goes on trying: the operator may have been mistaken."""
    worker = await machine.met(allowed=EVERYTHING)
    await worker.add_task(an_event(command=FAILS, network="host", restart_policy="on-failure:2"))
    await settle(worker)
    await pass_time()
    await worker.run_task(TASK_ID)
    assert state_of(worker) is SCHEDULED
    worker = await machine.met()
    await settle(worker)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.NOT_ALLOWED)
    assert [line for line in story(worker) if "not_allowed" in line]
    assert machine.engine.made == [f"keelman-w-{TASK_ID}-1"]


@in_virtual_time
async def test_what_runs_is_not_stopped_when_it_is_no_longer_allowed(machine: Machine) -> None:
    worker = await machine.met(allowed=EVERYTHING)
    await worker.add_task(an_event(command=STUBBORN, network="host"))
    await settle(worker)
    worker = await machine.met(allowed=OTHER_IMAGES)
    await settle(worker)
    assert state_of(worker) is RUNNING
    assert len(machine.engine.live) == 1


@in_virtual_time
async def test_an_image_that_is_allowed_runs(machine: Machine) -> None:
    worker = await machine.met(allowed=Allowed(images=(IMAGE,)))
    await worker.add_task(an_event(image=IMAGE))
    await settle(worker)
    assert state_of(worker) is RUNNING
