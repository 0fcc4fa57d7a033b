"""What may not last: a silent node that is not lost, a task without a place where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keelman.machine import total
from keelman.manager.manager import Manager
from keelman.manager.nodes import Status, Use
from keelman.manager.placement import REFUSED_SECONDS, Placement
from keelman.task import Task
from tests.cluster.machine import Node
from tests.cluster.manager import PATIENCE
from tests.cluster.ops import Wanted
from tests.cluster.wishes import task_number
from tests.simulation.engine import short
from tests.simulation.loop import the_loop

if TYPE_CHECKING:
    from tests.cluster.sim import Cluster

EVERY_SECONDS = 2.0
SLACK_SECONDS = 10.0
PLACED_SECONDS = 45.0  # a call may be under way, and a refusal of before may hold


class Waits:
    """Looks now and then; what goes on for too long breaks a law."""

    def __init__(self, sim: Cluster) -> None:
        self._sim = sim
        self._since: dict[str, float] = {}

    async def watch(self) -> None:
        """Look, without end."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            process = self._sim.manager
            if process is None:
                self._since.clear()
                continue
            self._check_silence(process.keeper)
            self._check_places(process.keeper)

    def _check_silence(self, manager: Manager) -> None:
        """A node that has been silent for long is lost."""
        for link in self._sim.links:
            name = link.node.name
            joined = self._sim.operator.joined.get(name, float("inf"))
            silent = the_loop().time() - max(link.beaten, self._sim.began, joined)
            late = PATIENCE.lost_seconds + SLACK_SECONDS
            if silent > late and name in manager.roster.nodes and not self._is_lost(manager, name):
                self._sim.fails(f"{name} is silent for {silent:.0f} s, and is not lost")

    def _check_places(self, manager: Manager) -> None:
        """A task does not wait while a node could have it."""
        now, waiting = the_loop().time(), dict(self.unplaced(manager))
        for task_id in list(self._since):
            if task_id not in waiting:
                del self._since[task_id]
        for task_id, name in waiting.items():
            since = self._since.setdefault(task_id, now)
            if now - since > PLACED_SECONDS:
                self._sim.fails(f"{short(task_id)} has no place for long, and {name} could have it")
                self._since[task_id] = now

    def unplaced(self, manager: Manager) -> Iterator[tuple[str, str]]:
        """Tasks that are nowhere, or on a node that is lost, and a node for each that is there."""
        for task_id, task in self._sim.laws.tasks().items():
            wish = self._sim.laws.wish(task_id)
            if task.state.ended or wish is None or wish.stops:
                continue
            placement = self._sim.laws.placements.get(task_id, Placement(task_id=task_id))
            if not placement.node or self._is_lost(manager, placement.node):
                for node in self._sim.nodes:
                    if self._could_have(manager, node, task, placement):
                        yield task_id, node.name
                        break

    def _is_lost(self, manager: Manager, name: str) -> bool:
        there = name in manager.roster.nodes
        return there and manager.roster.status(name) is Status.LOST

    def _could_have(self, manager: Manager, node: Node, task: Task, placement: Placement) -> bool:
        """Whether a node is surely fit; where that is not sure, it is not."""
        link = self._sim.links[node.number - 1]
        ready = link.cut is None and the_loop().time() - link.beaten < EVERY_SECONDS * 2
        is_open = self._sim.operator.uses.get(node.name) is Use.OPEN
        if not ready or not is_open or node.engine.is_down or node.process is None:
            return False
        if node.process.worker.engine_trouble or node.name == placement.node:
            return False
        now = manager.clock()
        for refusal in placement.refusals:
            if refusal.node == node.name and 0 < refusal.until - now <= REFUSED_SECONDS:
                return False
        wanted = self._sim.plan.tasks[task_number(task.id) - 1]
        assert isinstance(wanted, Wanted)
        if wanted.zone not in (0, node.number):
            return False
        return task.spec.cpu <= node.capacity.cpu - self._used(node)

    def _used(self, node: Node) -> float:
        """No less than what is used of a node's cores."""
        assert node.process is not None
        tasks = self._sim.laws.tasks()
        placed = sum(
            tasks[one.task_id].spec.cpu
            for one in self._sim.laws.placements.values()
            if one.node == node.name and one.task_id in tasks
        )
        return placed + total(node.process.worker.db.asked()).cpu
