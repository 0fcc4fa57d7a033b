"""One run of a plan: workers and a manager on machines of their own, a client, and the verdict."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from keelman.manager.node_client import NodeClient
from keelman.manager.scheduler import Strategy
from keelman.task import State, TaskEvent
from tests.cluster.befall import befall
from tests.cluster.laws import Laws
from tests.cluster.link import Link, LinkClient
from tests.cluster.loop import ClusterLoop
from tests.cluster.machine import NOW, Clock, Node
from tests.cluster.manager import ManagerProcess
from tests.cluster.operator import Operator
from tests.cluster.ops import Plan, Script
from tests.cluster.verdict import check_world
from tests.cluster.waits import Waits
from tests.cluster.wishes import event_of
from tests.simulation.beside import Beside
from tests.simulation.client import Manager as Client
from tests.simulation.client import id_of
from tests.simulation.disk import Disk
from tests.simulation.loop import the_loop
from tests.simulation.outcome import Outcome
from tests.simulation.sim import MEMORY

SETTLE_SECONDS = 260.0
START_AGAIN_SECONDS = 1.0


class Cluster(Beside):
    """The world of one plan."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        chance = Random(plan.seed)
        self.plan = plan
        self.broken: list[str] = []
        self.trace: list[str] = []
        self.clock = Clock(plan.machines[0])
        (directory / "manager").mkdir()
        self.disk = Disk(directory / "manager")
        self.nodes = [
            Node(number, shape, directory, chance, self.says, self.fails)
            for number, shape in enumerate(plan.machines[1:], start=1)
        ]
        self.links = [Link(node, chance, self.says) for node in self.nodes]
        self.process: ManagerProcess | None = None
        self.began = 0.0  # when the present manager did, in true time
        self.lives = self.callbacks = self.busy = 0
        self.pause = 0.5
        self.client = Client(the_time, lambda: self.manager, self.says, self.fails)
        self.operator = Operator(lambda: self.manager, self.nodes, self.says)
        self.laws = Laws(self)
        self.waits = Waits(self)
        self.events: defaultdict[int, list[TaskEvent]] = defaultdict(list)
        self.at_peace = False
        self._locks: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers = 0

    @property
    def manager(self) -> ManagerProcess | None:
        """The manager, once it answers."""
        return self.process if self.process is not None and self.process.open else None

    def says(self, words: str) -> None:
        self.trace.append(f"{the_time() - NOW:9.3f}  {words}")

    def fails(self, words: str) -> None:
        self.broken.append(words)
        self.says(f"BROKEN  {words}")

    # -- running ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """All that the plan has, then peace, then the verdict."""
        async with asyncio.TaskGroup() as self._group:
            loops = [self._supervise(), self.client.follow(), self.waits.watch()]
            loops += [node.supervise() for node in self.nodes]
            background = [self._group.create_task(loop) for loop in loops]
            self.join_all()
            for op in self.plan.ops:
                await asyncio.sleep(max(op.at - the_loop().time(), 0.0))
                self.says(str(op))
                befall(self, op)
            self.heal()
            await asyncio.sleep(SETTLE_SECONDS)
            check_world(self)
            for task in background:
                task.cancel()
        self._end()

    def heal(self) -> None:
        """From now on nothing goes wrong any more, and whoever had left is back."""
        self.says("peace")
        self.at_peace = True
        self.disk.is_full = False
        if self.process is not None:
            self.busy = self.callbacks + self.process.mark.callbacks
            self.process.mark.plans.clear()
        for node, link in zip(self.nodes, self.links, strict=True):
            link.heal()
            node.heal()
        self.join_all()

    def _end(self) -> None:
        lives = [self.process, *(node.process for node in self.nodes)]
        for life in lives:
            if life is not None:
                life.mark.kill()
        if self.process is not None:
            self.callbacks += self.process.mark.callbacks

    async def _supervise(self) -> None:
        """A manager runs; when it dies, another begins after a while."""
        strategy = Strategy.BIN_PACK if self.plan.bin_pack else Strategy.SPREAD
        while True:
            died = asyncio.Event()
            self.began = the_loop().time()
            process = self.process = ManagerProcess(
                self.disk,
                self.connect,
                self.clock.of_process,
                strategy,
                committed=self.laws.committed,
                failed=self.fails,
                died=died,
            )
            self.lives += 1
            self.says("manager: begins")
            await died.wait()
            self.says(f"manager: killed at its callback {process.mark.callbacks}")
            self.callbacks += process.mark.callbacks
            self.process = None
            await asyncio.sleep(self.pause if process.open else START_AGAIN_SECONDS)

    def connect(self, url: str) -> AbstractAsyncContextManager[NodeClient]:
        """A client of the node at an address, for the manager."""
        by_url = {link.node.url: link for link in self.links}
        return LinkClient(by_url.get(url), self.laws)

    # -- what clients do -------------------------------------------------------------------------

    def send(self, task: int, event: TaskEvent) -> None:
        """Send an event, after those for the same task that are not answered yet."""
        self.begin(self._in_turn(task, self.client.send(event)))

    def operate(self, node: int, change: Coroutine[Any, Any, None]) -> None:
        """An operator changes a node, after what is not answered yet of it."""
        self.begin(self._in_turn(f"node {node}", change))

    def join_all(self) -> None:
        """All machines are to be nodes that may be used."""
        for node in self.nodes:
            self.operate(node.number, self.operator.join_and_open(node.number))

    async def _in_turn(self, whose: object, coro: Coroutine[Any, Any, None]) -> None:
        async with self._locks[whose]:
            await coro

    def an_event(self, task: int, *, newer: int = 0, tag: str = "") -> TaskEvent:
        """A new event that asks to run a task, of its last Generation or a newer one."""
        self._numbers += 1
        known = self.events[task]
        generation = (known[-1].generation if known else 0) + newer
        wanted = self.plan.tasks[task - 1]
        return event_of(task, self._numbers, wanted, generation=generation, tag=tag)

    def a_stop(self, task: int) -> TaskEvent:
        return TaskEvent(id=None, state=State.COMPLETED, task_id=id_of(task))


def the_time() -> float:
    """True time, which no machine knows."""
    loop = the_loop()
    assert isinstance(loop, ClusterLoop)
    return NOW + loop.now


def run(script: Script) -> Outcome:
    """Run a plan in a world of its own."""
    assert isinstance(script, Plan)
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        loop = ClusterLoop()  # type: ignore[abstract]  # what nobody here asks of a loop
        cluster = Cluster(script, Path(directory))
        try:
            loop.run(cluster.run())
        except* AssertionError as errors:
            cluster.broken.append(f"the simulation came to nothing: {errors.exceptions!r}")
        cluster.broken += [f"nobody took this error: {error!r}" for error in loop.errors]
        return Outcome(
            script=script,
            broken=tuple(cluster.broken),
            trace=tuple(cluster.trace),
            counts=_counts(cluster),
            busy=cluster.busy,
        )


def _counts(cluster: Cluster) -> dict[str, int]:
    return {
        "lives of the manager": cluster.lives,
        "steps of its event loop": cluster.callbacks,
        "lives of workers": sum(node.lives for node in cluster.nodes),
        "wishes acknowledged": sum(one.refusal is None for one in cluster.client.answers),
        **cluster.laws.counts,
        "containers started": sum(
            one.what == "started" for node in cluster.nodes for one in node.engine.history
        ),
    }
