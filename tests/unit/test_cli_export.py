"""The `docker run` line of a task, as words and as a shell has it."""

from __future__ import annotations

import shlex
import subprocess
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman.cli import docker_line
from keelman.task import Empty, Mount, State
from keelman.wire import TaskReport


def a_task(**fields: Any) -> TaskReport:
    return TaskReport(**{"id": "aa11", "image": "img:1", "state": State.RUNNING, **fields})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"name": "web"}, "--name web"),
        ({"name": "w"}, ""),
        ({"env": {"A": "", "B": "x"}}, "--env A= --env B=x"),
        ({"env": {"A": "***", "B": "x"}}, "--env A --env B=x"),
        ({"cpu": 2.0}, "--cpus 2"),
        ({"cpu": 0.015}, "--cpus 0.015"),
        ({"cpu": 100.0}, "--cpus 100"),
        ({"memory": 6291456}, "--memory 6291456 --memory-swap 6291456"),
        ({"pids_limit": 9}, "--pids-limit 9"),
        ({"exposed_ports": {"53/udp": Empty()}}, "--publish 53/udp"),
        (
            {"exposed_ports": {"80/tcp": Empty()}, "port_bindings": {"80/tcp": "8080"}},
            "--publish 8080:80/tcp",
        ),
        (
            {"mounts": (Mount(source="/srv", target="/www", read_only=True),)},
            "--mount type=bind,source=/srv,target=/www,readonly",
        ),
        (
            {"mounts": (Mount(source='/a, "b', target="/www"),)},
            r"""--mount 'type=bind,"source=/a, ""b",target=/www'""",
        ),
        ({"user": "1000:1000"}, "--user 1000:1000"),
        ({"read_only_rootfs": True, "init": True}, "--read-only --init"),
        ({"cap_add": ("A",), "cap_drop": ("B",)}, "--cap-add A --cap-drop B"),
        ({"network": "none"}, "--network none"),
        ({"labels": {"a": "", "b": "c=d"}}, "--label a= --label b=c=d"),
        ({"restart_policy": "on-failure:3"}, "--restart on-failure:3"),
        ({"stop_signal": "INT", "stop_timeout": 0}, "--stop-signal INT --stop-timeout 0"),
        ({"pull_policy": "never"}, "--pull never"),
        ({"entrypoint": ("sh", "-c")}, "--entrypoint sh"),
    ],
)
def test_each_field_has_its_option(fields: dict[str, Any], words: str) -> None:
    given = [word for option in docker_line.options(a_task(**fields)) for word in option]
    assert given == shlex.split(words)


def test_the_image_and_the_words_follow_the_options() -> None:
    task = a_task(entrypoint=("sh", "-c"), command=("exit 3",), init=True)
    printed = docker_line.script(task, 0).splitlines()
    assert printed[:3] == ["docker run --detach \\", "  --init \\", "  --entrypoint sh \\"]
    assert printed[-1] == "  img:1 -c 'exit 3'"


@pytest.mark.parametrize(("asked", "usual", "told"), [(0, 9, ["9"]), (0, 0, []), (5, 9, ["5"])])
def test_what_the_worker_adds_is_in_the_line(asked: int, usual: int, told: list[str]) -> None:
    words = docker_line.words(a_task(pids_limit=asked), usual)
    limits = [value for word, value in pairwise(words) if "pids" in word]
    assert limits == told
    added = "--security-opt no-new-privileges:true", "--log-opt max-size=10m --log-opt max-file=3"
    assert all(option in " ".join(words) for option in added)


@pytest.mark.parametrize(("memory", "score"), [(0, "1000"), (2**30, "500")])
def test_whom_the_kernel_kills_first_is_in_the_line(memory: int, score: str) -> None:
    words = docker_line.words(a_task(memory=memory), 0)
    assert ("--oom-score-adj", score) in pairwise(words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, []),
        ({"name": "my web"}, ["Name"]),
        ({"env": {"A": "***", "B": "x"}}, ["Env"]),
        ({"timeout": 60, "disk": 5}, ["Timeout", "Disk"]),
        ({"health_check": "/health"}, ["HealthCheck"]),
        ({"constraints": ("node.name==a",)}, ["Constraints"]),
        ({"stop_after_disconnect": 60}, ["StopAfterDisconnect"]),
        ({"labels": {"a=b": "c", "d": "e"}}, ["Labels"]),
    ],
)
def test_what_docker_cannot_do_is_told(fields: dict[str, Any], words: list[str]) -> None:
    assert [told.split()[0].rstrip(":") for told in docker_line.left_out(a_task(**fields))] == words


def test_every_field_of_a_spec_is_carried_or_told() -> None:
    """A field that a later version adds is not forgotten here."""
    own = {"id", "generation", "state", "container_id", "host_ports", "start_time", "finish_time"}
    own |= {"exit_code", "reason", "message", "health", "restart_count", "attempt", "pull"}
    own |= {"node"}
    known = {"name", "image", "command", "entrypoint", "env", "cpu", "memory", "disk"}
    known |= {"pids_limit", "exposed_ports", "port_bindings", "mounts", "user", "labels", "init"}
    known |= {"read_only_rootfs", "cap_add", "cap_drop", "network", "restart_policy"}
    known |= {
        "health_check",
        "stop_signal",
        "stop_timeout",
        "timeout",
        "pull_policy",
        "constraints",
        "stop_after_disconnect",
    }
    assert set(TaskReport.__struct_fields__) == own | known


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_a_shell_reads_the_words_as_they_are(words: list[str]) -> None:
    """Whatever is in them; and nothing in them reaches the terminal that could steer it."""
    line = "printf '%s\\0' " + " ".join(map(docker_line.quoted, words))
    assert all(sign.isprintable() or sign in "\n\t" for sign in line)
    said = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:-1] == words
