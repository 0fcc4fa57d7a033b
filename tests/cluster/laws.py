"""What holds at every moment: of each record, each request, and each container that starts.

The laws read what is on the manager's disk, and know what the engines really hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from keelman.manager.nodes import Use
from keelman.manager.placement import Copy, Placement
from keelman.runtime.fake_container import FakeContainer
from keelman.runtime.marks import GENERATION_LABEL
from keelman.task import State, Task, Wish
from tests.cluster.machine import Node
from tests.cluster.manager import DRAIN_SECONDS, PATIENCE
from tests.cluster.ops import Jump, Wanted
from tests.cluster.wishes import task_number
from tests.simulation.engine import short
from tests.simulation.loop import the_loop

if TYPE_CHECKING:
    from tests.cluster.sim import Cluster

TOLERANCE = 0.9  # clocks go at different rates
CPU_SLACK = 1e-6
CLOSED = (Use.CORDONED, Use.DRAINING)


class Laws:
    """Judges one cluster, and counts what it sees."""

    def __init__(self, sim: Cluster) -> None:
        self.counts = {"placements": 0, "moves to another node": 0, "twice alive": 0}
        self.placements: dict[str, Placement] = {}  # as of the last commit
        self.placed_at: dict[tuple[str, int], float] = {}
        self.started: dict[tuple[str, str], list[float]] = {}  # by node and task
        self._drained_at: dict[tuple[str, int], float] = {}
        self._told: dict[tuple[str, int], str] = {}  # which node was sent which number
        self._sim = sim
        for node in sim.nodes:
            node.engine.began = lambda one, node=node: self.began(node, one)  # type: ignore[misc]

    # -- what is on disk -------------------------------------------------------------------------

    def tasks(self) -> dict[str, Task]:
        """All tasks on record. Needs a manager."""
        rows = self._read("SELECT task FROM tasks")
        tasks = [msgspec.json.decode(packed, type=Task) for (packed,) in rows]
        return {task.id: task for task in tasks}

    def wish(self, task_id: str) -> Wish | None:
        """The newest wish on record. Needs a manager."""
        rows = self._read("SELECT wish FROM queue WHERE task_id = ?", task_id)
        return msgspec.json.decode(rows[0][0], type=Wish) if rows else None

    def _read(self, sql: str, *values: object) -> list[tuple[bytes]]:
        assert self._sim.process is not None
        return self._sim.process.store.read(sql, *values)

    # -- records ---------------------------------------------------------------------------------

    def committed(self) -> None:
        """The manager has recorded something."""
        if self._sim.manager is None:
            return
        rows, now = self._read("SELECT placement FROM placements"), the_loop().time()
        placements = [msgspec.json.decode(packed, type=Placement) for (packed,) in rows]
        for placement in placements:
            before = self.placements.get(placement.task_id, Placement(task_id=placement.task_id))
            if placement.number != before.number:
                self._numbered(before, placement)
            for copy in placement.stale:
                self._drained_at.setdefault((placement.task_id, copy.number), now)
            self.placements[placement.task_id] = placement
        tasks = self.tasks()
        self._check_room(tasks)
        for task in tasks.values():
            if task.state is State.RUNNING and not self.placements[task.id].node:
                self._sim.fails(f"{short(task.id)} is RUNNING nowhere")

    def _numbered(self, before: Placement, after: Placement) -> None:
        """A task has a new place."""
        who, now = short(after.task_id), the_loop().time()
        self.counts["placements"] += 1
        self.placed_at[after.task_id, after.number] = now
        if after.number < before.number:
            self._sim.fails(f"{who}: number {after.number} follows {before.number}")
        if after.node != before.node and before.number:
            self.counts["moves to another node"] += 1
        if after.node != before.node and self._sim.operator.uses.get(after.node) in CLOSED:
            use = self._sim.operator.uses[after.node]
            self._sim.fails(f"{who} is placed on {after.node}, which is {use}")
        old = [copy for copy in after.stale if copy.number == before.number and not copy.until]
        if before.node and after.node != before.node and old:
            self._check_lost(who, before.node)

    def _check_lost(self, who: str, name: str) -> None:
        """A task is taken from a node only when that was silent for long."""
        link = next(link for link in self._sim.links if link.node.name == name)
        silent = the_loop().time() - max(link.beaten, self._sim.began)
        if silent < PATIENCE.lost_seconds * TOLERANCE:
            self._sim.fails(f"{who} is taken from {name}, which was silent for {silent:.1f} s only")

    def _check_room(self, tasks: dict[str, Task]) -> None:
        """No node has more than it may give."""
        for node in self._sim.nodes:
            here = [
                tasks[one.task_id].spec.cpu
                for one in self.placements.values()
                if one.node == node.name
                and one.task_id in tasks
                and not tasks[one.task_id].state.ended
            ]
            if sum(here) > node.capacity.cpu + CPU_SLACK:
                self._sim.fails(f"{node.name} has {sum(here)} of {node.capacity.cpu} cores")

    # -- requests --------------------------------------------------------------------------------

    def before_send(self, node: Node, task_id: str, number: int) -> None:
        """Record, then send; and a number is one node's."""
        on_record = self._placement(task_id)
        if (on_record.node, on_record.number) != (node.name, number):
            where = f"number {on_record.number} on {on_record.node or 'no node'}"
            self._sim.fails(f"{short(task_id)}: {number} is sent to {node.name}, recorded: {where}")
        first = self._told.setdefault((task_id, number), node.name)
        if first != node.name:
            self._sim.fails(f"{short(task_id)}: number {number} is sent to {first}, {node.name}")

    def before_stop(self, node: Node, task_id: str, number: int) -> None:
        """What is to run is not stopped; what is drained, not before its successor runs."""
        placement, task = self._placement(task_id), self.tasks().get(task_id)
        wish, who = self.wish(task_id), short(task_id)
        if task is None or task.state.ended or (wish is not None and wish.stops):
            return
        if (placement.node, placement.number) == (node.name, number):
            self._sim.fails(f"{who}: its present copy is stopped on {node.name}")
        drained = [one for one in placement.stale if one.node == node.name and one.until]
        if self._asked(task_id).alone:  # then it is stopped before its successor runs
            return
        if drained and self._is_early(task_id, drained[0]) and not self._has_run(placement):
            self._sim.fails(f"{who} is stopped on {node.name} before it runs on {placement.node}")

    def _placement(self, task_id: str) -> Placement:
        rows = self._read("SELECT placement FROM placements WHERE task_id = ?", task_id)
        if not rows:
            return Placement(task_id=task_id)
        return msgspec.json.decode(rows[0][0], type=Placement)

    def _is_early(self, task_id: str, copy: Copy) -> bool:
        """Whether the successor of a drained copy may still be waited for."""
        since = self._drained_at.get((task_id, copy.number), 0.0)
        set_anew = any(isinstance(op, Jump) and op.node == 0 for op in self._sim.plan.ops)
        return the_loop().time() - since < DRAIN_SECONDS * TOLERANCE and not set_anew

    def _has_run(self, placement: Placement) -> bool:
        """Whether the present copy runs, or did."""
        task_id, number = placement.task_id, placement.number
        node = next(node for node in self._sim.nodes if node.name == placement.node)
        if node.engine.live_of(task_id):
            return True
        since = self.placed_at.get((task_id, number), 0.0)
        return any(at >= since for at in self.started.get((node.name, task_id), ()))

    # -- containers ------------------------------------------------------------------------------

    def began(self, node: Node, one: FakeContainer) -> None:
        """A container has started."""
        task_id = node.engine.task_of(one.id)
        self.started.setdefault((node.name, task_id), []).append(the_loop().time())
        copies = dict(self.copies(task_id))
        if len(copies) > len(set(copies.values())):
            self._sim.fails(f"{short(task_id)}: two live copies of one number: {copies}")
        if len(copies) > 1:
            self.counts["twice alive"] += 1
            self._check_twice(task_id, copies)
            self._check_alone(task_id, copies)

    def copies(self, task_id: str) -> Iterator[tuple[str, int]]:
        """The live copies of a task: on which node, and of which number they were made."""
        for node in self._sim.nodes:
            for one in node.engine.live_of(task_id):
                yield node.name, int(one.body["Labels"][GENERATION_LABEL])

    def _check_twice(self, task_id: str, copies: dict[str, int]) -> None:
        """Two copies live at once only where the older is known to be left, or nobody can know."""
        placement = self.placements.get(task_id, Placement(task_id=task_id))
        known = {placement.node, *(copy.node for copy in placement.stale)}
        for name in copies:
            if name not in known and not self._may_be_unknown(name):
                self._sim.fails(f"{short(task_id)}: lives on {copies}, recorded: {sorted(known)}")

    def _check_alone(self, task_id: str, copies: dict[str, int]) -> None:
        """With StopAfterDisconnect never, while workers and engines live and no node leaves."""
        excused = {node.name for node in self._sim.nodes if node.was_dead}
        excused |= self._sim.operator.left
        if self._asked(task_id).alone and not excused & set(copies):
            self._sim.fails(f"{short(task_id)} is to be alone, and lives on {copies}")

    def _asked(self, task_id: str) -> Wanted:
        asked = self._sim.plan.tasks[task_number(task_id) - 1]
        assert isinstance(asked, Wanted)
        return asked

    def _may_be_unknown(self, name: str) -> bool:
        """Whether a copy there may be one that the manager does not know of.

        The node has left once, or lost its database, or got a request after that was given up.
        """
        link = next(link for link in self._sim.links if link.node.name == name)
        return link.strays or link.node.lost_db or name in self._sim.operator.left
