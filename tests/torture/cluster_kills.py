"""Manager and workers are killed with -9 at random moments, under load; some with their machine."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import aiohttp

from tests.torture.cluster import EVERY_SECONDS, KINDS, LOST_SECONDS, Cluster
from tests.torture.judge import Tally
from tests.torture.process import Process

KILLS = 60
TOLD_EVERY = 10
MACHINE = "its containers, too"


async def cluster_kills(cluster: Cluster, rounds: int = KILLS) -> Tally:
    """Each is started again: at once, after a while, or when it is lost to the manager."""
    await cluster.up()
    struck: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(cluster.load.keep_asking(EVERY_SECONDS, KINDS), name="load")
        done = 0
        while done < rounds:
            await asyncio.sleep(cluster.chance.uniform(0, 3))
            count = min(cluster.chance.choice((1, 1, 1, 2)), rounds - done)
            victims = cluster.chance.sample(cluster.processes, count)
            async with asyncio.TaskGroup() as strikes:
                for victim in victims:
                    strikes.create_task(_strike(cluster, victim, struck))
            if done // TOLD_EVERY != (done + count) // TOLD_EVERY:
                await cluster.back(*cluster.nodes)
                cluster.say(f"{done + count} kills, {len(cluster.load.orders)} tasks")
            done += count
        cluster.load.busy = False
    await cluster.back(*cluster.nodes)
    return await cluster.judge("cluster: killed", f"{rounds} x kill -9: {_words(struck)}")


def _words(struck: Counter[str]) -> str:
    workers = sum(times for name, times in struck.items() if name not in ("manager", MACHINE))
    return (
        f"{struck['manager']} manager, {workers} worker, {struck[MACHINE]} of them with {MACHINE}"
    )


async def _strike(cluster: Cluster, victim: Process, struck: Counter[str]) -> None:
    chance = cluster.chance
    machine = victim is not cluster.manager and chance.random() < 1 / 3
    pause = chance.choice((0.0, chance.uniform(0, 2), LOST_SECONDS + chance.uniform(0, 4)))
    struck[victim.name] += 1
    await victim.kill()
    if machine:
        struck[MACHINE] += 1
        await _kill_containers(cluster, victim.name)
    await asyncio.sleep(pause)
    await victim.start()
    if chance.random() < 1 / 3:  # the others may be killed before they answer
        await cluster.recovered(partial(cluster.is_ready, victim), f"{victim.name} is ready")


async def _kill_containers(cluster: Cluster, node: str) -> None:
    """All that live on a node; remembered before, for one may be heard of at once."""
    rows = await cluster.truth.containers()
    there = [row["Id"] for row in rows if row["Labels"]["keelman.worker"] == node]
    alive = {row["Id"] for row in rows if row["State"] == "running"}
    doomed = [container for container in there if container in alive]
    cluster.killed |= set(doomed)
    async with cluster.truth.session() as engine:
        await asyncio.gather(*(_kill(engine, container) for container in doomed))


async def _kill(engine: aiohttp.ClientSession, container: str) -> None:
    """It may have ended by itself meanwhile: 409."""
    async with engine.post(f"/containers/{container}/kill"):
        pass
