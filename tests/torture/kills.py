"""The worker is killed with -9 at random moments, under load, again and again."""

from __future__ import annotations

import asyncio

from tests.torture.bench import Bench
from tests.torture.judge import Tally

KILLS = 200
LONGEST_LIFE_SECONDS = 3.0


async def kills(bench: Bench, rounds: int = KILLS, every: float = 0.5) -> Tally:
    """Some lives end before the worker answers for the first time, some in the middle of it all."""
    await bench.up()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.manager.keep_asking(every), name="load")
        for number in range(1, rounds + 1):
            await asyncio.sleep(bench.chance.uniform(0, LONGEST_LIFE_SECONDS))
            await bench.worker.kill()
            await bench.worker.start()
            if number % 10 == 0:  # how long recovery takes under load
                await bench.ready()
                bench.say(f"{number} kills, {len(bench.manager.orders)} tasks")
        bench.manager.busy = False
    await bench.manager.calm()
    return await bench.judge("worker killed", f"{rounds} x kill -9")
