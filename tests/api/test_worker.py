"""`GET /worker`, and what a worker refuses by what it says there."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from keelman.allowed import Allowed
from keelman.client import Client
from keelman.description import WorkerReport
from keelman.errors import EngineFailed
from keelman.runtime.fake import FakeEngine
from tests.api.conftest import NAME, Served, an_event, serving

ASKED: dict[str, tuple[dict[str, Any], str, Allowed]] = {
    "Task.Image": (
        {"Image": "evil.example/a"},
        "--allow-image",
        Allowed(images=("evil.example/*",)),
    ),
    "Task.PortBindings": (
        {"PortBindings": {"80/tcp": "80"}},
        "--allow-low-ports",
        Allowed(low_ports=True),
    ),
    "Task.CapAdd": (
        {"CapAdd": ["CAP_NET_ADMIN"]},
        "--allow-cap NET_ADMIN",
        Allowed(capabilities=("NET_ADMIN",)),
    ),
    "Task.Network": ({"Network": "host"}, "--allow-host-network", Allowed(host_network=True)),
}
LITTLE = Allowed(images=("nginx",))


@pytest.mark.parametrize(("asked", "option", "allowed"), ASKED.values(), ids=ASKED)
async def test_a_403_names_the_field_and_the_option_that_would_allow_it(
    tmp_path: Path,
    engine: FakeEngine,
    asked: dict[str, Any],
    option: str,
    allowed: Allowed,
) -> None:
    field = next(name for name, row in ASKED.items() if row[1] == option)
    async with serving(tmp_path, engine, allowed=LITTLE) as served:
        answer = await served.post(an_event(**asked))
        told = await served.ask("POST", "/tasks?dry_run=1", json=an_event(**asked))
    assert answer.is_error(403, "not_allowed")
    assert answer.json["Message"].startswith(f"{field}: ")
    assert option in answer.json["Message"]
    (objection,) = [one for one in told.json["Objections"] if one["Code"] == "not_allowed"]
    assert (objection["Field"], objection["Message"]) == (field, answer.json["Message"])
    async with serving(tmp_path, engine, allowed=allowed) as served:
        assert (await served.post(an_event(**asked))).status == 201


async def test_privileged_cannot_be_asked_for_whatever_is_allowed(
    tmp_path: Path, engine: FakeEngine
) -> None:
    everything = Allowed(
        mounts=("/",), images=("*",), capabilities=("ALL",), host_network=True, low_ports=True
    )
    async with serving(tmp_path, engine, allowed=everything) as served:
        answer = await served.post(an_event(Privileged=True))
    assert answer.is_error(400, "bad_field")
    assert "Task.Privileged: unknown field" in answer.json["Message"]


async def test_a_dry_run_tells_all_that_is_not_allowed(served: Served) -> None:
    event = an_event(Network="host", CapAdd=["BPF", "KILL"], PortBindings={"x": "9" * 5000})
    told = (await served.ask("POST", "/tasks?dry_run=1", json=event)).json["Objections"]
    fields = [one["Field"] for one in told if one["Code"] == "not_allowed"]
    assert fields == ["Task.CapAdd", "Task.CapAdd", "Task.Network"]


# -- GET /worker ---------------------------------------------------------------------------------


async def described(served: Served) -> WorkerReport:
    async with Client(f"127.0.0.1:{served.api.port}") as client:
        return await client.worker()


async def test_a_worker_tells_who_it_is_and_what_it_allows(
    tmp_path: Path, engine: FakeEngine
) -> None:
    allowed = Allowed(mounts=("/srv",), capabilities=("KILL",), low_ports=True)
    async with serving(tmp_path, engine, allowed=allowed, keep_ended_tasks=7) as served:
        await served.worker.db.set_owner(NAME)
        told = await described(served)
    assert (told.name, told.version) == (NAME, metadata.version("keelman"))
    assert (told.allowed, told.start_slots, told.keep_ended_tasks) == (allowed, 64, 7)
    assert told.default_pids_limit == 4096
    assert told.since.timestamp() == pytest.approx(served.worker.began, abs=1e-3)
    engine_told = told.engine
    assert (engine_told.id, engine_told.version) == (engine.identity, "in memory")
    assert engine_told.trouble == ""
    assert told.machine.cpu >= 1
    assert told.machine.memory > 0 < told.machine.disk


async def test_its_json_is_in_pascal_case(served: Served) -> None:
    told = (await served.get("/worker")).json
    assert set(told["Allowed"]) == {
        *("Mounts", "Images", "Capabilities", "HostNetwork", "LowPorts"),
    }
    assert set(told["Engine"]) == {"ID", "Version", "Trouble"}


async def test_it_answers_while_the_engine_does_not(tmp_path: Path, engine: FakeEngine) -> None:
    engine.down()
    async with serving(tmp_path, engine) as served:
        told = await described(served)
    assert (told.engine.id, told.engine.version) == (None, "")
    assert told.engine.trouble


async def test_of_an_engine_that_is_not_its_own_it_tells_no_version(served: Served) -> None:
    served.worker.engine_is("another engine is here")
    told = (await described(served)).engine
    assert (told.id, told.version, told.trouble) == (
        *(served.engine.identity, "", "another engine is here"),
    )


async def test_it_answers_when_the_engine_fails_on_it(served: Served) -> None:
    async def fails() -> str:
        raise EngineFailed("no")

    served.worker.runtime.version = fails  # type: ignore[method-assign]
    assert (await described(served)).engine.version == ""
