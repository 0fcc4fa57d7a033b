"""A task's life on a real engine, from HTTP to a container and back."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest

from keelman import descriptors
from tests.e2e.machine import IGNORES_TERM, IMAGE, SLEEPS, Machine, until

pytestmark = pytest.mark.engine

FEW = 1024
PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = range(5)
WHOLE_LIFE = [(PENDING, SCHEDULED), (SCHEDULED, RUNNING)]


@pytest.fixture(autouse=True)
async def started(machine: Machine) -> None:
    await machine.start()


async def test_a_worker_may_have_as_many_descriptors_as_its_process(machine: Machine) -> None:
    """Also where whoever starts it has fewer, as is usual."""
    await machine.kill()
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))
    try:
        await machine.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
    soft, _ = resource.prlimit(machine.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, descriptors.MOST)


async def test_its_memory_is_closed_to_others_when_it_starts(machine: Machine) -> None:
    """All that lies there is known to be its own; one file that is not would leave it open."""
    await until(lambda: asyncio.to_thread((machine.data_dir / "heard.json").exists))
    await machine.kill()
    for path in (machine.data_dir, *machine.data_dir.iterdir()):
        path.chmod(0o755)
    await machine.start()
    assert stat.S_IMODE(machine.data_dir.stat().st_mode) == 0o700
    assert not [path for path in machine.data_dir.iterdir() if path.stat().st_mode & 0o077]


async def test_the_requests_of_the_book_work_unchanged(machine: Machine) -> None:
    task_id = "21b23589-5d2d-4731-b5c9-a97e9832d021"
    event = (
        '{"ID":"6be4cb6b-61d1-40cb-bc7b-9cacefefa60c","State":2,"Task":{"State":1,'
        f'"ID":"{task_id}","Name":"test-chapter-5","Image":"{IMAGE}","Cpu":1.0}}}}'
    )
    headers = {"Content-Type": "application/json"}
    async with machine.session.post("/tasks", data=event, headers=headers) as response:
        assert response.status == 201
        assert (await response.json())["ID"] == task_id
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["ExitCode"]) == (COMPLETED, 0)
    async with machine.session.delete(f"/tasks/{task_id}") as response:
        assert response.status == 204


async def test_a_one_shot_passes_every_state_and_is_kept(machine: Machine) -> None:
    task_id = await machine.send(Command=["true"])
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["ExitCode"]) == (COMPLETED, "exited", 0)
    assert await machine.moves(task_id) == [*WHOLE_LIFE, (RUNNING, COMPLETED)]
    assert await machine.containers(task_id) == [task["ContainerID"]]


async def test_a_failure_tells_its_code_and_its_last_words(machine: Machine) -> None:
    task_id = await machine.send(Command=["sh", "-c", "echo out; echo err >&2; exit 3"])
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["ExitCode"]) == (FAILED, "exited", 3)
    assert "out" in task["Message"]
    assert "err" in task["Message"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"Image": "127.0.0.1:1/none:1"}, "image_unavailable", id="no such registry",
                     marks=pytest.mark.slow),
        pytest.param({"Image": "none:1", "PullPolicy": "never"}, "image_unavailable", id="never"),
        pytest.param({"Command": ["/none"]}, "command_not_found", id="no such command"),
        pytest.param({"Command": ["/etc/passwd"]}, "command_not_executable", id="no program"),
        pytest.param({"User": "nobody-here"}, "start_refused", id="no such user"),
    ],
)  # fmt: skip
async def test_what_cannot_run_fails_and_says_why(
    machine: Machine, fields: dict[str, Any], reason: str
) -> None:
    task_id = await machine.send(**fields)
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, reason)
    assert task["Message"]
    assert (SCHEDULED, RUNNING) not in await machine.moves(task_id)


async def test_a_taken_host_port_fails_the_task(machine: Machine) -> None:
    holder = await asyncio.start_server(lambda reader, writer: None, "0.0.0.0", 0)
    port = str(holder.sockets[0].getsockname()[1])
    task_id = await machine.send(Command=SLEEPS, PortBindings={"80/tcp": port})
    task = await machine.task(task_id, wait="ended")
    holder.close()
    assert (task["State"], task["Reason"]) == (FAILED, "port_taken")


async def test_a_published_port_is_reported_and_answers(machine: Machine) -> None:
    task_id = await machine.send(
        Command=["httpd", "-f", "-p", "80", "-h", "/www"], ExposedPorts={"80/tcp": {}}
    )
    task = await machine.task(task_id, wait="running")
    (published, *_) = task["HostPorts"]["80/tcp"]
    async with machine.session.get(f"http://127.0.0.1:{published['HostPort']}/") as response:
        assert "Hello" in await response.text()


async def test_running_out_of_memory_is_told(machine: Machine) -> None:
    eats = ["sh", "-c", "x=x; while true; do x=$x$x; done"]
    task_id = await machine.send(Command=eats, Memory=16 * 1024 * 1024)
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, "oom_killed")


async def test_two_tasks_may_have_one_name(machine: Machine) -> None:
    first, second = await machine.send(Command=SLEEPS), await machine.send(Command=SLEEPS)
    for task_id in (first, second):
        assert (await machine.task(task_id, wait="running"))["State"] == RUNNING


async def test_a_stop_ends_a_task_that_listens(machine: Machine) -> None:
    task_id = await machine.send(Command=SLEEPS, Init=True)
    await machine.task(task_id, wait="running")
    await machine.stop(task_id)
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["ExitCode"]) == (COMPLETED, "stopped", 143)


async def test_a_stop_kills_a_task_that_does_not_listen(machine: Machine) -> None:
    task_id = await machine.send(Command=IGNORES_TERM, StopTimeout=1)
    await machine.task(task_id, wait="running")
    await asyncio.gather(machine.stop(task_id), machine.stop(task_id))
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["ExitCode"]) == (COMPLETED, "stopped", 137)


async def test_a_task_stopped_at_once_never_stays_behind(machine: Machine) -> None:
    ids = [await machine.send(Command=SLEEPS, StopTimeout=0) for _ in range(6)]
    for task_id in ids:
        await machine.stop(task_id)
    for task_id in ids:
        assert (await machine.task(task_id, wait="ended"))["State"] == COMPLETED
        for container in await machine.containers(task_id):
            assert not (await machine.docker_inspect(container))["State"]["Running"]


async def test_a_deadline_ends_a_task_without_a_restart(machine: Machine) -> None:
    task_id = await machine.send(
        Command=IGNORES_TERM, Timeout=1, StopTimeout=1, RestartPolicy="always"
    )
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["Attempt"]) == (FAILED, "deadline", 1)


async def test_a_task_is_restarted_as_often_as_its_policy_says(machine: Machine) -> None:
    task_id = await machine.send(
        Command=["sh", "-c", "echo again; exit 3"], RestartPolicy="on-failure:2"
    )
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["RestartCount"], task["Attempt"]) == (FAILED, 2, 3)
    assert await machine.containers(task_id) == [task["ContainerID"]]


async def test_logs_are_followed_across_restarts_to_the_end(machine: Machine) -> None:
    task_id = await machine.send(
        Command=["sh", "-c", "echo again; exit 3"], RestartPolicy="on-failure:1"
    )
    async with machine.session.get(f"/tasks/{task_id}/logs?follow=1") as response:
        assert await response.text() == "again\nagain\n"


async def test_a_container_killed_by_somebody_else_is_told(machine: Machine) -> None:
    task_id = await machine.send(Command=SLEEPS)
    container = (await machine.task(task_id, wait="running"))["ContainerID"]
    await machine.docker_kill(container)
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"], task["ExitCode"]) == (FAILED, "killed_by_other", 137)


async def test_a_container_removed_by_hand_has_vanished(machine: Machine) -> None:
    task_id = await machine.send(Command=SLEEPS)
    container = (await machine.task(task_id, wait="running"))["ContainerID"]
    await machine.docker_remove(container)
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, "vanished")


async def test_a_failed_task_runs_again_when_it_is_asked_for_again(machine: Machine) -> None:
    task_id = await machine.send(Command=["false"])
    await machine.task(task_id, wait="ended")
    await machine.send(task_id, Command=["true"])
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Attempt"]) == (COMPLETED, 2)


async def test_a_mount_is_refused_unless_it_is_allowed(machine: Machine, tmp_path: Path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    allowed.mkdir()
    secret.mkdir()
    (allowed / "word").write_text("hello")
    (allowed / "link").symlink_to(secret)
    await machine.kill()
    await machine.start("--allow-mount", str(allowed))

    async def status(source: str) -> int:
        task_id = "3a3c0e52-6f2f-4f3e-9d7c-0d3a6d1c9a11"
        mounts = [{"Source": source, "Target": "/m", "ReadOnly": True}]
        task = {"ID": task_id, "Image": IMAGE, "Command": ["cat", "/m/word"], "Mounts": mounts}
        event = {"ID": os.urandom(16).hex(), "State": 2, "Task": task}
        async with machine.session.post("/tasks", json=event) as response:
            return response.status

    assert await status(str(secret)) == 403
    assert await status(str(allowed / "link")) == 403
    assert await status(str(allowed / ".." / "secret")) == 403
    assert await status(str(allowed)) == 201
    (task,) = await machine.tasks()
    assert (await machine.task(task["ID"], wait="ended"))["State"] == COMPLETED


async def test_what_is_not_allowed_is_refused_and_nothing_is_made_of_it(machine: Machine) -> None:
    await machine.kill()
    await machine.start("--allow-image", "keelman/*")
    asked: dict[str, dict[str, Any]] = {
        "Task.Network": {"Network": "host"},
        "Task.CapAdd": {"CapAdd": ["NET_ADMIN"]},
        "Task.PortBindings": {"PortBindings": {"80/tcp": "80"}},
        "Task.Image": {"Image": "busybox:1"},
    }
    for field, fields in asked.items():
        task = {"ID": os.urandom(16).hex(), "Image": IMAGE, **fields}
        event = {"ID": os.urandom(16).hex(), "State": 2, "Task": task}
        async with machine.session.post("/tasks", json=event) as response:
            told = await response.json()
        assert (response.status, told["Code"]) == (403, "not_allowed")
        assert told["Message"].startswith(f"{field}: ")
    assert await machine.containers() == []


async def test_a_worker_started_again_with_less_allowed_makes_nothing_of_what_it_took(
    machine: Machine,
) -> None:
    """What runs goes on."""
    await machine.kill()
    more = ("--allow-cap", "net_admin", "--allow-host-network", "--default-pids-limit", "123")
    await machine.start(*more)
    runs = await machine.send(Command=SLEEPS, CapAdd=["NET_ADMIN"], Init=True)
    shown = await machine.docker_inspect((await machine.task(runs, wait="running"))["ContainerID"])
    assert shown["HostConfig"]["PidsLimit"] == 123
    waits = await machine.send(Command=["false"], Network="host", RestartPolicy="on-failure:2")
    await machine.until_task(waits, lambda task: bool(task["RestartCount"]))
    await machine.kill()
    await machine.start()
    task = await machine.task(waits, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, "not_allowed")
    assert "--allow-host-network" in task["Message"]
    assert (await machine.task(runs))["State"] == RUNNING
    async with machine.session.get("/worker") as response:
        told = await response.json()
    assert (told["Name"], told["Allowed"]["Capabilities"]) == (machine.name, [])
    assert told["Engine"]["Version"]


async def test_what_ended_long_ago_is_forgotten_but_not_run_again(machine: Machine) -> None:
    await machine.kill()
    await machine.start("--keep-ended-hours", "0")
    task_id = await machine.send(Command=["true"])

    async def gone() -> bool:
        async with machine.session.get(f"/tasks/{task_id}") as response:
            return response.status == 404

    await until(gone)
    assert await machine.containers(task_id) == []
    task = {"ID": task_id, "Image": IMAGE}
    event = {"ID": os.urandom(16).hex(), "State": 2, "Task": task}
    async with machine.session.post("/tasks", json=event) as response:
        assert response.status == 409
        assert (await response.json())["Code"] == "task_ended"
