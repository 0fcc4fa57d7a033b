"""A machine of the cluster: its clock, its engine, its disk, and a worker that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from keelman.machine import Resources
from keelman.runtime.fake_container import FakeContainer
from keelman.worker.heard import Boot
from keelman.worker.limits import Limits
from tests.cluster.loop import ClusterLoop
from tests.cluster.ops import Shape
from tests.simulation.disk import Disk
from tests.simulation.engine import SimEngine
from tests.simulation.loop import Mark, the_loop
from tests.simulation.process import LIMITS, Process

NOW = 1_000_000.0
PAUSE_SECONDS = 0.5
CONTACT_SECONDS = 5.0  # as long as a real one waits for its engine before it listens
DROP_EVENTS = "DELETE FROM transitions"


class NodeEngine(SimEngine):
    """`began` is told of each container that has really started."""

    began: Callable[[FakeContainer], None]

    def _check_alone(self, one: FakeContainer) -> None:
        super()._check_alone(one)
        self.began(one)


class Clock:
    """A machine's clock: it goes at a rate of its own, and may be set."""

    def __init__(self, shape: Shape) -> None:
        self.rate = shape.rate
        self.ahead = shape.ahead

    def __call__(self) -> float:
        """What it shows."""
        return NOW + self.ahead + self._loop.now * self.rate

    def since_boot(self) -> float:
        """Seconds that nobody sets."""
        return self._loop.now * self.rate

    def of_process(self, mark: Mark) -> Callable[[], float]:
        """What a process that begins now goes by: it never jumps."""
        began, loop = self(), self._loop
        since = loop.now
        loop.rates[mark] = self.rate
        return lambda: began + (loop.now - since) * self.rate

    @property
    def _loop(self) -> ClusterLoop:
        loop = the_loop()
        assert isinstance(loop, ClusterLoop)
        return loop


class Node:
    """A worker's machine. `says` and `fails` take words."""

    def __init__(
        self,
        number: int,
        shape: Shape,
        directory: Path,
        chance: Random,
        says: Callable[[str], None],
        fails: Callable[[str], None],
    ) -> None:
        self.number = number
        self.name = f"n{number}"
        self.url = f"http://{self.name}:5556"
        self.clock = Clock(shape)
        self.engine = NodeEngine(self.clock, chance)
        self.engine.said = lambda words: says(f"{self.name}: {words}")
        self.engine.law = lambda words: fails(f"{self.name}: {words}")
        (directory / self.name).mkdir()
        self.disk = Disk(directory / self.name)
        self.capacity = Resources(cpu=shape.cpu, memory=2**40, disk=2**40)
        self.process: Process | None = None
        self.lives = self.callbacks = 0
        self._began = 0.0
        self.pause = PAUSE_SECONDS
        self.db_is_to_go = self.lost_db = False
        self.boots = 0
        self.was_dead = False  # its worker, once; or its engine was away, or its machine
        self._says, self._fails = says, fails

    async def supervise(self) -> None:
        """A worker runs; when it dies, another begins after a while."""
        while True:
            died = asyncio.Event()
            process = self.process = self._begin(died)
            self.lives += 1
            self._began = the_loop().time()
            self._says(f"{self.name}: begins")
            await died.wait()
            self._says(f"{self.name}: killed at its callback {process.mark.callbacks}")
            self.callbacks += process.mark.callbacks
            self.process = None
            await asyncio.sleep(self.pause)
            if self.db_is_to_go:
                self.disk.lose()
                self.lost_db = True
            self.db_is_to_go = False

    def _begin(self, died: asyncio.Event) -> Process:
        return Process(
            self.engine,
            self.disk,
            before=lambda worker, task, action: None,
            failed=lambda words: self._fails(f"{self.name}: {words}"),
            died=died,
            limits=Limits(
                start_slots=LIMITS.start_slots,
                keep_ended_seconds=LIMITS.keep_ended_seconds,
                capacity=self.capacity,
            ),
            clock=self.clock.of_process,
            boot=Boot(id=f"{self.name}-{self.boots}", seconds=self.clock.since_boot),
        )

    @property
    def answering(self) -> Process | None:
        """The worker, once its API listens: when it has met its engine, or waited for that."""
        process = self.process
        if process is None or process.watch.contacted.is_set():
            return process
        waited = the_loop().time() - self._began
        return process if waited > CONTACT_SECONDS else None

    def kill(self, pause: float) -> None:
        """Its worker dies now."""
        self.pause = pause
        if self.process is not None:
            self.process.mark.kill()

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        if self.process is not None:
            self.process.mark.plans.clear()
        self.engine.heal()
        self.engine.up()

    def forget_events(self) -> None:
        """Its worker drops all Transitions that it has told of."""
        if (process := self.process) is not None:
            dropped = process.store.write(lambda connection: connection.execute(DROP_EVENTS))
            context = process.mark.context.copy()
            self._dropping = the_loop().create_task(dropped, context=context)
