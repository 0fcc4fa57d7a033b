"""One run of a script: the worker's lives on an unreliable engine, a manager, and the verdict."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from keelman.task import State, TaskEvent
from keelman.wire import decode_event
from tests.simulation.befall import befall
from tests.simulation.beside import Beside
from tests.simulation.client import Manager, body_of, id_of
from tests.simulation.disk import Disk
from tests.simulation.engine import SimEngine
from tests.simulation.laws import Door
from tests.simulation.loop import SimLoop, the_loop
from tests.simulation.ops import Script
from tests.simulation.outcome import Outcome
from tests.simulation.process import Process
from tests.simulation.verdict import check_stuck, check_world

MEMORY = Path("/dev/shm")
NOW = 1_000_000.0
SETTLE_SECONDS = 200.0
FREE_SECONDS = 90.0


class Simulation(Beside):
    """The world of one script."""

    def __init__(self, script: Script, directory: Path) -> None:
        chance = Random(script.seed)
        self.script = script
        self.broken: list[str] = []
        self.trace: list[str] = []
        self.engine = SimEngine(self.clock, chance)
        self.engine.law, self.engine.said = self.fails, self.says
        self.disk = Disk(directory)
        self.manager = Manager(self.clock, lambda: self.process, self.says, self.fails)
        self.door = Door(self.engine, self.fails)
        self.process: Process | None = None
        self.lives = self.callbacks = self.busy = 0
        self.events: defaultdict[int, list[TaskEvent]] = defaultdict(list)
        self.between: list[Callable[[], None]] = []
        self.pause = 0.5
        self.engine_is_swapped = False
        self.kept_at: list[float] = []
        self.dead_at_loss: dict[str, float] = {}
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers = 0

    def clock(self) -> float:
        return NOW + the_loop().time()

    def says(self, words: str) -> None:
        self.trace.append(f"{the_loop().time():9.3f}  {words}")

    def fails(self, words: str) -> None:
        self.broken.append(words)
        self.says(f"BROKEN  {words}")

    @property
    def engine_may_go(self) -> bool:
        """Whether the Db is about this engine by now, and stays so; and the engine is here."""
        known = self.process is not None and self.process.worker.db.engine_id() is not None
        here = not self.engine.is_down and not self.engine_is_swapped
        return known and here and not self.between

    # -- running ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """All that the script has, then peace, then the verdict."""
        async with asyncio.TaskGroup() as self._group:
            background = [
                self._group.create_task(self._supervise()),
                self._group.create_task(self.manager.follow()),
            ]
            for op in self.script.ops:
                await asyncio.sleep(max(op.at - the_loop().time(), 0.0))
                self.says(str(op))
                befall(self, op)
            await self._settle()
            for task in background:
                task.cancel()
        self._end()

    async def _settle(self) -> None:
        self.heal()
        await asyncio.sleep(FREE_SECONDS)
        check_stuck(self)
        self.free_the_stuck()
        await asyncio.sleep(SETTLE_SECONDS)
        check_world(self)

    def _end(self) -> None:
        if self.process is not None:
            self.callbacks += self.process.mark.callbacks
            self.process.mark.kill()

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        self.says("peace")
        present = self.process.mark.callbacks if self.process is not None else 0
        self.busy = self.callbacks + present
        if self.process is not None:
            self.process.mark.plans.clear()
        self.engine.heal()
        self.engine.registry |= {"far:1"}
        self.engine.held_ports.clear()
        self.disk.is_full = False

    def note_the_dead(self) -> None:
        """The Db is about to be lost: what has ended by now is never to be started again."""
        for number in range(1, len(self.script.tasks) + 1):
            newest = self.engine.newest(id_of(number))
            if newest is not None and newest.state["Status"] == "exited":
                self.dead_at_loss[id_of(number)] = self.clock()

    def free_the_stuck(self) -> None:
        """What outlived KILL in the kernel is let go of."""
        for one in list(self.engine.containers.values()):
            if one.live and "SIGKILL" in one.program.ignores and one.id in self.door.killed:
                self.engine.by("KILL, at last", lambda one=one: self.engine._end(one, 137))  # type: ignore[misc]

    async def _supervise(self) -> None:
        """A worker runs; when it dies, another begins after a while."""
        while True:
            died = asyncio.Event()
            process = Process(
                self.engine, self.disk, before=self.door.before, failed=self.fails, died=died
            )
            self.process = process
            self.lives += 1
            self.says("worker: begins")
            await died.wait()
            self.says(f"worker: killed at its callback {process.mark.callbacks}")
            self.callbacks += process.mark.callbacks
            self.process = None
            self.engine._answered.clear()
            await asyncio.sleep(self.pause)
            for act in self.between:
                act()
            self.between.clear()

    # -- what the manager does -------------------------------------------------------------------

    def send(self, task: int, event: TaskEvent) -> None:
        """Send an event, after those for the same task that are not answered yet."""
        self.begin(self._send(task, event))

    async def _send(self, task: int, event: TaskEvent) -> None:
        async with self._locks[task]:
            await self.manager.send(event)

    def an_event(self, task: int, *, newer: int = 0, tag: str = "") -> TaskEvent:
        """A new event that asks to run a task, of its last Generation or a newer one."""
        self._numbers += 1
        known = self.events[task]
        generation = (known[-1].generation if known else 0) + newer
        asked = self.script.tasks[task - 1]
        body = body_of(task, id_of(0x1000 + self._numbers), asked, generation=generation, tag=tag)
        return decode_event(body)

    def a_stop(self, task: int, *, generation: int = 0) -> TaskEvent:
        return TaskEvent(id=None, state=State.COMPLETED, task_id=id_of(task), generation=generation)


def run(script: Script) -> Outcome:
    """Run a script in a world of its own."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        loop = SimLoop()  # type: ignore[abstract]  # what nobody here asks of a loop
        simulation = Simulation(script, Path(directory))
        try:
            loop.run(simulation.run())
        except* AssertionError as errors:
            simulation.broken.append(f"the simulation came to nothing: {errors.exceptions!r}")
        simulation.broken += [f"nobody took this error: {error!r}" for error in loop.errors]
        return Outcome(
            script=script,
            broken=tuple(simulation.broken),
            trace=tuple(simulation.trace),
            counts={
                "lives of the worker": simulation.lives,
                "steps of its event loop": simulation.callbacks,
                "wishes acknowledged": sum(
                    one.refusal is None for one in simulation.manager.answers
                ),
                "containers started": sum(
                    one.what == "started" for one in simulation.engine.history
                ),
            },
            busy=simulation.busy,
        )
