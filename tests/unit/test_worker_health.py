"""Health checks of a worker, by a command in the container, in virtual time."""

from __future__ import annotations

from keelman.errors import ContainerGone, EngineRefused, KeelmanError
from keelman.health import Health, HealthCheck
from keelman.task import Reason, State
from tests.unit.given import TASK_ID
from tests.unit.given_wire import a_delete, an_event
from tests.unit.given_worker import Machine, at_work, pass_time, state_of, story
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State

ASK = ("ask",)
CHECK = HealthCheck(kind="command", command=ASK, interval=10, timeout=3, retries=3)
CHECKED = an_event(health_check=CHECK)


@in_virtual_time
async def test_a_task_without_a_check_has_no_health(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event())
        await pass_time(60)
        assert worker.get_task(TASK_ID).health is Health.NONE
        assert machine.engine.execs == []


@in_virtual_time
async def test_a_change_of_health_is_a_transition(machine: Machine) -> None:
    machine.engine.exec_codes[ASK] = 1
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(5)
        assert worker.get_task(TASK_ID).health is Health.STARTING
        machine.engine.exec_codes[ASK] = 0
        await pass_time(10)
        task = worker.get_task(TASK_ID)
        assert (task.health, task.reason) == (Health.HEALTHY, Reason.HEALTHY)
        assert task.message == "ask ended with 0"
    assert story(worker)[-1] == "RUNNING RUNNING #1 healthy"


@in_virtual_time
async def test_an_unhealthy_task_without_a_policy_is_ended_and_has_failed(
    machine: Machine,
) -> None:
    machine.engine.exec_codes[ASK] = 1
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(60)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.reason, task.health) == (FAILED, Reason.UNHEALTHY, Health.NONE)
        assert "3 times in a row" in task.message
        assert machine.engine.live == []


@in_virtual_time
async def test_an_unhealthy_task_goes_through_its_restart_policy(machine: Machine) -> None:
    machine.engine.exec_codes[ASK] = 1
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(health_check=CHECK, restart_policy="on-failure:1"))
        await pass_time(40)
        machine.engine.exec_codes[ASK] = 0
        await pass_time(40)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.attempt, task.health) == (RUNNING, 2, Health.HEALTHY)
    assert story(worker)[2:] == [
        "RUNNING RUNNING #1 unhealthy",
        "RUNNING SCHEDULED #1 unhealthy",
        "SCHEDULED RUNNING #2 ",
        "RUNNING RUNNING #2 healthy",
    ]


@in_virtual_time
async def test_a_hanging_probe_fails_in_its_time_and_is_not_joined_by_another(
    machine: Machine,
) -> None:
    machine.engine.exec_codes[ASK] = None
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(60)
        assert worker.get_task(TASK_ID).reason is Reason.UNHEALTHY
        assert machine.engine.execs == [ASK]


@in_virtual_time
async def test_a_stop_does_not_wait_for_a_probe(machine: Machine) -> None:
    machine.engine.exec_codes[ASK] = None
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(1)
        await worker.add_task(a_delete())
        await pass_time(1)
        assert state_of(worker) is COMPLETED


@in_virtual_time
async def test_an_ended_task_is_probed_no_more(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(25)
        await worker.add_task(a_delete())
        await pass_time(1)
        probed = len(machine.engine.execs)
        await pass_time(60)
        assert len(machine.engine.execs) == probed == 3


@in_virtual_time
async def test_an_engine_that_is_away_makes_nobody_unhealthy(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(5)
        machine.engine.down()
        await pass_time(300)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.health) == (RUNNING, Health.HEALTHY)
        machine.engine.up()
        await pass_time(60)
        assert worker.get_task(TASK_ID).health is Health.HEALTHY


@in_virtual_time
async def test_a_refused_probe_of_a_container_that_the_engine_does_not_have_counts_for_nothing(
    machine: Machine,
) -> None:
    """Another engine is behind the address for a while: that is no word of the task."""
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(5)
        refuse(machine, ContainerGone("no such container"))
        await pass_time(300)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.attempt, task.health) == (RUNNING, 1, Health.HEALTHY)


@in_virtual_time
async def test_a_probe_that_is_refused_for_itself_has_failed(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(5)
        refuse(machine, EngineRefused("no such command"))
        await pass_time(60)
        assert worker.get_task(TASK_ID).reason is Reason.UNHEALTHY


@in_virtual_time
async def test_a_command_that_the_engine_forgot_is_not_waited_for(machine: Machine) -> None:
    """An engine that is started anew beside living containers knows no command of before."""
    machine.engine.exec_codes[ASK] = None
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(5)
        machine.engine.execs.clear()
        machine.engine.exec_codes[ASK] = 0
        await pass_time(60)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.health) == (RUNNING, Health.HEALTHY)


@in_virtual_time
async def test_a_command_that_has_ended_is_not_asked_for_again(machine: Machine) -> None:
    """The engine forgets it before a long Interval is over."""
    seldom = HealthCheck(kind="command", command=ASK, interval=3600, retries=1)
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(health_check=seldom))
        await pass_time(5)
        machine.engine.execs.clear()
        await pass_time(3600)
        assert machine.engine.execs == [ASK]
        assert worker.get_task(TASK_ID).health is Health.HEALTHY


def refuse(machine: Machine, error: KeelmanError) -> None:
    """From now on every command in a container is answered so."""

    def refused(container_id: str, command: tuple[str, ...]) -> str:
        raise error

    machine.engine.exec_start = refused  # type: ignore[method-assign]


@in_virtual_time
async def test_the_health_on_record_holds_after_a_restart_of_the_worker(machine: Machine) -> None:
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(CHECKED)
        await pass_time(5)
    machine.engine.exec_codes[ASK] = 1
    worker = machine.worker()
    async with at_work(worker):
        await pass_time(5)
        assert worker.get_task(TASK_ID).health is Health.HEALTHY
        await pass_time(60)
        assert worker.get_task(TASK_ID).reason is Reason.UNHEALTHY


@in_virtual_time
async def test_a_crash_while_an_unhealthy_task_is_ended_ends_it_as_unhealthy(
    machine: Machine,
) -> None:
    machine.engine.exec_codes[ASK] = 1
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(health_check=CHECK, stop_timeout=60, command=("stubborn",)))
        await pass_time(40)
    assert worker.get_task(TASK_ID).ending is not None
    worker = machine.worker()
    async with at_work(worker):
        await pass_time(120)
        assert worker.get_task(TASK_ID).reason is Reason.UNHEALTHY


@in_virtual_time
async def test_failures_within_the_start_period_do_not_count(machine: Machine) -> None:
    slow = HealthCheck(kind="command", command=ASK, interval=1, retries=2, start_period=20)
    machine.engine.exec_codes[ASK] = 1
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(health_check=slow))
        await pass_time(15)
        task = worker.get_task(TASK_ID)
        assert (task.state, task.health) == (RUNNING, Health.STARTING)
        machine.engine.exec_codes[ASK] = 0
        await pass_time(3)
        assert worker.get_task(TASK_ID).health is Health.HEALTHY
