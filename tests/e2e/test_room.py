"""How much tasks may ask for, by the command line: a real worker on a real engine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from tests.e2e.machine import IMAGE, SLEEPS, Machine

pytestmark = pytest.mark.engine

RUNNING = 2
BEYOND = "more is allocated than is given"
GIVEN = ("--cpu", "1", "--memory", "96m", "--disk", "1g")
LESS = ("--cpu", "1", "--memory", "64m", "--disk", "1g", "--log-format", "json")


async def keelman(machine: Machine, *words: str) -> tuple[int, str, str]:
    """The command line as a process: its status, what it said and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keelman.cli", *words),
        env={**os.environ, "KEELMAN_ADDR": machine.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def runs(machine: Machine, name: str, memory: str) -> tuple[int, str]:
    """The status of `keelman run` and what it complained of; what was not refused runs by then."""
    options = ("--init", "--name", name, "-m", memory)
    status, out, complaint = await keelman(machine, "run", *options, IMAGE, *SLEEPS)
    if status == 0:
        assert (await machine.task(out.strip(), wait="running"))["State"] == RUNNING
    return status, complaint


async def told(machine: Machine) -> dict[str, Any]:
    status, out, _ = await keelman(machine, "inspect", "--worker", "--json")
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


async def test_what_goes_beyond_is_refused_until_what_was_there_has_ended(
    machine: Machine,
) -> None:
    await machine.start(*GIVEN)
    assert (await runs(machine, "first", "64m")) == (0, "")
    status, complaint = await runs(machine, "second", "48m")
    assert status != 0
    assert (
        "Task.Memory: 50331648 bytes (48.0 MiB) are asked for, and 33554432 (32.0 MiB) are left"
        in complaint
    )
    assert len(await machine.containers()) == 1
    assert (await keelman(machine, "stop", "--wait", "first"))[0] == 0
    assert (await runs(machine, "second", "48m")) == (0, "")
    page = (await keelman(machine, "inspect", "--worker"))[1]
    assert [line.split() for line in page.splitlines() if line.startswith("  memory")] == [
        ["memory", "96.0", "MiB", "48.0", "MiB", "48.0", "MiB"]
    ]


async def test_with_less_than_before_all_goes_on_and_nothing_is_added(machine: Machine) -> None:
    await machine.start(*GIVEN)
    for name in ("one", "two"):
        assert await runs(machine, name, "40m") == (0, "")
    await machine.kill()
    await machine.start(*LESS)
    shown = await told(machine)
    assert shown["Allocated"]["Memory"] == 80 << 20
    assert shown["Left"]["Memory"] == -(16 << 20)
    assert (await runs(machine, "three", "8m"))[0] != 0
    assert [task["State"] for task in await machine.tasks()] == [RUNNING, RUNNING]
    log = [json.loads(line) for line in (await machine.log()).splitlines()]
    (line,) = [line for line in log if line["event"] == BEYOND]
    assert (line["level"], line["fields"]) == ("warning", ["Memory"])
    assert line["left"]["Memory"] == -(16 << 20)


async def test_by_itself_a_worker_gives_what_there_is_less_a_reserve(machine: Machine) -> None:
    await machine.start("--log-format", "json")
    shown = await told(machine)
    whole, given = shown["Machine"], shown["Capacity"]
    assert given["Cpu"] == whole["Cpu"]
    assert 0 < given["Memory"] < whole["Memory"]
    assert 0 < given["Disk"] < whole["Disk"]
    assert BEYOND not in await machine.log()
