"""The socket to the engine spoils requests: each route with each fault in turn, then at random."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from tests.torture.bench import Bench
from tests.torture.engine import Engine
from tests.torture.judge import Tally
from tests.torture.orders import FAILING, KINDS, LONG, SHORT, STUBBORN, TWICE_MORE, Kind
from tests.torture.proxy import ROUTES, Fault, Proxy, Spoil
from tests.torture.registry import registry

TIMES = 3  # spoiled so often in a row: below the six failures at which a task is given up
QUICK = tuple(fault for fault in Fault if fault is not Fault.HANG)
RANDOM_SECONDS = 120.0
SHARE = 0.1


HANGS = 3


async def each_fault(bench: Bench, engine: Engine, faults: Sequence[Fault] = QUICK) -> Tally:
    """Every pair of route and fault is met while tasks are started, stopped and restarted."""
    async with _behind_proxy(bench, engine) as (proxy, kinds):
        for fault in faults:
            for route in ROUTES:
                await _met(bench, proxy, route, fault, kinds)
            bench.say(f"{fault}: {len(bench.manager.orders)} tasks")
        pairs = len(ROUTES) * len(faults)
        words = f"{len(ROUTES)} routes x {len(faults)} faults = {pairs}"
        return await _judged(bench, proxy, "engine's answers spoiled, in turn", words)


async def hangs(bench: Bench, engine: Engine, rounds: int = HANGS) -> Tally:
    """On each route once a request that is done, and never answered; many routes at once."""
    async with _behind_proxy(bench, engine) as (proxy, kinds):
        for _ in range(rounds):
            waiting = set(ROUTES) - {"logs"}  # asked for only once a task has failed

            def spoil(asked: str, waiting: set[str] = waiting) -> Fault | None:
                if asked not in waiting:
                    return None
                waiting.remove(asked)
                return Fault.HANG

            await _spoiled(bench, proxy, spoil, kinds)
            bench.say(f"{sum(proxy.hits.values())} x no answer, {len(bench.manager.orders)} tasks")
        words = f"{rounds} x {len(ROUTES) - 1} routes"
        return await _judged(bench, proxy, "engine does, and does not answer", words)


async def at_random(bench: Bench, engine: Engine, seconds: float = RANDOM_SECONDS) -> Tally:
    """Under load, one request in ten is spoiled, whatever it is."""
    async with _behind_proxy(bench, engine) as (proxy, kinds):
        proxy.spoil = lambda _: (
            bench.chance.choice(QUICK) if bench.chance.random() < SHARE else None
        )
        async with asyncio.TaskGroup() as group:
            asking = bench.manager.keep_asking(0.7, (*KINDS, *kinds))
            group.create_task(asking, name="load")
            for _ in range(int(seconds / 10)):
                await asyncio.sleep(10)
                proxy.cut_streams()
            bench.manager.busy = False
        proxy.spoil = lambda _: None
        await bench.manager.calm()
        words = f"{SHARE:.0%} of all requests for {seconds:g} s"
        return await _judged(bench, proxy, "engine's answers spoiled, at random", words)


@asynccontextmanager
async def _behind_proxy(bench: Bench, engine: Engine) -> AsyncIterator[tuple[Proxy, list[Kind]]]:
    """The worker's way to its engine leads through the proxy; one of the kinds is pulled."""
    path = bench.folder / "proxy.sock"
    async with registry(bench.folder, engine) as image, Proxy(path, str(engine.socket)) as proxy:
        bench.worker.engine_url = f"unix://{path}"
        await bench.up()
        pulled = replace(
            FAILING, name="pulled, failing", fields={"Image": image, "PullPolicy": "always"}
        )
        yield proxy, [SHORT, pulled, TWICE_MORE]
        await bench.worker.kill()


async def _met(bench: Bench, proxy: Proxy, route: str, fault: Fault, kinds: list[Kind]) -> None:
    left = TIMES

    def spoil(asked: str) -> Fault | None:
        nonlocal left
        if asked != route or not left:
            return None
        left -= 1
        return fault

    await _spoiled(bench, proxy, spoil, kinds)
    if left == TIMES:
        raise RuntimeError(f"{route} was not asked for, to be spoiled by {fault}")


async def _spoiled(bench: Bench, proxy: Proxy, spoil: Spoil, kinds: list[Kind]) -> None:
    proxy.spoil = spoil
    proxy.cut_streams()  # so that the worker meets its engine anew
    stopped = [await bench.manager.run(kind) for kind in (LONG, STUBBORN)]
    for kind in kinds:
        await bench.manager.run(kind)
    await bench.until_running(*stopped)
    for order in stopped:
        await bench.manager.stop(order)
    await bench.settle()
    proxy.spoil = lambda _: None


async def _judged(bench: Bench, proxy: Proxy, scenario: str, rounds: str) -> Tally:
    notes = f"{sum(proxy.hits.values())} requests spoiled"
    return await bench.judge(scenario, rounds, notes)
