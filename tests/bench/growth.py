"""Growth: what a POST, a step and an item of a list cost, with ever more tasks on record."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from keelman.listing import Listing
from keelman.runtime.fake import FakeEngine, FakeRuntime
from keelman.store import Store
from keelman.worker.limits import Limits
from keelman.worker.worker import Worker
from tests.bench import records
from tests.bench.bench import Bench
from tests.bench.figures import AT_MOST, TIMES, Figure, Goal, Row, Summary, summary, turns
from tests.bench.worker import a_folder

KEY = "growth"
GOAL = Goal(AT_MOST, 1.2)
LISTS_LEAST, LISTED = 5, 20_000
WARMING_WRITES = 600  # until SQLite's log has its full length, and is written anew from its begin
POST, STEP, LIST = "POST", "step", "list, each item"
NOTE = (
    "Inside the worker, without HTTP and on an engine in memory: neither knows how many tasks there"
    " are. The figure is the dearest of all sizes over the cheapest of those below it. A list of 10"
    " is mostly what any list costs, so lists count from 100 on. Each is made anew: something was"
    " written since the last one."
)
Samples = dict[str, list[float]]


async def measure(bench: Bench) -> Row:
    """All sizes in turns."""
    samples: dict[int, Samples] = {}
    async with _workers(bench) as workers:
        for count in workers:
            samples[count] = {POST: [], STEP: [], LIST: []}
        for count in turns(list(workers), bench.plan.growth_rounds):
            await _write(workers[count], samples[count])
        for count, worker in workers.items():
            for _ in range(max(LISTS_LEAST, LISTED // count)):
                await worker.db.probe(time.time())  # else the list that was made last is sent
                began = time.perf_counter()
                worker.get_tasks(Listing())
                samples[count][LIST].append(1e6 * (time.perf_counter() - began) / count)
    return Row(key=KEY, figures=tuple(figures(samples)), notes=(NOTE,))


def figures(samples: dict[int, Samples]) -> list[Figure]:
    return [
        _figure(name, {count: one[name] for count, one in samples.items() if count >= least}, unit)
        for name, least, unit in ((POST, 0, "µs"), (STEP, 0, "µs"), (LIST, 100, "µs"))
    ]


def _figure(name: str, samples: dict[int, list[float]], unit: str) -> Figure:
    sides: dict[str, Summary] = {f"{n:,} records": summary(one) for n, one in samples.items()}
    value = growth([one.median for one in sides.values()])
    return Figure(name=name, value=value, unit=TIMES, goal=GOAL, sides=sides, sides_unit=unit)


def growth(costs: list[float]) -> float:
    """The most that any cost is above one of a smaller size; below 1 when it only falls."""
    return max(later / min(costs[:number]) for number, later in enumerate(costs) if number > 0)


async def _write(worker: Worker, samples: Samples) -> None:
    event = records.an_event(0)
    began = time.perf_counter()
    await worker.add_task(event)
    posted = time.perf_counter()
    await worker.run_task(event.task_id)
    samples[POST].append(1e6 * (posted - began))
    samples[STEP].append(1e6 * (time.perf_counter() - posted))


@asynccontextmanager
async def _workers(bench: Bench) -> AsyncIterator[dict[int, Worker]]:
    """One for each size, none of them running: its steps are taken one by one."""
    async with a_folder() as folder:
        workers, stores = {}, []
        try:
            for count in bench.plan.records:
                place = folder / str(count)
                place.mkdir()
                stores.append(store := Store(place, lambda: str(uuid.uuid4())))
                await records.fill_store(store, count, time.time())
                bench.say(f"{count:,} records made")
                workers[count] = await _worker(store, time.time)
            yield workers
        finally:
            for store in stores:
                await asyncio.to_thread(store.close)


async def _worker(store: Store, clock: Callable[[], float]) -> Worker:
    engine = FakeEngine(clock, images=["keelman/busybox:1"])
    runtime = FakeRuntime(engine, "bench")
    limits = Limits(start_slots=10**6, keep_ended_tasks=10**9)
    worker = Worker(store=store, runtime=runtime, clock=clock, limits=limits)
    worker.engine_is("")
    await worker.db.set_engine_id(await runtime.identity())
    for _ in range(WARMING_WRITES):
        await worker.db.probe(clock())
    return worker
