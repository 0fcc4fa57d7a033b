"""The worker and its pulls: what a task shows meanwhile, and how often an image is pulled."""

from __future__ import annotations

from keelman.allowed import Allowed
from keelman.errors import EngineFailed
from keelman.runtime import Tell, to_nobody
from keelman.task import Reason, State
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_wire import a_delete, an_event, an_id
from tests.unit.given_worker import (
    FAILS,
    IMAGE,
    FusedRuntime,
    Machine,
    at_work,
    pass_time,
    send,
    state_of,
    states,
    story,
)
from tests.unit.virtual_time import in_virtual_time

PULL_SECONDS = 60.0
REMOTE = "nginx:2"
SCHEDULED, RUNNING, COMPLETED, FAILED = (
    State.SCHEDULED, State.RUNNING, State.COMPLETED, State.FAILED,
)  # fmt: skip


def counted(worker: Worker) -> list[str]:
    """The images that a worker has pulled from here on."""
    runtime, pulls = worker.runtime, list[str]()
    assert isinstance(runtime, FusedRuntime)
    inner = runtime.pull

    async def pull(image: str, tell: Tell = to_nobody) -> None:
        pulls.append(image)
        await inner(image, tell)

    runtime.pull = pull  # type: ignore[method-assign]  # a spy
    return pulls


@in_virtual_time
async def test_a_task_shows_its_pull_and_records_nothing_of_it(machine: Machine) -> None:
    machine.engine.latency["pull"] = PULL_SECONDS
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(image=REMOTE))
        await pass_time(PULL_SECONDS / 2)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.reason) == (SCHEDULED, Reason.PULLING)
        assert task.message == "pulling nginx:2: 0 of 1 layers, 0.0 of 40.0 MB"
        recorded = worker.db.get(TASK_ID)
        assert recorded is not None
        assert (recorded.reason, recorded.message) == (Reason.NONE, "")
        await pass_time(PULL_SECONDS)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.reason, task.message) == (RUNNING, Reason.NONE, "")
    assert story(worker) == ["PENDING SCHEDULED #1 ", "SCHEDULED RUNNING #1 "]


@in_virtual_time
async def test_a_stop_during_a_pull_ends_the_task_at_once(machine: Machine) -> None:
    machine.engine.latency["pull"] = PULL_SECONDS
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(image=REMOTE))
        await pass_time(1)
        await worker.add_task(a_delete())
        await pass_time(0.1)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.reason) == (COMPLETED, Reason.STOPPED)
        await pass_time(PULL_SECONDS)
        assert worker.get_task(TASK_ID) == task
    assert machine.engine.made == []


@in_virtual_time
async def test_what_is_not_allowed_any_more_is_not_pulled(machine: Machine) -> None:
    worker = await machine.met(allowed=Allowed(images=("nginx:*",)))
    await worker.add_task(an_event(image=REMOTE))
    worker = await machine.met(allowed=Allowed(images=("busybox",)))
    pulls = counted(worker)
    async with at_work(worker):
        await pass_time(PULL_SECONDS)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason, pulls) == (FAILED, Reason.NOT_ALLOWED, [])


@in_virtual_time
async def test_an_image_that_is_here_waits_for_no_pull(machine: Machine) -> None:
    machine.engine.latency["pull"] = PULL_SECONDS
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(image=IMAGE, pull_policy="always", event_id="e"))
        await pass_time(1)
        await send(worker, 1)
        await pass_time(1)
        assert state_of(worker) is SCHEDULED
        assert worker.get_task(TASK_ID).reason is Reason.PULLING
        assert len(machine.engine.live) == 1


@in_virtual_time
async def test_always_pulls_once_for_each_attempt(machine: Machine) -> None:
    machine.engine.registry.add(IMAGE)
    worker = machine.worker()
    pulls = counted(worker)
    async with at_work(worker):
        await worker.add_task(
            an_event(command=FAILS, pull_policy="always", restart_policy="on-failure:2")
        )
        await pass_time(60)
    assert state_of(worker) is FAILED
    assert len(machine.engine.starts) == len(pulls) == 3


@in_virtual_time
async def test_always_pulls_nothing_again_when_the_create_is_tried_again(machine: Machine) -> None:
    machine.engine.registry.add(IMAGE)
    worker = machine.worker()
    pulls = counted(worker)
    async with at_work(worker):
        for _ in range(3):
            machine.engine.fail_next("create", EngineFailed("no space left"))
        await worker.add_task(an_event(pull_policy="always"))
        await pass_time(60)
    assert state_of(worker) is RUNNING
    assert len(pulls) == 1


@in_virtual_time
async def test_always_fails_when_the_registry_does_not_have_what_is_here(machine: Machine) -> None:
    worker = machine.worker()
    pulls = counted(worker)
    async with at_work(worker):
        await worker.add_task(an_event(pull_policy="always"))
        await pass_time(1)
    task = worker.get_task(TASK_ID)
    assert (task.state, task.reason) == (FAILED, Reason.IMAGE_UNAVAILABLE)
    assert len(pulls) == 1


@in_virtual_time
async def test_always_does_not_start_on_what_is_here_while_the_registry_is_in_trouble(
    machine: Machine,
) -> None:
    machine.engine.registry.add(IMAGE)
    worker = machine.worker()
    pulls = counted(worker)
    async with at_work(worker):
        for _ in range(2):
            machine.engine.fail_next("pull", EngineFailed("toomanyrequests"))
        await worker.add_task(an_event(pull_policy="always"))
        await pass_time(0.5)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.reason, task.message) == (
            SCHEDULED, Reason.IMAGE_UNAVAILABLE, "pull nginx:1: toomanyrequests",
        )  # fmt: skip
        await pass_time(10)
    assert state_of(worker) is RUNNING
    assert len(pulls) == 3


@in_virtual_time
async def test_a_worker_that_begins_anew_pulls_once_more_at_most(machine: Machine) -> None:
    machine.engine.registry.add(IMAGE)
    machine.engine.latency["pull"] = PULL_SECONDS
    first = machine.worker()
    async with at_work(first):
        await first.add_task(an_event(pull_policy="always"))
        await pass_time(1)
    second = machine.worker()
    pulls = counted(second)
    async with at_work(second):
        await pass_time(2 * PULL_SECONDS)
    assert state_of(second) is RUNNING
    assert len(pulls) == 1


@in_virtual_time
async def test_tasks_of_one_image_share_their_pulls(machine: Machine) -> None:
    """One that came while a pull was under way waits for it, and for one begun since it came."""
    machine.engine.registry.add(IMAGE)
    machine.engine.latency["pull"] = PULL_SECONDS
    worker = machine.worker()
    pulls = counted(worker)
    async with at_work(worker):
        for number in range(5):
            event_id = an_id(100 + number)
            await worker.add_task(
                an_event(task_id=an_id(number), event_id=event_id, pull_policy="always")
            )
            await pass_time(1)
        await pass_time(3 * PULL_SECONDS)
        assert states(worker, *range(5)) == [RUNNING] * 5
    assert len(pulls) == 2
