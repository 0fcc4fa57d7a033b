"""Silence is never made into anything but EngineAway."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from keelman.errors import CannotStart, EngineAway
from keelman.runtime import LogOptions, Runtime
from keelman.runtime.docker import DockerRuntime
from keelman.runtime.fake import FakeEngine, FakeRuntime
from keelman.seen import Action, Create, Kill, Remove, Signal, Start
from tests.contract.programs import TRUE
from tests.contract.worlds import a_task

TASK = a_task(TRUE)
ACTIONS: list[Action] = [
    Create(attempt=1),
    Start(container_id="a", attempt=1),
    Signal(container_id="a", signal="SIGTERM"),
    Kill(container_id="a"),
    Remove(container_id="a"),
]


async def _read_logs(runtime: Runtime) -> None:
    async for _ in runtime.logs("a", LogOptions(follow=True)):
        pass


async def _read_changes(runtime: Runtime) -> None:
    async with runtime.changes():
        pass


CALLS: dict[str, Callable[[Runtime], Awaitable[object]]] = {
    "identity": lambda runtime: runtime.identity(),
    "version": lambda runtime: runtime.version(),
    "look": lambda runtime: runtime.look(TASK),
    "rows": lambda runtime: runtime.rows(),
    "containers": lambda runtime: runtime.containers(),
    "rebuild": lambda runtime: runtime.rebuild("a"),
    "pull": lambda runtime: runtime.pull("busybox"),
    "logs": _read_logs,
    "changes": _read_changes,
}


@pytest.fixture(params=["fake", "docker"])
async def away(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A Runtime that was made while no engine was there."""
    engine = FakeEngine(time.time)
    engine.down()
    runtime: Runtime = FakeRuntime(engine, "w")
    if request.param == "docker":
        runtime = DockerRuntime("w", f"unix://{tmp_path}/none.sock")
    yield runtime
    await runtime.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_no_call_makes_anything_of_silence(
    away: Runtime, call: Callable[[Runtime], Awaitable[object]]
) -> None:
    with pytest.raises(EngineAway):
        await call(away)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
async def test_no_action_makes_anything_of_silence(away: Runtime, action: Action) -> None:
    with pytest.raises(EngineAway):
        await away.do(TASK, action)


@pytest.mark.parametrize("url", ["npipe:////./pipe/docker", "/var/run/docker.sock", "ssh://host"])
async def test_an_address_of_another_kind_is_said_at_once(url: str) -> None:
    with pytest.raises(CannotStart, match="unix://"):
        DockerRuntime("w", url)
