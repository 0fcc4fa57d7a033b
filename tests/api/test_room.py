"""How much tasks may ask for: what is refused over HTTP, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from keelman.machine import Resources
from keelman.runtime.fake import FakeEngine
from tests.api.conftest import Served, an_event, serving

GIVEN = Resources(cpu=1.0, memory=256 << 20, disk=1 << 30)
HALF = {"Cpu": 0.5, "Memory": 128 << 20}


async def told(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = (await served.get("/worker")).json
    return found


async def figures(served: Served) -> dict[str, float]:
    body = (await served.get("/metrics")).body.decode()
    lines = (line.split() for line in body.splitlines() if not line.startswith("#"))
    return {
        name.removeprefix("keelman_"): float(value)
        for name, value in lines
        if name.startswith(("keelman_capacity_", "keelman_allocated_"))
    }


async def test_what_goes_beyond_is_409_with_what_was_asked_and_what_is_left(
    tmp_path: Path, engine: FakeEngine
) -> None:
    async with serving(tmp_path, engine, capacity=GIVEN) as served:
        await served.is_running(**HALF)
        event = an_event(Cpu=0.75, Memory=128 << 20)
        dry = await served.ask("POST", "/tasks?dry_run=1", json=event)
        answer = await served.post(event)
        tasks = (await served.get("/tasks")).json
    assert answer.is_error(409, "insufficient_resources")
    assert answer.json["Message"] == (
        "Task.Cpu: 0.75 cores are asked for, and 0.5 are left of the 1 that this worker may give"
    )
    assert dry.json["Objections"] == [
        {
            "Field": "Task.Cpu",
            "Message": answer.json["Message"],
            "Code": "insufficient_resources",
        }
    ]
    assert len(tasks) == 1


async def test_of_32_clients_at_once_just_those_get_in_for_whom_there_is_room(
    tmp_path: Path, engine: FakeEngine
) -> None:
    events = [an_event(Memory=48 << 20) for _ in range(32)]
    async with serving(tmp_path, engine, capacity=GIVEN) as served:
        answers = await asyncio.gather(*(served.post(event) for event in events))
        memory = (await told(served))["Allocated"]["Memory"]
        again = await asyncio.gather(*(served.post(event) for event in events))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (5, 27)
    assert memory == 5 * (48 << 20) <= GIVEN.memory
    assert [answer.status for answer in again] == statuses, "sent again they count once"


async def test_a_stop_frees_what_was_held_when_the_process_is_gone(
    tmp_path: Path, engine: FakeEngine
) -> None:
    async with serving(tmp_path, engine, capacity=GIVEN) as served:
        stubborn = await served.is_running("stubborn", Memory=200 << 20, StopTimeout=1000)
        await served.delete(f"/tasks/{stubborn}")
        assert (await served.post(an_event(Memory=200 << 20))).status == 409
        (container,) = engine.containers.values()
        engine.exit(container.id, 137)
        await served.until(stubborn, "ended")
        assert (await served.post(an_event(Memory=200 << 20))).status == 201


@pytest.mark.parametrize("policy", ["", "always"])
async def test_a_task_that_fails_frees_what_it_held_unless_it_is_started_again(
    tmp_path: Path, engine: FakeEngine, policy: str
) -> None:
    async with serving(tmp_path, engine, capacity=GIVEN) as served:
        task_id = await served.run("false", Memory=200 << 20, RestartPolicy=policy)
        if not policy:
            await served.until(task_id, "ended")
        status = (await served.post(an_event(Memory=200 << 20))).status
    assert status == (409 if policy else 201)


async def test_who_asks_for_nothing_is_never_refused_for_it(
    tmp_path: Path, engine: FakeEngine
) -> None:
    async with serving(tmp_path, engine, capacity=Resources()) as served:
        await served.is_running()
        assert (await served.post(an_event(Disk=1))).is_error(409, "insufficient_resources")


async def test_started_again_with_less_it_ends_nothing_and_refuses_what_is_new(
    tmp_path: Path, engine: FakeEngine
) -> None:
    async with serving(tmp_path, engine, capacity=GIVEN) as served:
        first = await served.is_running(**HALF)
        second = await served.is_running(**HALF)
    less = Resources(cpu=1.0, memory=160 << 20, disk=1 << 30)
    async with serving(tmp_path, engine, capacity=less) as served:
        shown = await told(served)
        assert shown["Left"] == {"Cpu": 0.0, "Memory": -(96 << 20), "Disk": 1 << 30}
        assert [task["State"] for task in (await served.get("/tasks")).json] == [2, 2]
        assert (await served.post(an_event(Memory=32 << 20))).status == 409
        same = an_event(ID=first, Generation=1, **HALF)
        assert (await served.post(same)).status == 201, "it asks for no more than it has"
        await served.delete(f"/tasks/{second}")
        await served.until(second, "ended")
        assert (await served.post(an_event(Memory=32 << 20))).status == 201


async def test_what_there_is_and_what_is_left_is_told_everywhere(
    tmp_path: Path, engine: FakeEngine
) -> None:
    async with serving(tmp_path, engine, capacity=GIVEN) as served:
        await served.is_running(**HALF)
        shown, stats = await told(served), (await served.get("/stats")).json
        measured = await figures(served)
    capacity = {"Cpu": 1.0, "Memory": 256 << 20, "Disk": 1 << 30}
    allocated = {"Cpu": 0.5, "Memory": 128 << 20, "Disk": 0}
    left = {"Cpu": 0.5, "Memory": 128 << 20, "Disk": 1 << 30}
    assert (shown["Capacity"], shown["Allocated"], shown["Left"]) == (capacity, allocated, left)
    assert (stats["Capacity"], stats["Asked"], stats["Left"]) == (capacity, allocated, left)
    assert measured == {
        "capacity_cpu_cores": 1.0,
        "capacity_memory_bytes": 256 << 20,
        "capacity_disk_bytes": 1 << 30,
        "allocated_cpu_cores": 0.5,
        "allocated_memory_bytes": 128 << 20,
        "allocated_disk_bytes": 0,
    }
