"""`keelman verify`: two looks, and what is told of both."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from keelman.audit import Finding
from keelman.cli import verify as module
from keelman.cli.failures import FOUND
from keelman.cli.verify import Audited, Checked, page, verify
from keelman.errors import EngineAway
from keelman.onlooker import CannotAudit
from keelman.runtime import Container
from keelman.runtime.fake import FakeEngine, FakeRuntime
from tests.unit.given import TASK_ID
from tests.unit.given_wire import an_event
from tests.unit.given_worker import NAME, Machine, clock, settle
from tests.unit.virtual_time import in_virtual_time, the_loop


class Watched(FakeRuntime):
    """The runtime of an audit. `between` is done once, after it has looked for the first time."""

    def __init__(self, engine: FakeEngine, worker: str) -> None:
        super().__init__(engine, worker)
        self.between: Callable[[], None] = _nothing
        self.looked_at: list[float] = []
        self.closed = 0

    async def containers(self) -> list[Container]:
        told = await super().containers()
        self.looked_at.append(the_loop().time())
        between, self.between = self.between, _nothing
        between()
        return told

    async def close(self) -> None:
        self.closed += 1


def _nothing() -> None:
    pass


@pytest.fixture
def watched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """In place of a real engine's runtime."""
    runtime = Watched(machine.engine, NAME)

    def here(worker: str, url: str | None, tls: ssl.SSLContext | None) -> Watched:
        assert worker == NAME
        return runtime

    monkeypatch.setattr(module, "DockerRuntime", here)
    monkeypatch.setattr(module, "steady_clock", lambda: clock)
    return runtime


async def at_work(machine: Machine) -> str:
    """A worker with a task that runs; the id of its container."""
    worker = await machine.met()
    await worker.db.set_owner(NAME)
    await worker.add_task(an_event())
    await settle(worker)
    return machine.engine.the_container().id


@in_virtual_time
async def test_a_sound_worker_is_0(
    machine: Machine, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    await at_work(machine)
    capsys.readouterr()
    assert await verify(data_dir=machine.directory, wait=7.0) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"worker {NAME}, its record in {machine.directory}"
    assert [line.split()[0] for line in lines[1:]] == [f"I{n}" for n in range(1, 9)]
    assert lines[5] == "I5 containers live on without the worker: 1 container, 1 RUNNING: ok"
    first, second = watched.looked_at
    assert second - first == 7.0
    assert watched.closed == 1


@in_virtual_time
async def test_what_both_looks_show_is_found(
    machine: Machine, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    container_id = await at_work(machine)
    capsys.readouterr()
    machine.engine.vanish(container_id)
    assert await verify(data_dir=machine.directory) == FOUND
    out = capsys.readouterr().out
    assert "I5 containers live on without the worker: 0 containers, 1 RUNNING: 1 found\n" in out
    told = f"    task {TASK_ID}, container {container_id[:12]}: it is RUNNING, and no container of"
    assert told in out
    assert await verify(data_dir=machine.directory, json=True) == FOUND
    audited = json.loads(capsys.readouterr().out)
    assert audited["Sound"] is False
    assert audited["Invariants"][4]["Findings"] == [
        {
            "Invariant": "I5",
            "TaskID": TASK_ID,
            "ContainerID": container_id,
            "Words": "it is RUNNING, and no container of attempt 1 lives",
        }
    ]


@in_virtual_time
async def test_what_comes_or_goes_between_the_looks_is_in_flight(
    machine: Machine, watched: Watched
) -> None:
    """Broken only at the first look, or only at the second."""
    container_id = await at_work(machine)
    machine.engine.exit(container_id, 0)
    watched.between = lambda: machine.engine.start(container_id)
    assert await verify(data_dir=machine.directory) == 0
    watched.between = lambda: machine.engine.exit(container_id, 0)
    assert await verify(data_dir=machine.directory) == 0
    assert await verify(data_dir=machine.directory) == FOUND


@in_virtual_time
async def test_what_cannot_be_looked_at_is_an_error(
    machine: Machine, watched: Watched, tmp_path: Path
) -> None:
    """And lets go of the engine."""
    with pytest.raises(CannotAudit):
        await verify(data_dir=tmp_path / "nowhere")
    assert watched.closed == 0
    await at_work(machine)
    machine.engine.down()
    with pytest.raises(EngineAway):
        await verify(data_dir=machine.directory)
    assert watched.closed == 1


def test_what_others_wrote_does_not_steer_the_terminal() -> None:
    """Rows that were damaged may hold anything; without a task there is no place for one."""
    found = Finding(invariant="I2", words="a row\x1b[2J")
    one = Checked(invariant="I2", rule="kept", looked_at="\x1b1 task", findings=(found,))
    audited = Audited(worker="w", data_dir="/d", engine="E", sound=False, invariants=(one,))
    assert page(audited).plain.splitlines() == [
        "worker w, its record in /d",
        "I2 kept: \ufffd1 task: 1 found",
        "    a row\ufffd[2J",
    ]
