"""A soak from beginning to end: a worker of its own, churn, visitors, samples; nothing is left."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from tests.e2e.machine import EngineLink
from tests.soak import clients
from tests.soak.churn import Churn, WentWrong
from tests.soak.machine import SoakMachine
from tests.soak.plan import Plan
from tests.soak.report import Report, report_of
from tests.soak.samples import Sample
from tests.soak.sampling import take

Tell = Callable[[Sample], None]


async def soak(plan: Plan, tell: Tell = lambda _: None) -> Report:
    """Run a plan; `tell` hears of each sample. Raises: WentWrong, in an ExceptionGroup."""
    samples: list[Sample] = []

    def told(sample: Sample) -> None:
        samples.append(sample)
        tell(sample)

    async with a_machine(plan) as (machine, link):
        await _churned(plan, machine, link, told)
        await machine.terminate()
        complaints = machine.complaints()
    return report_of(plan, samples, complaints)


@asynccontextmanager
async def a_machine(plan: Plan) -> AsyncIterator[tuple[SoakMachine, EngineLink]]:
    """A worker at work, with a way to its engine that can be cut."""
    name = f"soak-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="keelman-soak-") as place:
        link = EngineLink(Path(place) / "engine.sock")
        machine = SoakMachine(name, Path(place), plan.inside, plan.network)
        machine.engine_url = link.url
        await link.join()
        try:
            await machine.start("--keep-ended-tasks", str(plan.tasks_kept))
            yield machine, link
        finally:
            await machine.clear()
            await link.cut()


async def _churned(plan: Plan, machine: SoakMachine, link: EngineLink, tell: Tell) -> None:
    churn = Churn(machine, at_once=plan.at_once, seed=plan.seed)
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(churn.run(plan.rate), name="churn"),
            group.create_task(clients.keep_cutting(link, plan.cut_seconds), name="cutter"),
            *(
                group.create_task(clients.keep_visiting(machine, visit, pause, seed=number))
                for number, (visit, pause) in enumerate(clients.VISITS)
            ),
        ]
        await _sampled(plan, machine, churn, tell)
        for one in running:
            one.cancel()


async def _sampled(plan: Plan, machine: SoakMachine, churn: Churn, tell: Tell) -> None:
    """Samples at an even pace, until the time is up."""
    loop, process = asyncio.get_running_loop(), psutil.Process(machine.pid)
    began = loop.time()
    for number in range(1, int(plan.seconds / plan.sample_seconds) + 1):
        await asyncio.sleep(max(0.0, began + number * plan.sample_seconds - loop.time()))
        if machine.died:
            raise WentWrong(f"the worker died: {(await machine.ended())[1][-2000:]}")
        seconds, done, alive = loop.time() - began, churn.done, churn.alive
        values = await take(machine, process)
        tell(Sample(seconds=seconds, tasks=done, under_way=alive, values=values))
