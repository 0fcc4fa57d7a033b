"""Roster: the nodes, as they are heard now, and who is where. In memory; `state` is what is kept.

It changes nothing and asks nobody: `follow` tells it what was heard, the lanes what was recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import msgspec

from keelman.description import WorkerReport
from keelman.machine import Resources, total
from keelman.manager import nodes
from keelman.manager.assign import NodeView
from keelman.manager.nodes import Heard, Node, Patience
from keelman.manager.placement import Placement
from keelman.manager.scheduler import Offer
from keelman.task import Spec, Task


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A task that has not ended, where it is placed, and what it asks for there.

    `bears` is its StopAfterDisconnect: for how many seconds its node need not hear the manager.
    """

    task_id: str
    number: int
    taken: bool
    asked: Resources
    ports: frozenset[str]
    bears: int = 0


class Roster:
    """All nodes by name. `clock` gives steady seconds."""

    def __init__(self, clock: Callable[[], float], patience: Patience) -> None:
        self._clock = clock
        self.patience = patience
        self.nodes: dict[str, Node] = {}
        self.heard: dict[str, Heard] = {}
        self._tenants: dict[str, dict[str, Tenant]] = defaultdict(dict)
        self._place: dict[str, str] = {}  # of a task that has not ended
        self._stale: dict[str, set[str]] = defaultdict(set)  # tasks with older copies, by node
        self._stale_of: dict[str, frozenset[str]] = {}

    # -- nodes -----------------------------------------------------------------------------------

    def add(self, node: Node) -> None:
        """A node is there, or changed. It is given time to be heard."""
        self.nodes[node.name] = node
        self.heard.setdefault(node.name, Heard(at=self._clock()))

    def remove(self, name: str) -> None:
        """A node is no longer one of ours."""
        self.nodes.pop(name, None)
        self.heard.pop(name, None)

    def hear(self, name: str, report: WorkerReport | None, trouble: str = "") -> None:
        """A node has answered: with a description of itself, or without (None: that stays)."""
        if name in self.nodes:
            known = self.heard[name]
            self.heard[name] = Heard(
                at=self._clock(),
                report=report or known.report,
                others=known.others if report is None else self._others(name, report),
                trouble=trouble,
            )

    def _others(self, name: str, report: WorkerReport) -> Resources:
        """What is allocated there beside the tasks that are placed there now: older copies, too."""
        ours = total(one.asked for one in self._tenants[name].values() if one.taken)
        rest = report.allocated.less(ours)
        return Resources(cpu=max(rest.cpu, 0.0), memory=max(rest.memory, 0), disk=max(rest.disk, 0))

    def moment(self, name: str) -> str:
        """The moment of its own that was in the last answer of a node's; empty before the first."""
        heard = self.heard.get(name)
        return "" if heard is None or heard.report is None else heard.report.moment

    def bears(self, name: str) -> int:
        """For how long the least patient task there bears silence; 0 where none minds."""
        return min((one.bears for one in self._tenants[name].values() if one.bears), default=0)

    def status(self, name: str) -> nodes.Status:
        """How a node is."""
        return nodes.status(self.heard[name], self.patience, self._clock())

    def views(self, names: Iterable[str]) -> dict[str, NodeView]:
        """Those of the nodes that there are, as a step may know them."""
        return {
            name: NodeView(
                status=self.status(name),
                use=self.nodes[name].use,
                heard=self.heard[name].at,
            )
            for name in names
            if name in self.nodes
        }

    def offers(self, promised: Iterable[tuple[str, Tenant]] = ()) -> list[Offer]:
        """All nodes as the scheduler sees them, less what is promised there besides."""
        more: dict[str, list[Tenant]] = defaultdict(list)
        for name, tenant in promised:
            if self._place.get(tenant.task_id) != name:
                more[name].append(tenant)
        return [self._offer(node, more[name]) for name, node in sorted(self.nodes.items())]

    def _offer(self, node: Node, promised: list[Tenant]) -> Offer:
        heard = self.heard[node.name]
        tenants = [*self._tenants[node.name].values(), *promised]
        left = self.left(node.name, tenants)
        return Offer(
            name=node.name,
            labels=node.labels,
            cpu=left.cpu,
            memory=left.memory,
            disk=left.disk,
            ports=frozenset().union(*(tenant.ports for tenant in tenants)),
            schedulable=nodes.unusable(node, heard, self.patience, self._clock()),
            tasks=len(tenants),
        )

    def capacity(self, name: str) -> Resources:
        """All that tasks may ask for on a node."""
        report = self.heard[name].report
        return Resources() if report is None else report.capacity

    @property
    def now(self) -> float:
        """The time, by its clock."""
        return self._clock()

    def left(self, name: str, tenants: Iterable[Tenant]) -> Resources:
        """What these, and whoever else is there, leave of all that a node may give."""
        asked = total([self.heard[name].others, *(one.asked for one in tenants)])
        return self.capacity(name).less(asked)

    # -- who is where ----------------------------------------------------------------------------

    def tenants(self, name: str) -> list[Tenant]:
        """The tasks that are placed on a node and have not ended."""
        return list(self._tenants[name].values())

    def concerned(self, name: str) -> Iterator[str]:
        """Tasks that are on a node, or of which an older copy may be there."""
        yield from set(self._tenants[name]) | self._stale[name]

    def leaving(self, name: str, promised: Iterable[str]) -> bool:
        """Whether a task is on its way from a node: its older copy is there, or it will be one."""
        return bool(self._stale[name]) or any(self._place.get(one) == name for one in promised)

    def recorded(self, task: Task, placement: Placement) -> bool:
        """What is on disk of a task now; answers whether it has left room somewhere."""
        old, new = self._place.pop(task.id, ""), "" if task.state.ended else placement.node
        if old and old != new:
            self._tenants[old].pop(task.id, None)
        if new:
            self._place[task.id] = new
            self._tenants[new][task.id] = tenant(task, placement)
        self._note_stale(task.id, frozenset(copy.node for copy in placement.stale))
        return bool(old) and old != new

    def forgotten(self, task_id: str) -> None:
        """A task is no longer on record."""
        self._note_stale(task_id, frozenset())

    def _note_stale(self, task_id: str, names: frozenset[str]) -> None:
        known = self._stale_of.pop(task_id, frozenset())
        for name in known - names:
            self._stale[name].discard(task_id)
        for name in names - known:
            self._stale[name].add(task_id)
        if names:
            self._stale_of[task_id] = names


def tenant(task: Task, placement: Placement) -> Tenant:
    """A task where it is placed."""
    return Tenant(
        task_id=task.id,
        number=placement.number,
        taken=placement.accepted,
        asked=asked(task.spec),
        ports=host_ports(task.spec),
        bears=task.spec.stop_after_disconnect,
    )


def asked(spec: Spec) -> Resources:
    """What it asks of a machine."""
    return Resources(cpu=spec.cpu, memory=spec.memory, disk=spec.disk)


def host_ports(spec: Spec) -> frozenset[str]:
    """The host ports that it is published on: `8080/tcp`."""
    bindings = spec.port_bindings.items()
    return frozenset(f"{host}/{inner.rpartition('/')[2]}" for inner, host in bindings)
