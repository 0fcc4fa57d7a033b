"""dockerd is killed, or told to go, under load, and comes back; with live-restore and without."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from tests.torture.bench import Bench
from tests.torture.engine import Engine
from tests.torture.judge import Tally
from tests.torture.orders import KILLED, LONG, RUNNING, SERVICE, STUBBORN, Order, starts_of

RESTARTS = 6
AWAY_SECONDS = (0.0, 4.0)
LOAD_SECONDS = (2.0, 8.0)


async def engine_restarts(
    bench: Bench, engine: Engine, *, live_restore: bool, rounds: int = RESTARTS
) -> Tally:
    """SIGKILL and SIGTERM in turn. What ran must run on where the engine promises it."""
    bench.excused = frozenset(KILLED)
    # dockerd that dies in the middle of a start refuses it when it is back: "already exists".
    bench.excused_reasons = frozenset({"start_refused"})
    await bench.up()
    stay = [await bench.manager.run(kind) for kind in (LONG, STUBBORN, SERVICE, LONG, SERVICE)]
    await bench.settle()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.manager.keep_asking(0.7), name="load")
        for number in range(rounds):
            await asyncio.sleep(bench.chance.uniform(*LOAD_SECONDS))
            how = (signal.SIGKILL, signal.SIGTERM)[number % 2]
            await _restart(bench, engine, how)
            bench.say(f"dockerd restarted by {how.name}, {len(bench.manager.orders)} tasks")
        bench.manager.busy = False
    await bench.manager.calm()
    words = "with" if live_restore else "without"
    tally = await bench.judge(
        f"engine restarted, {words} live-restore",
        f"{rounds} x dockerd killed or told to go",
    )
    return tally.and_wrong(*await _moved(bench, stay)) if live_restore else tally


async def _restart(bench: Bench, engine: Engine, how: signal.Signals) -> None:
    await engine.end(how)
    await asyncio.sleep(bench.chance.uniform(*AWAY_SECONDS))
    await engine.restart()
    await bench.ready()


async def _moved(bench: Bench, stay: Sequence[Order]) -> list[str]:
    """Those that ran before, and were disturbed although their containers lived on."""
    tasks = await bench.manager.tasks()
    return [
        f"{order.task_id} ({order.kind.name}) was disturbed: {tasks[order.task_id]['Message']}"
        for order in stay
        if tasks[order.task_id]["State"] != RUNNING
        or len(starts_of(bench.starts, order.task_id)) != 1
    ]
