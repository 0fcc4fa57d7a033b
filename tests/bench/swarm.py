"""Against Docker Swarm: the same tasks as a service's replicas, on the same engine."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import defaultdict

from msgspec.structs import replace

from tests.bench import starts
from tests.bench.bench import Bench
from tests.bench.engine import EngineApi, Json
from tests.bench.figures import AT_MOST, OURS, Figure, Goal, Row, ratio, turns
from tests.bench.worker import BenchWorker
from tests.e2e.machine import IMAGE, SLEEPS
from tests.torture.waiting import until

KEY, SWARM = "swarm", "Docker Swarm"
GOAL = Goal(AT_MOST, 0.7)
NOTE = (
    "The engine has no way to a registry, so that Swarm, which asks for the image each time, is"
    " refused at once and takes the local one."
)


async def measure(bench: Bench) -> Row:
    """The bench's own engine becomes a swarm of one for as long."""
    if not bench.own:
        return Row(
            key=KEY, figures=(), notes=("Not measured: this engine is not the bench's own.",)
        )
    init = {"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"}
    await bench.engine.ask("POST", "/swarm/init", init)
    try:
        async with bench.worker() as worker:
            await starts.ours(bench, worker, 1)
            await _replicas(bench.engine, 1)
            figures = [await _compared(bench, worker, *one) for one in bench.plan.swarm.items()]
    finally:
        await bench.engine.ask("POST", "/swarm/leave", force="1")
    return Row(key=KEY, figures=tuple(figures), notes=(NOTE,))


async def _compared(bench: Bench, worker: BenchWorker, count: int, rounds: int) -> Figure:
    taken: dict[str, list[float]] = defaultdict(list)
    for side in turns((OURS, SWARM), rounds):
        if side == OURS:
            taken[side].append(await starts.ours(bench, worker, count))
        else:
            taken[side].append(await _replicas(bench.engine, count))
        bench.say(f"{count} tasks, {side}: {taken[side][-1]:.3f} s")
    return replace(ratio(f"{count} tasks", taken[OURS], taken[SWARM], SWARM, "s"), goal=GOAL)


async def _replicas(engine: EngineApi, count: int) -> float:
    """Seconds until a service's replicas all run; then it is removed."""
    began = time.monotonic()
    service = await engine.ask("POST", "/services/create", service_of(count))
    filters = json.dumps({"service": [service["ID"]]})
    while await _running(engine, filters) < count:  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.02)
    taken = time.monotonic() - began
    await engine.ask("DELETE", f"/services/{service['ID']}")

    async def is_gone() -> bool:
        return not await engine.containers(f"com.docker.swarm.service.id={service['ID']}")

    await until(is_gone, "the service's containers are gone")
    return taken


async def _running(engine: EngineApi, filters: str) -> int:
    tasks = await engine.ask("GET", "/tasks", filters=filters)
    return sum(one["Status"]["State"] == "running" for one in tasks)


def service_of(count: int) -> Json:
    """The sleeper that tasks are, as a service."""
    container = {"Image": IMAGE, "Args": SLEEPS, "Init": True, "StopGracePeriod": 1_000_000_000}
    return {
        "Name": f"bench-{uuid.uuid4().hex[:8]}",
        "TaskTemplate": {"ContainerSpec": container, "RestartPolicy": {"Condition": "none"}},
        "Mode": {"Replicated": {"Replicas": count}},
    }
