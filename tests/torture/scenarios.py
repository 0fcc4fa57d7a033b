"""All that is done to a worker, and to a cluster, by name."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from tests.torture.bench import Bench, bench, own_engine
from tests.torture.clock_jump import clock_jump
from tests.torture.cluster import NODES, Setting, cluster
from tests.torture.cluster_kills import cluster_kills
from tests.torture.database import database
from tests.torture.disk_full import disk_full
from tests.torture.engine import Engine
from tests.torture.engine_restarts import engine_restarts
from tests.torture.faults import at_random, each_fault, hangs
from tests.torture.judge import Tally
from tests.torture.kills import kills
from tests.torture.network import links, own_network
from tests.torture.partitions import partitions, setting
from tests.torture.reboot import reboot

Say = Callable[[str], None]
Rounds = dict[str, int]  # empty: as many as is usual
Scenario = Callable[[random.Random, Say, Rounds], Coroutine[Any, Any, Tally]]
OnWorker = Callable[[Bench, Engine, Rounds], Coroutine[Any, Any, Tally]]

ON_WORKER: dict[str, OnWorker] = {
    "kills": lambda one, engine, n: kills(one, **n),
    "live-restore": lambda one, engine, n: engine_restarts(one, engine, live_restore=True, **n),
    "engine": lambda one, engine, n: engine_restarts(one, engine, live_restore=False, **n),
    "faults": lambda one, engine, n: each_fault(one, engine),
    "hangs": lambda one, engine, n: hangs(one, engine, **n),
    "random": lambda one, engine, n: at_random(one, engine),
    "disk": lambda one, engine, n: disk_full(one, **n),
    "database": lambda one, engine, n: database(one, **n),
    "clock": lambda one, engine, n: clock_jump(one),
    "reboot": lambda one, engine, n: reboot(one, engine, **n),
}


async def _on_worker(name: str, chance: random.Random, say: Say, times: Rounds) -> Tally:
    """On an engine and a bench of its own."""
    async with (
        own_engine(chance, live_restore=name == "live-restore") as engine,
        bench(chance, say, str(engine.socket)) as one,
    ):
        return await _told(name, ON_WORKER[name](one, engine, times))


async def _kills_of_cluster(chance: random.Random, say: Say, times: Rounds) -> Tally:
    async with (
        own_engine(chance) as engine,
        cluster(chance, say, str(engine.socket), Setting()) as one,
    ):
        return await _told("cluster-kills", cluster_kills(one, **times))


async def _partitions(chance: random.Random, say: Say, times: Rounds) -> Tally:
    with own_network(), tempfile.TemporaryDirectory(prefix="keelman-certs-") as certs:
        async with links(NODES) as laid, own_engine(chance) as engine:
            told = setting(Path(certs) / "certs", laid)
            async with cluster(chance, say, str(engine.socket), told) as one:
                return await _told("partitions", partitions(one, laid, **times))


SCENARIOS: dict[str, Scenario] = {
    **{name: partial(_on_worker, name) for name in ON_WORKER},
    "cluster-kills": _kills_of_cluster,
    "partitions": _partitions,
}


async def run(name: str, seed: int, say: Say, rounds: int | None = None) -> Tally:
    """One scenario; the same `seed` draws the same lots."""
    chance = random.Random(f"{seed}/{name}")
    times = {"rounds": rounds} if rounds else {}
    return await SCENARIOS[name](chance, partial(_say_of, name, say), times)


async def _told(name: str, scenario: Coroutine[Any, Any, Tally]) -> Tally:
    """What did not come about is a finding like another, and the others are to be heard of."""
    try:
        return await scenario
    except (ExceptionGroup, TimeoutError, RuntimeError, AssertionError) as error:
        words = traceback.format_exception(error)
        return Tally(scenario=name, rounds="broken off", wrong=("".join(words),))


def _say_of(name: str, say: Say, words: str) -> None:
    say(f"{name}: {words}")
