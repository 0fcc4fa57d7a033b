"""Health checks on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.machine import Machine

pytestmark = pytest.mark.engine

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = range(5)
SERVES = ["httpd", "-f", "-p", "80", "-h", "/www"]


@pytest.fixture(autouse=True)
async def started(machine: Machine) -> None:
    await machine.start()


@pytest.mark.parametrize(
    "check",
    [
        pytest.param("/index.html", id="a path"),
        pytest.param({"Type": "http", "Path": "/index.html", "Port": 80}, id="http"),
        pytest.param({"Type": "tcp"}, id="tcp"),
        pytest.param({"Type": "command", "Command": ["test", "-d", "/www"]}, id="command"),
    ],
)
async def test_a_service_that_answers_is_healthy(
    machine: Machine, check: str | dict[str, Any]
) -> None:
    task_id = await machine.send(
        Command=SERVES, Init=True, ExposedPorts={"80/tcp": {}}, HealthCheck=check
    )
    task = await machine.until_task(task_id, lambda task: task["Health"] == "healthy")
    assert task["State"] == RUNNING
    assert (RUNNING, RUNNING) in await machine.moves(task_id)
    if isinstance(check, str):
        assert task["HealthCheck"] == check
    else:
        assert task["HealthCheck"] == {**task["HealthCheck"], **check}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param({"Path": "/nothing-here"}, id="http"),
        pytest.param({"Type": "command", "Command": ["false"]}, id="command"),
        pytest.param({"Type": "command", "Command": ["no-such-program"]}, id="no such command"),
        pytest.param({"Type": "command", "Command": ["sleep", "60"]}, id="hanging command"),
    ],
)
async def test_one_that_does_not_is_ended_and_restarted_by_its_policy(
    machine: Machine, check: dict[str, Any]
) -> None:
    quick = {"Interval": 1, "Timeout": 1, "Retries": 2, **check}
    task_id = await machine.send(
        Command=SERVES,
        Init=True,
        ExposedPorts={"80/tcp": {}},
        HealthCheck=quick,
        RestartPolicy="on-failure:1",
    )
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["Attempt"]) == (FAILED, "unhealthy", 2)
    moves = await machine.moves(task_id)
    assert moves.count((RUNNING, RUNNING)) == 2


async def test_a_port_behind_which_nobody_listens_is_unhealthy(machine: Machine) -> None:
    """The engine's own proxy takes the connection."""
    check = {"Type": "tcp", "Interval": 1, "Retries": 1}
    task_id = await machine.send(
        Command=["sleep", "1000"], Init=True, ExposedPorts={"80/tcp": {}}, HealthCheck=check
    )
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, "unhealthy")
