"""An exit is seen: from the engine's `die` to our event stream, a bare listener beside it."""

from __future__ import annotations

import asyncio
import time

from msgspec.structs import replace

from keelman.task import State
from tests.bench.bench import Bench
from tests.bench.engine import EngineApi
from tests.bench.figures import AT_MOST, Figure, Goal, Row, Summary, p99, summary
from tests.bench.worker import BenchWorker

KEY = "exits"
GOAL = Goal(AT_MOST, 20.0)
HEARD, INSPECTED = "bare listener", "bare listener, with one inspect"
NOTE = (
    "The engine tells of a death before it has cleaned up, and answers no inspect of the container"
    " until it has. No event is taken at its word for an exit: Keelman inspects, records and tells."
)
AT_ONCE = 20
PAUSE_SECONDS = 0.1
CODES = {State.COMPLETED: 0, State.FAILED: 3}


async def measure(bench: Bench) -> Row:
    """One container after the other ends, half of them with an error."""
    dies = Dies(bench.engine)
    async with bench.worker() as worker, asyncio.TaskGroup() as group:
        following = group.create_task(dies.follow())
        figures = [await _seen(bench, worker, dies, state) for state in CODES]
        following.cancel()
    return Row(key=KEY, figures=tuple(figures), notes=(NOTE,))


class Dies:
    """When each container died by the engine's clock, and when its event came; both wall time."""

    def __init__(self, engine: EngineApi) -> None:
        self.at: dict[str, tuple[float, float]] = {}
        self.inspected: dict[str, float] = {}  # and when the engine answered of one that died
        self._engine = engine

    async def follow(self) -> None:
        async for told in self._engine.dies():
            container_id = told["Actor"]["ID"]
            self.at[container_id] = told["timeNano"] / 1e9, time.time()
            await self._engine.ask("GET", f"/containers/{container_id}/json")
            self.inspected[container_id] = time.time()

    def sides(self) -> dict[str, Summary]:
        """What a bare listener knows how late, in ms."""
        died = {one: at for one, (at, _) in self.at.items()}
        heard = [1000 * (at - died[one]) for one, (_, at) in self.at.items()]
        inspected = [1000 * (at - died[one]) for one, at in self.inspected.items()]
        return {HEARD: summary(heard), INSPECTED: summary(inspected)}

    def forget(self) -> None:
        """Begin anew."""
        self.at.clear()
        self.inspected.clear()


async def _seen(bench: Bench, worker: BenchWorker, dies: Dies, state: State) -> Figure:
    taken: list[float] = []
    while len(taken) < bench.plan.exits // len(CODES):
        taken += await _batch(bench, worker, dies, state)
        bench.say(f"{len(taken)} exits as {state.name}")
    figure = p99(f"exit {CODES[state]}, p99", taken, "ms")
    sides = {**figure.sides, **dies.sides()}
    dies.forget()
    return replace(figure, goal=GOAL, sides=sides)


async def _batch(bench: Bench, worker: BenchWorker, dies: Dies, state: State) -> list[float]:
    """Milliseconds from each die to its Transition."""
    program = f"trap 'exit {CODES[state]}' TERM; sleep 1000 & wait"
    task_ids = await worker.run_all(AT_ONCE, Command=["sh", "-c", program], Init=False)
    await asyncio.sleep(1)
    containers = await _containers(bench, worker)
    for task_id in task_ids:
        await bench.engine.kill(containers[task_id], "TERM")
        await worker.heard.until([task_id], state)
        await asyncio.sleep(PAUSE_SECONDS)
    await bench.engine.remove_all(worker.label)
    to_wall = time.time() - time.monotonic()
    return [
        1000 * (worker.heard.at[task_id, state] + to_wall - dies.at[containers[task_id]][0])
        for task_id in task_ids
    ]


async def _containers(bench: Bench, worker: BenchWorker) -> dict[str, str]:
    listed = await bench.engine.containers(worker.label)
    return {one["Labels"]["keelman.task"]: one["Id"] for one in listed}
