"""All that is done to a worker, by name."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tests.torture.bench import Bench, bench, own_engine
from tests.torture.clock_jump import clock_jump
from tests.torture.database import database
from tests.torture.disk_full import disk_full
from tests.torture.engine import Engine
from tests.torture.engine_restarts import engine_restarts
from tests.torture.faults import at_random, each_fault, hangs
from tests.torture.judge import Tally
from tests.torture.kills import kills
from tests.torture.reboot import reboot

Say = Callable[[str], None]
Rounds = dict[str, int]  # empty: as many as is usual
Scenario = Callable[[Bench, Engine, Rounds], Coroutine[Any, Any, Tally]]

SCENARIOS: dict[str, Scenario] = {
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


async def run(name: str, seed: int, say: Say, rounds: int | None = None) -> Tally:
    """One scenario on an engine and a bench of its own; the same `seed` draws the same lots."""
    chance = random.Random(f"{seed}/{name}")
    times = {"rounds": rounds} if rounds else {}
    say_which = partial(_say_of, name, say)
    async with (
        own_engine(chance, live_restore=name == "live-restore") as engine,
        bench(chance, say_which, str(engine.socket)) as one,
    ):
        try:
            return await SCENARIOS[name](one, engine, times)
        except (ExceptionGroup, TimeoutError, RuntimeError, AssertionError) as error:
            # What did not come about is a finding like another, and the others are to be heard of.
            words = traceback.format_exception(error)
            return Tally(scenario=name, rounds="broken off", wrong=("".join(words),))


def _say_of(name: str, say: Say, words: str) -> None:
    say(f"{name}: {words}")
