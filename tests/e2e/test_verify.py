"""`keelman verify` on a real engine: a sound worker is sound, and damage is found by its name."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from typing import Any, NamedTuple

import pytest

from tests.e2e.machine import IMAGE, SLEEPS, Machine, docker_engine

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SOUND, FAILED, FOUND = 0, 1, 5
ALONE = {"Network": "none"}


class Verified(NamedTuple):
    """What an audit ended with: its status and output, and its findings where it is JSON."""

    status: int
    out: str
    err: str

    @property
    def findings(self) -> set[tuple[str, str, str]]:
        return {
            (one["Invariant"], one["TaskID"], one["ContainerID"])
            for invariant in json.loads(self.out)["Invariants"]
            for one in invariant["Findings"]
        }


async def verified(machine: Machine, *options: str, wait: str = "0.5") -> Verified:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keelman.cli", "verify", "--wait", wait, *options),
        env={
            **os.environ,
            "DOCKER_HOST": machine.engine_url,
            "KEELMAN_DATA_DIR": str(machine.data_dir),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Verified(process.returncode, out.decode(), err.decode())


async def a_day_of(machine: Machine) -> tuple[str, str]:
    """A worker with tasks that run, ended, were restarted and stopped: one that runs, one ended."""
    await machine.start()
    runs = await machine.send(Command=SLEEPS, **ALONE)
    ended = await machine.send(Command=["false"], **ALONE)
    again = await machine.send(Command=["false"], RestartPolicy="on-failure:1", **ALONE)
    stopped = await machine.send(Command=SLEEPS, Init=True, **ALONE)
    await machine.task(stopped, wait="running")
    await machine.stop(stopped)
    for task_id in (ended, again, stopped):
        await machine.task(task_id, wait="ended")
    await machine.task(runs, wait="running")
    return runs, ended


def edit(machine: Machine, sql: str) -> None:
    connection = sqlite3.connect(machine.data_dir / "keelman.db")
    connection.execute(sql)
    connection.commit()
    connection.close()


async def second_container(machine: Machine, container_id: str, attempt: int) -> str:
    """A live container with a task's own labels, under the name that goes with them; its id."""
    shown = await machine.docker_inspect(container_id)
    labels = shown["Config"]["Labels"] | {"keelman.attempt": str(attempt)}
    name = shown["Name"].removeprefix("/").rpartition("-")[0]
    body: dict[str, Any] = {"Image": IMAGE, "Cmd": SLEEPS, "Labels": labels}
    body["HostConfig"] = {"NetworkMode": "none"}
    async with docker_engine() as docker:
        one = await docker.containers.create(body, name=f"{name}-{attempt}")
        await one.start()
        return str(one.id)


async def let_restart(container_id: str) -> None:
    """`docker update --restart=always`."""
    async with docker_engine() as docker:
        policy = {"RestartPolicy": {"Name": "always"}}
        await docker._query_json(f"containers/{container_id}/update", method="POST", data=policy)


async def test_a_worker_at_work_is_sound_and_goes_on(machine: Machine) -> None:
    runs, _ = await a_day_of(machine)
    told = await verified(machine)
    assert (told.status, told.err) == (SOUND, "")
    lines = told.out.splitlines()
    assert lines[0] == f"worker {machine.name}, its record in {machine.data_dir}"
    assert lines[1] == "I1 at most one live container per task: 4 tasks, 1 live container: ok"
    assert len(lines) == 9
    assert all(line.endswith(": ok") for line in lines[1:])
    assert await machine.is_ready()
    await machine.stop(runs)


async def test_damage_is_found_by_its_name(machine: Machine) -> None:
    """Behind the back of a worker that is not there to mend it."""
    runs, ended = await a_day_of(machine)
    container = (await machine.task(runs))["ContainerID"]
    left = (await machine.task(ended))["ContainerID"]
    assert await machine.terminate() == 0
    assert (await verified(machine, "--json")).findings == set()

    second = await second_container(machine, container, 2)
    told = await verified(machine, "--json")
    assert told.status == FOUND
    assert told.findings == {("I1", runs, container), ("I3", runs, second)}
    await machine.docker_remove(second)

    await let_restart(left)
    edit(machine, f"UPDATE tasks SET state = 3 WHERE task_id = '{ended}'")
    edit(machine, "DELETE FROM transitions WHERE seq = 2")
    found = (await verified(machine, "--json")).findings
    assert {("I5", ended, left), ("I2", ended, ""), ("I4", "", "")} <= found
    assert {invariant for invariant, _, _ in found} == {"I2", "I4", "I5"}

    await machine.docker_remove(container)
    told = await verified(machine)
    assert told.status == FOUND
    assert f"    task {runs}, container {container[:12]}: it is RUNNING, and no" in told.out
    assert "I1 at most one live container per task: 4 tasks, 0 live containers: ok" in told.out


async def test_json_has_every_invariant_and_what_was_looked_at(machine: Machine) -> None:
    await machine.start()
    told = json.loads((await verified(machine, "--json")).out)
    assert {key: told[key] for key in ("Worker", "DataDir", "Sound")} == {
        "Worker": machine.name,
        "DataDir": str(machine.data_dir),
        "Sound": True,
    }
    assert [one["Invariant"] for one in told["Invariants"]] == [f"I{n}" for n in range(1, 9)]
    assert told["Invariants"][7] == {
        "Invariant": "I8",
        "Rule": "a stop ends, or is told as stuck",
        "LookedAt": "0 stops",
        "Findings": [],
    }


async def test_an_audit_that_cannot_be_made_is_no_finding(machine: Machine) -> None:
    told = await verified(machine)
    assert (told.status, told.out) == (FAILED, "")
    assert told.err.startswith(f"keelman: no worker keeps its memory in {machine.data_dir}")
    await machine.start()
    machine.engine_url = "unix:///nowhere/docker.sock"
    told = await verified(machine)
    assert (told.status, told.out) == (FAILED, "")
    assert told.err == "keelman: no answer from the engine: No such file or directory\n"


async def test_what_moves_between_the_looks_is_in_flight(machine: Machine) -> None:
    """A task that starts, ends and starts again all the time, and one being stopped."""
    await machine.start()
    for _ in range(3):
        await machine.send(Command=["true"], RestartPolicy="always", **ALONE)
    stubborn = await machine.send(
        Command=["sh", "-c", "trap '' TERM; while true; do sleep 1; done"], StopTimeout=4, **ALONE
    )
    await machine.task(stubborn, wait="running")
    await machine.stop(stubborn)
    for _ in range(4):
        told = await verified(machine, wait="1")
        assert told.status == SOUND, told.out
    assert (await machine.task(stubborn, wait="ended"))["Reason"] == "stopped"
