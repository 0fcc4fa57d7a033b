"""Pulls from a real registry on loopback: open or locked, slow, cut off, refusing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from keelman.errors import EngineError, EngineFailed, ImageNotFound
from keelman.progress import Progress
from keelman.runtime import LogOptions
from keelman.runtime.docker import DockerRuntime
from keelman.store import Store
from keelman.task import Spec, State, TaskEvent
from keelman.worker.limits import Limits
from keelman.worker.watch import Watch
from keelman.worker.worker import Worker
from tests.e2e.machine import SLEEPS, Machine, free_port, until
from tests.e2e.registry import (
    BIG_BYTES,
    PASSWORD,
    Registry,
    docker_registry,
    passage,
    refusing,
)

pytestmark = pytest.mark.engine

SCHEDULED, COMPLETED, FAILED = State.SCHEDULED, State.COMPLETED, State.FAILED
READ = ["cat", "/page"]


@pytest.fixture
async def open_one(tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry that asks nobody who he is."""
    async with docker_registry(tmp_path) as one:
        yield one


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry that lets in whoever knows its password."""
    async with docker_registry(tmp_path, locked=True) as one:
        yield one


@pytest.fixture
def docker_config(tmp_path: Path) -> Path:
    """The folder of a Docker config file, which is not there yet."""
    folder = tmp_path / "docker"
    folder.mkdir()
    return folder


@asynccontextmanager
async def runtime_of(name: str, **options: Any) -> AsyncIterator[DockerRuntime]:
    runtime = DockerRuntime(name, **options)
    try:
        yield runtime
    finally:
        await runtime.close()


def write(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config))


async def logs(machine: Machine, task_id: str) -> str:
    async with machine.session.get(f"/tasks/{task_id}/logs") as response:
        return await response.text()


# -- with and without a password -----------------------------------------------------------------


async def test_an_image_of_an_open_registry_is_pulled_and_runs(
    machine: Machine, open_one: Registry
) -> None:
    image = await open_one.has("hello", "from the registry")
    await machine.start()
    task_id = await machine.send(Image=image, Command=READ)
    assert (await machine.task(task_id, wait="ended"))["State"] == COMPLETED
    assert await logs(machine, task_id) == "from the registry"


async def test_an_image_of_a_locked_registry_is_pulled_with_the_workers_login(
    machine: Machine, locked: Registry, docker_config: Path
) -> None:
    image = await locked.has("hello", "behind a password")
    write(docker_config, locked.login())
    await machine.start("--docker-config", str(docker_config))
    task_id = await machine.send(Image=image, Command=READ)
    assert (await machine.task(task_id, wait="ended"))["State"] == COMPLETED
    assert await logs(machine, task_id) == "behind a password"


async def test_a_helper_knows_the_login(
    machine: Machine, locked: Registry, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = docker_config / "docker-credential-test"
    answer = json.dumps({"ServerURL": locked.address, "Username": "ann", "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\nread -r asked || true\necho '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker_config}:/usr/bin:/bin")
    image = await locked.has("hello", "behind a helper")
    write(docker_config, {"credsStore": "test"})
    await machine.start("--docker-config", str(docker_config))
    task_id = await machine.send(Image=image, Command=READ)
    assert (await machine.task(task_id, wait="ended"))["State"] == COMPLETED


@pytest.mark.slow
async def test_a_login_with_the_wrong_password_fails_the_task_and_is_not_told(
    machine: Machine, locked: Registry, docker_config: Path
) -> None:
    image = await locked.has("hello")
    write(docker_config, locked.login("wr0ng-password"))
    await machine.start("--docker-config", str(docker_config))
    task_id = await machine.send(Image=image)
    task = await machine.task(task_id, wait="ended")
    assert (task["State"], task["Reason"]) == (FAILED, "image_unavailable")
    assert "unauthorized" in task["Message"]
    log = await machine.log()
    assert "pull failed" in log
    for secret in ("wr0ng", locked.login("wr0ng-password")["auths"][locked.address]["auth"]):
        assert secret not in log + task["Message"]


async def test_who_logs_in_is_heard_at_the_next_pull(
    machine: Machine, locked: Registry, docker_config: Path
) -> None:
    image = await locked.has("hello", "at last")
    await machine.start("--docker-config", str(docker_config))
    task_id = await machine.send(Image=image, Command=READ)
    await machine.until_task(task_id, lambda task: task["Reason"] == "image_unavailable")
    write(docker_config, locked.login())
    assert (await machine.task(task_id, wait="ended"))["State"] == COMPLETED


@pytest.mark.parametrize(
    ("password", "words"), [(None, "no basic auth"), ("wr0ng", "unauthorized")]
)
async def test_without_the_right_login_a_registry_denies_for_now(
    machine: Machine, locked: Registry, docker_config: Path, password: str | None, words: str
) -> None:
    """A login may be mended: it is no reason to call the image missing."""
    image = await locked.has("hello")
    write(docker_config, locked.login(password) if password else {})
    async with runtime_of(machine.name, config=docker_config) as runtime:
        with pytest.raises(EngineFailed, match=words):
            await runtime.pull(image)


# -- what is not there, or not to be had ---------------------------------------------------------


async def test_an_image_that_the_registry_does_not_have_fails_at_once(
    machine: Machine, open_one: Registry
) -> None:
    await open_one.has("hello")
    await machine.start()
    for name in ("none:1", "hello:2"):
        task_id = await machine.send(Image=f"{open_one.address}/{name}")
        task = await machine.task(task_id, wait="ended")
        assert (task["State"], task["Reason"]) == (FAILED, "image_unavailable")
        assert "not found" in task["Message"] or "unknown" in task["Message"]


REFUSALS = {
    (401, "UNAUTHORIZED"): EngineFailed,
    (403, "DENIED"): ImageNotFound,  # which the engine calls the same as missing
    (404, "MANIFEST_UNKNOWN"): ImageNotFound,
    (429, "TOOMANYREQUESTS"): EngineFailed,
    (500, "UNKNOWN"): EngineFailed,
    (503, "UNAVAILABLE"): EngineFailed,
}


@pytest.mark.parametrize(("refusal", "error"), REFUSALS.items(), ids=str)
async def test_what_a_registry_refuses_is_final_or_tried_again(
    machine: Machine, refusal: tuple[int, str], error: type[EngineError]
) -> None:
    async with refusing(*refusal) as address, runtime_of(machine.name) as runtime:
        with pytest.raises(error) as raised:
            await runtime.pull(f"{address}/hello:1")
        assert type(raised.value) is error


async def test_a_registry_that_is_down_is_tried_again_later(machine: Machine) -> None:
    async with runtime_of(machine.name) as runtime:
        with pytest.raises(EngineFailed, match="connection refused"):
            await runtime.pull(f"127.0.0.1:{free_port()}/hello:1")


# -- slow, cut off -------------------------------------------------------------------------------


async def test_a_stop_ends_a_task_during_its_pull_and_a_local_image_does_not_wait(
    machine: Machine, open_one: Registry
) -> None:
    await open_one.has_big("big")
    await machine.start()
    async with passage(open_one) as way:
        way.most = BIG_BYTES // 2
        task_id = await machine.send(Image=f"{way.address}/big:1", Command=SLEEPS)
        task = await machine.until_task(
            task_id, lambda task: ": 1 of 2 layers, " in task["Message"]
        )
        assert (task["State"], task["Reason"]) == (SCHEDULED, "pulling")
        local = await machine.send(Command=["true"])
        assert (await machine.task(local, wait="ended"))["State"] == COMPLETED
        await machine.stop(task_id)
        stopped = await machine.task(task_id, wait="ended")
        assert (stopped["State"], stopped["Reason"]) == (COMPLETED, "stopped")
        assert await machine.containers(task_id) == []
        await machine.kill()  # or the pull would hold the way open


@pytest.mark.slow
async def test_a_pull_that_stalls_is_given_up_for_its_silence(
    machine: Machine, open_one: Registry
) -> None:
    await open_one.has_big("big")
    told: list[Progress] = []
    async with passage(open_one) as way:
        way.most, image = BIG_BYTES // 2, f"{way.address}/big:1"
        async with runtime_of(machine.name, silence_seconds=5.0) as impatient:
            with pytest.raises(EngineFailed, match="said nothing for 5 s"):
                await impatient.pull(image, told.append)
        assert 0 < told[-1].bytes_done < told[-1].bytes_total
        way.most, way.piece_seconds = None, 0.01
        async with runtime_of(machine.name) as runtime:
            await runtime.pull(image, told.append)
    assert told[-1].layers_done == told[-1].layers == 2
    assert told[-1].bytes_done == told[-1].bytes_total > BIG_BYTES


@pytest.mark.slow
async def test_a_pull_that_is_cut_off_in_the_middle_goes_on(
    machine: Machine, open_one: Registry
) -> None:
    """The engine itself tries again, from where it was."""
    await open_one.has_big("big")
    await machine.start()
    async with passage(open_one) as way:
        way.most, way.cuts = BIG_BYTES // 2, 1
        task_id = await machine.send(Image=f"{way.address}/big:1", Command=["ls", "/noise"])
        task = await machine.task(task_id, wait="ended")
        assert (task["State"], way.cuts) == (COMPLETED, 0)


# -- PullPolicy always ---------------------------------------------------------------------------


@asynccontextmanager
async def in_process(name: str, folder: Path) -> AsyncIterator[Worker]:
    """A worker of this process: below the API, which still refuses the policy."""
    store = Store(folder, lambda: str(uuid4()))
    async with runtime_of(name) as runtime:
        worker = Worker(store=store, runtime=runtime, clock=time.time, limits=Limits())
        watch = Watch(worker, name, lambda engine_id: None)
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(loop()) for loop in watch.loops]
            await watch.contacted.wait()
            yield worker
            for loop in loops:
                loop.cancel()
    store.close()


async def ran(worker: Worker, **asked: Any) -> str:
    """What a task writes that reads its image's page."""
    task_id = str(uuid4())
    spec = Spec(command=tuple(READ), **asked)
    event = TaskEvent(id=str(uuid4()), state=State.RUNNING, task_id=task_id, spec=spec)
    await worker.add_task(event)

    async def ended() -> bool:
        return worker.get_task(task_id).state.ended

    await until(ended)
    pieces = worker.runtime.logs(worker.get_task(task_id).container_id, LogOptions())
    return b"".join([piece async for piece in pieces]).decode()


async def test_always_runs_what_was_pushed_last(machine: Machine, open_one: Registry) -> None:
    await open_one.has("hello", "first")
    async with passage(open_one) as way, in_process(machine.name, machine.data_dir) as worker:
        image = f"{way.address}/hello:1"
        assert await ran(worker, image=image) == "first"
        await open_one.has("hello", "second")
        assert await ran(worker, image=image) == "first"
        assert await ran(worker, image=image, pull_policy="always") == "second"
