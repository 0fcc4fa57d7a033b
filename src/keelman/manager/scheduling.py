"""Scheduling: which tasks want a place, and what the scheduler decided for them.

Batches are decided in one pass. A decision is handed to the task's lane, which records it; until
then what it needs there is promised. Who found none is asked for again when there is news of nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import msgspec

from keelman.manager import constraints
from keelman.manager.nodes import Use
from keelman.manager.placement import Placement
from keelman.manager.roster import Roster, Tenant, host_ports, tenant
from keelman.manager.scheduler import Ask, Placed, Strategy, Unplaced, place
from keelman.task import Task

AGAIN_SECONDS = 5.0
RETELL_SECONDS = 30.0
GATHER_SECONDS = 0.02  # what comes together is placed together


class Scheduling:
    """Decides for who wants; `wake` has a task's lane look at what was decided."""

    def __init__(self, roster: Roster, strategy: Strategy, wake: Callable[[str], None]) -> None:
        self._roster = roster
        self._strategy = strategy
        self._wake = wake
        self._wanting: dict[str, tuple[Task, Placement]] = {}
        self._decided: dict[str, Placed | Unplaced] = {}
        self._reasons: dict[str, Mapping[str, str]] = {}  # why a task is nowhere, by node
        self._told: dict[
            str, tuple[Mapping[str, str], float]
        ] = {}  # the same as it was told, and when
        self._promised: dict[str, tuple[str, Tenant]] = {}
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many tasks want a place."""
        return len(self._wanting)

    def wants(self, task: Task, placement: Placement) -> None:
        """A task wants a place, or another one."""
        if task.id not in self._wanting:
            self._news.set()
        self._wanting[task.id] = task, placement

    def settled(self, task_id: str) -> None:
        """A task has its place, or wants none."""
        self._wanting.pop(task_id, None)
        self._told.pop(task_id, None)
        self._reasons.pop(task_id, None)
        self._promised.pop(task_id, None)

    def room(self) -> None:
        """Somewhere there may be room now."""
        if self._wanting:
            self._news.set()

    def decided(self, task_id: str) -> Placed | Unplaced | None:
        """What was decided for a task; told once."""
        return self._decided.pop(task_id, None)

    def reasons(self, task_id: str) -> Mapping[str, str]:
        """Why a task that wants a place has none, by node."""
        return self._reasons.get(task_id, {})

    async def run(self) -> None:
        """Decide, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._news.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            self.decide()

    def decide(self) -> None:
        """One pass over all who want."""
        asks = [self._ask(*one) for one in self._wanting.values()]
        if not asks:
            return
        offers = self._roster.offers(self._promised.values())
        drained: set[str] = set()
        words: dict[object, dict[str, str]] = {}  # of all that was asked alike it is the same
        for ask, decision in zip(asks, place(asks, offers, self._strategy), strict=True):
            if isinstance(decision, Unplaced):
                kind = msgspec.structs.replace(ask, task_id="")
                if kind not in words:
                    words[kind] = dict(decision.reasons)
                self._tell(Unplaced(task_id=ask.task_id, reasons=words[kind]))
            elif self._turn(decision, drained):
                self._promise(decision)

    def _ask(self, task: Task, placement: Placement) -> Ask:
        here = {placement.node} if placement.node else set()
        return Ask(
            task_id=task.id,
            cpu=task.spec.cpu,
            memory=task.spec.memory,
            disk=task.spec.disk,
            ports=host_ports(task.spec),
            constraints=constraints.parse_all(task.spec.constraints),
            not_on=placement.refused_by(self._roster.now) | here,
        )

    def _turn(self, decision: Placed, drained: set[str]) -> bool:
        """From a node that is drained goes one at a time, when the one before runs elsewhere."""
        _, placement = self._wanting[decision.task_id]
        node = self._roster.nodes.get(placement.node)
        if node is None or node.use is not Use.DRAINING:
            return True
        leaving = self._roster.leaving(node.name, self._promised)
        if node.name in drained or leaving:
            return False
        drained.add(node.name)
        return True

    def _promise(self, decision: Placed) -> None:
        task, placement = self._wanting.pop(decision.task_id)
        needs = tenant(task, placement)
        self._promised[task.id] = decision.node, needs
        self._decided[task.id] = decision
        self._wake(task.id)

    def _tell(self, decision: Unplaced) -> None:
        """The lane is woken for what is new to it, but not for each core that comes and goes."""
        task_id, reasons, now = decision.task_id, decision.reasons, self._roster.now
        told, at = self._told.get(task_id, (None, now))
        self._reasons[task_id] = reasons
        if told is None or (told != reasons and now >= at + RETELL_SECONDS):
            self._told[task_id] = reasons, now
            self._decided[task_id] = decision
            self._wake(task_id)
