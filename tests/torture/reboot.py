"""The host's reboot, imitated: everything killed at once, the engine's run-time state cleared."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.torture.bench import SLOTS, Bench
from tests.torture.engine import Engine
from tests.torture.judge import Tally
from tests.torture.orders import RUNNING, SERVICE, starts_of

REBOOTS = 3
SERVICES = 40


async def reboot(bench: Bench, engine: Engine, rounds: int = REBOOTS) -> Tally:
    """Every service comes back once for each boot, never more on their way up than the slots."""
    await bench.up()
    for _ in range(SERVICES):
        await bench.manager.run(SERVICE)
    wrong, most = [], 0
    await bench.settle()
    for number in range(rounds):
        await bench.worker.kill()
        await engine.cut_power()
        bench.truth.forget_the_way()
        await engine.restart()
        await bench.up()
        await bench.until_tasks(bench.manager.orders, partial(_is_back, number + 2))
        most = max(most, bench.truth.most_on_their_way)
        bench.say(f"boot {number + 1}: all back, at most {most} on their way up at once")
    for order in bench.manager.orders:
        count = len(starts_of(bench.starts, order.task_id))
        wrong += [f"{order.task_id} was started {count} times"] if count != rounds + 1 else []
    if not 0 < most <= SLOTS:
        wrong.append(f"{most} containers on their way up at once, {SLOTS} slots")
    notes = f"at most {most} on their way up at once, of {SLOTS} slots"
    tally = await bench.judge(
        "host rebooted", f"{rounds} x all killed at once, {SERVICES} services", notes
    )
    return tally.and_wrong(*wrong)


def _is_back(attempt: int, task: dict[str, Any]) -> bool:
    return (task["State"], task["Attempt"]) == (RUNNING, attempt)
