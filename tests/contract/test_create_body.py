"""Each field of a Spec arrives at a real engine: what was asked for is what inspect tells."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.runtime import guards
from keelman.runtime.container import create_body
from keelman.seen import Exited, Running, Signal
from keelman.task import Empty, Mount, Spec
from tests.contract.programs import SLEEP, TRUE
from tests.contract.worlds import IMAGE, DockerWorld, a_task

pytestmark = pytest.mark.engine

MEBIBYTE = 1024 * 1024
MATRIX: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "image": ({}, {"Config.Image": IMAGE}),
    "command": ({"command": ("echo", "a b", "")}, {"Config.Cmd": ["echo", "a b", ""]}),
    "entrypoint": ({"entrypoint": ("sh", "-c")}, {"Config.Entrypoint": ["sh", "-c"]}),
    "env": ({"env": {"A": "b = c", "NONE": ""}}, {"Config.Env": {"A=b = c", "NONE="}}),
    "cpu": ({"cpu": 0.29}, {"HostConfig.NanoCpus": 290_000_000}),
    "memory": (
        {"memory": 64 * MEBIBYTE},
        {"HostConfig.Memory": 64 * MEBIBYTE, "HostConfig.MemorySwap": 64 * MEBIBYTE},
    ),
    "pids_limit": ({"pids_limit": 20}, {"HostConfig.PidsLimit": 20}),
    "exposed_ports": (
        {"exposed_ports": {"80/tcp": Empty()}},
        {
            "Config.ExposedPorts": {"80/tcp": {}},
            "HostConfig.PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]},
        },
    ),
    "port_bindings": (
        {"port_bindings": {"80/tcp": "8080"}},
        {
            "Config.ExposedPorts": {"80/tcp": {}},
            "HostConfig.PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        },
    ),
    "mounts": (
        {"mounts": (Mount(source="/tmp", target="/mnt", read_only=True),)},
        {
            "HostConfig.Mounts": [
                {"Type": "bind", "Source": "/tmp", "Target": "/mnt", "ReadOnly": True}
            ]
        },
    ),
    "user": ({"user": "1000:1000"}, {"Config.User": "1000:1000"}),
    "read_only_rootfs": ({"read_only_rootfs": True}, {"HostConfig.ReadonlyRootfs": True}),
    "cap_add": ({"cap_add": ("NET_ADMIN",)}, {"HostConfig.CapAdd": ["NET_ADMIN"]}),
    "cap_drop": ({"cap_drop": ("ALL",)}, {"HostConfig.CapDrop": ["ALL"]}),
    "network": ({"network": "none"}, {"HostConfig.NetworkMode": "none"}),
    "labels": ({"labels": {"tier": "front"}}, {"Config.Labels": {("tier", "front")}}),
    "init": ({"init": True}, {"HostConfig.Init": True}),
    "restart_policy": (
        {"restart_policy": "always"},  # the worker's to keep, not the engine's
        {
            "HostConfig.RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "HostConfig.AutoRemove": False,
        },
    ),
    "stop_signal": ({"stop_signal": "SIGINT"}, {"Config.StopSignal": "SIGINT"}),
    "stop_timeout": ({"stop_timeout": 3}, {"Config.StopTimeout": 3}),
}
NOT_THE_ENGINES = {
    *("name", "disk", "health_check", "timeout", "pull_policy", "constraints"),
    "stop_after_disconnect",
}


def at(inspect: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - it is JSON
    value: Any = inspect
    for key in path.split("."):
        value = value[key]
    return value


def is_told(told: Any, expected: object) -> bool:  # noqa: ANN401 - it is JSON
    """Equal; an expected set is a part of what is told, to which image and worker add theirs."""
    if not isinstance(expected, set):
        return bool(told == expected)
    return expected <= set(told.items() if isinstance(told, dict) else told)


def test_the_matrix_has_every_field() -> None:
    assert set(MATRIX) | NOT_THE_ENGINES == set(Spec.__struct_fields__)


@pytest.mark.parametrize(("asked", "expected"), MATRIX.values(), ids=MATRIX)
async def test_a_field_arrives(
    docker: DockerWorld, asked: dict[str, Any], expected: dict[str, Any]
) -> None:
    inspect = await docker.inspect(await docker.created(a_task(**asked)))
    wrong = {
        path: at(inspect, path)
        for path, value in expected.items()
        if not is_told(at(inspect, path), value)
    }
    assert wrong == {}


async def test_an_empty_spec_leaves_the_choice_to_image_and_engine(docker: DockerWorld) -> None:
    inspect = await docker.inspect(await docker.created(a_task()))
    assert at(inspect, "Config.Cmd") == ["/bin/sh"]
    for path in ("NanoCpus", "Memory", "MemorySwap"):
        assert at(inspect, f"HostConfig.{path}") == 0
    assert at(inspect, "HostConfig.PidsLimit") == guards.PIDS_USUAL
    assert at(inspect, "HostConfig.NetworkMode") == "default"
    assert at(inspect, "HostConfig.PortBindings") == {}


async def test_what_every_container_gets_arrives(docker: DockerWorld) -> None:
    inspect = await docker.inspect(await docker.created(a_task()))
    assert at(inspect, "HostConfig.SecurityOpt") == [guards.NO_NEW_PRIVILEGES]
    assert at(inspect, "HostConfig.LogConfig.Type") == guards.LOG_DRIVER
    assert at(inspect, "HostConfig.LogConfig.Config") == guards.LOG_OPTIONS
    assert at(inspect, "HostConfig.Privileged") is False
    assert at(inspect, "HostConfig.OomScoreAdj") == guards.OOM_UNASKED


async def test_labels_say_whose_it_is_and_no_secret(docker: DockerWorld) -> None:
    task = a_task(TRUE, env={"TOKEN": "s3cret"}).but(generation=5)
    inspect = await docker.inspect(await docker.created(task, attempt=2))
    labels = at(inspect, "Config.Labels")
    assert at(inspect, "Name") == f"/keelman-{docker.worker}-{task.id}-2"
    assert labels["keelman.worker"] == docker.worker
    assert labels["keelman.task"] == task.id
    assert labels["keelman.attempt"] == "2"
    assert labels["keelman.generation"] == "5"
    assert labels["keelman.spec-hash"] == task.spec.digest()
    assert "TOKEN" in labels["keelman.spec"]
    assert "s3cret" not in str(labels)


async def test_with_init_a_first_process_ends_on_its_stop_signal(docker: DockerWorld) -> None:
    task = a_task(SLEEP, init=True)
    container_id = await docker.started(task)
    await docker.runtime.do(task, Signal(container_id=container_id, signal="SIGTERM"))
    assert (await docker.seen(task, Exited)).code == 143


async def test_a_running_one_tells_its_images_stop_signal(docker: DockerWorld) -> None:
    image = await docker.image_with(StopSignal="SIGUSR1")
    task = a_task(SLEEP, image=image)
    await docker.started(task)
    assert (await docker.seen(task, Running)).stop_signal == "SIGUSR1"


async def test_a_paused_container_still_runs_and_gets_its_signals(docker: DockerWorld) -> None:
    task = a_task(SLEEP)
    container_id = await docker.started(task)
    await docker.docker.containers.container(container_id).pause()
    assert (await docker.inspect(container_id))["State"]["Status"] == "paused"
    await docker.seen(task, Running)
    await docker.runtime.do(task, Signal(container_id=container_id, signal="SIGKILL"))
    assert (await docker.seen(task, Exited)).code == 137


def test_a_body_is_the_same_for_the_same_task() -> None:
    task = a_task(TRUE, env={"A": "1", "B": "2"})
    assert create_body("w", task, 1) == create_body("w", task, 1)
