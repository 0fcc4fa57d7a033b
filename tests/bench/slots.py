"""How many containers should be on their way up at once: the start governor's slots."""

from __future__ import annotations

from collections import defaultdict

from tests.bench import starts
from tests.bench.bench import BARE, Bench
from tests.bench.figures import OURS, Figure, Row, summary, turns

KEY = "slots"


async def measure(bench: Bench) -> Row:
    """Containers started in a second, by how many are started at once."""
    rates: dict[int, dict[str, list[float]]] = {
        slots: defaultdict(list) for slots in bench.plan.slots
    }
    for number in range(bench.plan.slots_rounds):
        order = bench.plan.slots if number % 2 == 0 else tuple(reversed(bench.plan.slots))
        for slots in order:
            await _round(bench, slots, rates[slots])
    return Row(key=KEY, figures=tuple(_figure(*one) for one in rates.items()))


async def _round(bench: Bench, slots: int, rates: dict[str, list[float]]) -> None:
    count = bench.plan.slots_tasks
    async with bench.worker("--start-slots", str(slots)) as worker:
        body = await worker.create_body()
        for side in turns((OURS, BARE), 1):
            if side == OURS:
                taken = await starts.ours(bench, worker, count)
            else:
                taken = await starts.bare(bench, body, count, slots)
            rates[side].append(count / taken)
            bench.say(f"{slots} at once, {side}: {count / taken:.2f} a second")


def _figure(slots: int, rates: dict[str, list[float]]) -> Figure:
    sides = {side: summary(values) for side, values in rates.items()}
    value = sides[OURS].median
    return Figure(name=f"{slots} at once", value=value, unit="/s", sides=sides, sides_unit="/s")
