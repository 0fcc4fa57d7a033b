"""A flight record is all that is left of a worker, and enough: it replays, and tells no secret."""

from __future__ import annotations

import asyncio
import stat
import sys
from typing import Any

import pytest

from keelman.flight import Began, Did, Failed, Stepped, read
from keelman.seen import Create, Start
from keelman.worker.recorder import FILE_NAME
from tests.e2e.machine import SLEEPS, Machine

pytestmark = pytest.mark.engine

SECRET = "s3cret-pa55w0rd"
ALONE = {"Network": "none"}
TELLS = ["sh", "-c", "echo TOKEN=$TOKEN; exit 3"]


async def replayed(machine: Machine, *options: str) -> tuple[int, list[str]]:
    """The status and the words of `keelman replay`."""
    pipe = asyncio.subprocess.PIPE
    words = ("-m", "keelman.cli", "replay", str(machine.data_dir / FILE_NAME), *options)
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=pipe)
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode().splitlines()


def recorded(machine: Machine) -> list[Began | Stepped | Did | Failed]:
    with (machine.data_dir / FILE_NAME).open("rb") as file:
        lines = [line for _, line in read(file)]
    assert all(isinstance(line, Began | Stepped | Did | Failed) for line in lines)
    return lines  # type: ignore[return-value]  # as was just seen


async def test_the_record_of_killed_workers_replays_without_a_difference(machine: Machine) -> None:
    await machine.start()
    runs = await machine.send(Command=SLEEPS, StopTimeout=1, Init=True, **ALONE)
    fails = await machine.send(Command=["false"], RestartPolicy="on-failure:1", **ALONE)
    await machine.task(runs, wait="running")
    await machine.task(fails, wait="ended")
    await machine.kill()
    asked = {call.task.id for call in recorded(machine) if not isinstance(call, Began)}
    assert asked == {runs, fails}, "what was decided before the kill is on record"
    await machine.start()
    await machine.stop(runs)
    await machine.task(runs, wait="ended")
    await machine.kill()
    assert [type(line) for line in recorded(machine)].count(Began) == 2
    status, out = await replayed(machine)
    assert (status, len(out)) == (0, 1)
    assert f"(written by {machine.name}, Keelman " in out[0]
    assert out[0].endswith("none differs")
    _, story = await replayed(machine, "--task", fails)
    assert "FAILED #2 exited" in "\n".join(story)
    assert runs not in "\n".join(story)


async def test_all_that_was_done_is_on_record(machine: Machine) -> None:
    await machine.start()
    task_id = await machine.send(Command=SLEEPS, **ALONE)
    await machine.task(task_id, wait="running")
    await machine.kill()
    deeds = [type(line.action) for line in recorded(machine) if isinstance(line, Did)]
    assert deeds == [Create, Start]


async def test_no_value_of_env_is_in_it(machine: Machine) -> None:
    """Nor what a task tells of it itself, and nothing is missed for it when it is sent again."""
    secret: dict[str, Any] = {"Env": {"TOKEN": SECRET}, **ALONE}
    await machine.start()
    tells = await machine.send(Command=TELLS, RestartPolicy="on-failure:1", **secret)
    runs = await machine.send(Command=SLEEPS, **secret)
    assert "TOKEN=***" in (await machine.task(tells, wait="ended"))["Message"]
    await machine.task(runs, wait="running")
    await machine.send(tells, Command=TELLS, **secret)
    await machine.until_task(tells, lambda task: task["Attempt"] == 3)
    await machine.task(tells, wait="ended")
    await machine.stop(runs)
    await machine.task(runs, wait="ended")
    await machine.kill()
    file = machine.data_dir / FILE_NAME
    text = file.read_text()
    assert SECRET not in text
    assert '"TOKEN":"***"' in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    status, _ = await replayed(machine)
    assert status == 0
