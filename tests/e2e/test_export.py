"""`keelman export` against reality: its line makes the container that the worker made."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.machine import SLEEPS, Machine, free_port

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("docker") is None, reason="needs Docker's own client"),
]

OWN = ("Hostname", "Labels", "AttachStdout", "AttachStderr")  # Config that no two share
OTHERS = ("RestartPolicy", "ConsoleSize")  # of HostConfig, see below


async def carried_out(*words: str, **environ: str) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words, env={**os.environ, **environ}, stdout=pipe, stderr=pipe
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
async def name() -> AsyncIterator[str]:
    """A name for the container of the printed line; nothing of it is left."""
    chosen = f"cli-{uuid.uuid4().hex[:8]}"
    try:
        yield chosen
    finally:
        await carried_out("docker", "rm", "--force", "--volumes", chosen)


async def exported(machine: Machine, task_id: str) -> str:
    """What `keelman export` prints."""
    command = (sys.executable, "-m", "keelman.cli", "export", task_id)
    return await carried_out(*command, KEELMAN_ADDR=machine.url)


def same_for_all(shown: dict[str, Any]) -> dict[str, Any]:
    """What an inspect says of a container but for what is its own; empty is as good as none."""
    process = {"Process": [shown["Path"], *shown["Args"]], "Image": shown["Image"]}
    config = {key: value for key, value in shown["Config"].items() if key not in OWN}
    host = {key: value for key, value in shown["HostConfig"].items() if key not in OTHERS}
    config["Env"] = sorted(config["Env"] or ())
    for caps in ("CapAdd", "CapDrop"):  # Docker's client spells them out
        host[caps] = {name.removeprefix("CAP_") for name in host[caps] or ()}
    del config["Entrypoint"], config["Cmd"]  # words may stand in either: the process tells
    return process | given("Config", config) | given("HostConfig", host)


def given(half: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {f"{half}.{key}": value for key, value in fields.items() if value or value == 0}


def labels(shown: dict[str, Any]) -> dict[str, str]:
    """A container's labels without the worker's."""
    found = shown["Config"]["Labels"].items()
    return {key: value for key, value in found if not key.startswith("keelman.")}


TASKS: dict[str, dict[str, Any]] = {
    "as little as there can be": {"Command": SLEEPS},
    "awkward words": {
        "Command": ["sh", "-c", 'echo "it\'s $HOME"\n\tsleep 1000', "--", "-x", "", "a\x1b[2Jb é"],
        "Env": {"A": "1", "EMPTY": "", "WORDS": "two words\nand 'lines' $(id)", "E": "a=b"},
        "Labels": {"com.example.team": "blue sky", "empty": ""},
    },
    "limits and ends": {
        "Command": ["1000"],
        "Entrypoint": ["sleep"],
        "Cpu": 0.25,
        "Memory": 67108864,
        "PidsLimit": 20,
        "Init": True,
        "RestartPolicy": "on-failure:3",
        "StopSignal": "SIGINT",
        "StopTimeout": 3,
        "PullPolicy": "never",
    },
    "an entrypoint of several words": {
        "Command": ["sleep 1000"],
        "Entrypoint": ["sh", "-c"],
        "User": "1000:1000",
        "RestartPolicy": "unless-stopped",
        "StopTimeout": 0,
        "Cpu": 1.5,
    },
    "ports": {
        "Command": SLEEPS,
        "Init": True,
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "PortBindings": {"81/tcp": "FREE", "81/udp": "FREE"},
    },
    "mounts": {
        "Command": SLEEPS,
        "Init": True,
        "Mounts": [
            {"Source": "FOLDER", "Target": "/mnt/a"},
            {"Source": "FOLDER", "Target": '/mnt/b, "c"', "ReadOnly": True},
        ],
    },
    "rights": {
        "Command": SLEEPS,
        "Init": True,
        "ReadOnlyRootfs": True,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD", "CHOWN"],
        "Network": "none",
    },
}


def filled(fields: dict[str, Any], folder: Path, port: str) -> dict[str, Any]:
    """The fields with a folder and a port of this run."""
    text = json.dumps(fields).replace("FOLDER", str(folder)).replace("FREE", port)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("fields", TASKS.values(), ids=TASKS.keys())
async def test_the_line_makes_the_same_container(
    fields: dict[str, Any], machine: Machine, name: str, tmp_path: Path
) -> None:
    """In every field of an inspect but for names, and the restarter: now it is the engine."""
    (tmp_path / "a, b").mkdir()
    await machine.start("--allow-mount", str(tmp_path), "--allow-cap", "NET_ADMIN", "--show-env")
    sent = filled(fields, tmp_path / "a, b", str(free_port()))
    task_id = await machine.send(Name=name, **sent)
    task = await machine.task(task_id, wait="running")
    ours = await machine.docker_inspect(task["ContainerID"])
    await machine.stop(task_id)
    await machine.task(task_id, wait="ended")

    line = await exported(machine, task_id)
    container = (await carried_out("sh", "-c", line)).strip()

    theirs = await machine.docker_inspect(container)
    assert theirs["Name"] == f"/{name}"
    assert same_for_all(theirs) == same_for_all(ours)
    assert labels(theirs) == labels(ours) == fields.get("Labels", {})
    policy, _, most = fields.get("RestartPolicy", "no").partition(":")
    told = theirs["HostConfig"]["RestartPolicy"]
    assert told == {"Name": policy, "MaximumRetryCount": int(most or 0)}


async def test_the_words_are_those_of_the_line(machine: Machine) -> None:
    """`--json` is for whoever starts it without a shell."""
    await machine.start("--show-env")
    task_id = await machine.send(Command=["sh", "-c", "echo 'a  b'"], Env={"A": "x y"})
    command = (sys.executable, "-m", "keelman.cli", "export", "--json", task_id)
    words = await carried_out(*command, KEELMAN_ADDR=machine.url)
    line = await exported(machine, task_id)
    printed = await carried_out("sh", "-c", line.replace("docker run", "printf '%s\\n' docker run"))
    assert json.loads(words) == printed.splitlines()
