"""Links between a manager and its nodes are cut under load, in one way or both, and mended.

Manager and nodes are in networks of their own and know each other by certificates. Some cuts are
over before a node is suspect, some outlast the time after which it is lost.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from keelman import cert_files
from tests.torture.cluster import (
    EVERY_SECONDS,
    KINDS,
    LOST_SECONDS,
    NODES,
    SUSPECT_SECONDS,
    Cluster,
    Place,
    Setting,
)
from tests.torture.judge import Tally
from tests.torture.network import Link, Way

CUTS = 45
TOLD_EVERY = 9
LONG = "longer than lost"


def setting(folder: Path, links: list[Link]) -> Setting:
    """Each node behind a link, and certificates for all of them, made in the folder."""
    now = datetime.now(UTC)
    cert_files.init(folder, now=now, days=2)
    ca = folder / cert_files.CA_CERT
    cert, key = _issued(folder, "manager", "127.0.0.1", now)
    options = ("--node-ca", ca, "--node-cert", cert, "--node-key", key)
    places = [
        _place(link, ca, *_issued(folder, f"node-{number}", link.address, now))
        for number, link in enumerate(links, start=1)
    ]
    return Setting(places=tuple(places), options=tuple(map(str, options)))


def _issued(folder: Path, name: str, host: str, now: datetime) -> tuple[Path, Path]:
    cert_files.issue(folder, name, hosts=[host], now=now, days=1)
    return cert_files.paths(folder, name)


def _place(link: Link, ca: Path, cert: Path, key: Path) -> Place:
    files = ("--tls-ca", str(ca), "--tls-cert", str(cert), "--tls-key", str(key))
    return Place(
        host=link.address,
        scheme="https",
        behind=link.behind,
        options=(*files, "--allow-client", "manager"),
    )


async def partitions(cluster: Cluster, links: list[Link], rounds: int = CUTS) -> Tally:
    """One node is cut off, or some of them, or all."""
    await cluster.up()
    ways, made = itertools.cycle(Way), Counter[str]()
    reach = dict(zip(cluster.nodes, links, strict=True))
    async with asyncio.TaskGroup() as group:
        group.create_task(cluster.load.keep_asking(EVERY_SECONDS, KINDS), name="load")
        done = 0
        while done < rounds:
            await asyncio.sleep(cluster.chance.uniform(0, 4))
            count = min(cluster.chance.choice((1, 1, 1, 2, NODES)), rounds - done)
            victims = cluster.chance.sample(list(reach), count)
            async with asyncio.TaskGroup() as cuts:
                for victim in victims:
                    cuts.create_task(_cut(cluster, victim, reach[victim], next(ways), made))
            if done // TOLD_EVERY != (done + count) // TOLD_EVERY:
                cluster.say(f"{done + count} cuts, {len(cluster.load.orders)} tasks")
            done += count
        cluster.load.busy = False
    await cluster.back(*cluster.nodes)
    return await cluster.judge("cluster: links cut", f"{rounds} cuts: {_words(made)}")


def _words(made: Counter[str]) -> str:
    ways = ", ".join(f"{made[way]} {way}" for way in Way)
    return f"{ways}; {made[LONG]} of them {LONG}"


async def _cut(cluster: Cluster, node: str, link: Link, way: Way, made: Counter[str]) -> None:
    chance = cluster.chance
    seconds = chance.choice(
        (
            chance.uniform(0.2, SUSPECT_SECONDS),
            chance.uniform(SUSPECT_SECONDS, LOST_SECONDS),
            chance.uniform(LOST_SECONDS + 1, 2.5 * LOST_SECONDS),
        )
    )
    made[way] += 1
    made[LONG] += seconds > LOST_SECONDS
    await link.cut(way)
    await asyncio.sleep(seconds)
    await link.mend(way)
    if seconds > LOST_SECONDS:
        await cluster.recovered(partial(cluster.are_ready, node), f"{node} is heard again")
