"""Which task goes to which node: select candidates, score, pick. PURE.

A batch is placed in one pass, in the order in which it is given: each task gets its node, and what
it asks for is counted down there before the next is looked at. There is no second thought: what was
placed stays, also where another order would have found room for more.

Nodes are kept in the order of their score, which does not depend on who asks, so a pick is the
first node in that order that fits. Of all that was asked like this and found no room, nothing is
looked for again: within a batch room only shrinks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice

from msgspec import Struct

from keelman.manager.constraints import Constraint
from keelman.manager.fitting import NANO, Ask, Offer, cores, why_not

__all__ = ["Ask", "Constraint", "Offer", "Placed", "Strategy", "Unplaced", "place", "why_not"]

_ANY = float("-inf")  # who asks for nothing fits also where less than nothing is left


class Strategy(StrEnum):
    """Which of the nodes that fit. Spread: the one with the fewest tasks, then the most left.

    Bin-pack: the one with the least left, then the most tasks, so that others stay free for what
    asks for much. What is left is compared by CPU first, then memory, then disk; last by name.
    """

    SPREAD = "spread"
    BIN_PACK = "bin-pack"


class Placed(Struct, frozen=True, kw_only=True):
    """A task, and the node it goes to."""

    task_id: str
    node: str


class Unplaced(Struct, frozen=True, kw_only=True):
    """A task that fits nowhere, and for each node why; as things are after the whole batch."""

    task_id: str
    reasons: Mapping[str, str]


class Reasons(Mapping[str, str]):
    """Why a task is on none of these nodes. The words are made when they are read.

    (A batch that finds no room anywhere has tasks times nodes of them, and hardly one is read.)
    """

    def __init__(self, ask: Ask, offers: Mapping[str, Offer]) -> None:
        self._ask = ask
        self._offers = offers

    def __getitem__(self, node: str) -> str:
        return why_not(self._ask, self._offers[node])

    def __iter__(self) -> Iterator[str]:
        return iter(self._offers)

    def __len__(self) -> int:
        return len(self._offers)

    def __repr__(self) -> str:
        return repr(dict(self))


def place(
    asks: Sequence[Ask], offers: Sequence[Offer], strategy: Strategy = Strategy.SPREAD
) -> list[Placed | Unplaced]:
    """What becomes of each ask, in their order, when they are placed one after the other."""
    cluster = _Cluster(offers, strategy)
    picked = [cluster.pick(ask) for ask in asks]
    left = cluster.offers()
    return [
        Unplaced(task_id=ask.task_id, reasons=Reasons(ask, left))
        if node is None
        else Placed(task_id=ask.task_id, node=node)
        for ask, node in zip(asks, picked, strict=True)
    ]


_Rank = tuple[int, ...]  # its score; then its number by name, so that no two are the same


class _Node:
    """A node whose room is counted down."""

    __slots__ = ("cores", "disk", "memory", "name", "offer", "ports", "tasks")

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.name = offer.name
        self.cores = cores(offer.cpu)
        self.memory = offer.memory
        self.disk = offer.disk
        self.ports = set(offer.ports)
        self.tasks = offer.tasks

    def take(self, ask: Ask) -> None:
        self.cores -= cores(ask.cpu)
        self.memory -= ask.memory
        self.disk -= ask.disk
        self.ports.update(ask.ports)
        self.tasks += 1

    def left(self) -> Offer:
        """As it would be offered now."""
        return Offer(
            name=self.name,
            labels=self.offer.labels,
            cpu=self.cores / NANO,
            memory=self.memory,
            disk=self.disk,
            ports=frozenset(self.ports),
            schedulable=self.offer.schedulable,
            tasks=self.tasks,
        )


class _Cluster:
    """All nodes, those that may be used in the order of their score; and who found no room."""

    def __init__(self, offers: Sequence[Offer], strategy: Strategy) -> None:
        self._nodes = [_Node(offer) for offer in sorted(offers, key=lambda offer: offer.name)]
        self._strategy = strategy
        self._score = _SCORES[strategy]
        self._order = sorted(
            (*self._score(node), number)
            for number, node in enumerate(self._nodes)
            if not node.offer.schedulable
        )
        self._allowed: dict[tuple[Constraint, ...], frozenset[str]] = {}
        self._hopeless: set[tuple[object, ...]] = set()

    def offers(self) -> dict[str, Offer]:
        """What is left of each node."""
        return {node.name: node.left() for node in self._nodes}

    def pick(self, ask: Ask) -> str | None:
        """The node that gets it, and has less room from now on; None when none has room."""
        kind = (ask.cpu, ask.memory, ask.disk, ask.ports, ask.constraints, ask.not_on)
        rank = None if kind in self._hopeless else self._best(ask)
        if rank is None:
            self._hopeless.add(kind)
            return None
        node = self._nodes[rank[-1]]
        del self._order[bisect_left(self._order, rank)]
        node.take(ask)
        insort(self._order, (*self._score(node), rank[-1]))
        return node.name

    def _best(self, ask: Ask) -> _Rank | None:
        """The first that fits; one to be avoided only where there is no other."""
        avoided = None
        for rank in self._fitting(ask):
            if self._nodes[rank[-1]].name not in ask.avoid:
                return rank
            avoided = avoided or rank
        return avoided

    def _fitting(self, ask: Ask) -> Iterator[_Rank]:
        """Every node on which it fits, best first: where `why_not` has nothing to say, but fast."""
        allowed = self._allowed_by(ask.constraints) if ask.constraints else None
        for rank in self._roomy(ask):
            node = self._nodes[rank[-1]]
            if (
                node.name not in ask.not_on
                and (allowed is None or node.name in allowed)
                and ask.ports.isdisjoint(node.ports)
            ):
                yield rank

    def _roomy(self, ask: Ask) -> Iterator[_Rank]:
        cpu, memory, disk = cores(ask.cpu) or _ANY, ask.memory or _ANY, ask.disk or _ANY
        nodes = self._nodes
        for rank in islice(self._order, self._first_with(cpu), None):
            node = nodes[rank[-1]]
            if node.cores >= cpu and node.memory >= memory and node.disk >= disk:
                yield rank

    def _first_with(self, cpu: float) -> int:
        """Where to begin: bin-pack has the nodes in the order of their cores, full ones first."""
        return bisect_left(self._order, (cpu,)) if self._strategy is Strategy.BIN_PACK else 0

    def _allowed_by(self, constraints: tuple[Constraint, ...]) -> frozenset[str]:
        """The nodes that satisfy all of these; looked for once in a batch."""
        if constraints not in self._allowed:
            self._allowed[constraints] = frozenset(
                node.name
                for node in self._nodes
                if all(one.allows(node.name, node.offer.labels) for one in constraints)
            )
        return self._allowed[constraints]


def _spread(node: _Node) -> _Rank:
    return node.tasks, -node.cores, -node.memory, -node.disk


def _bin_pack(node: _Node) -> _Rank:
    return node.cores, node.memory, node.disk, -node.tasks


_SCORES = {Strategy.SPREAD: _spread, Strategy.BIN_PACK: _bin_pack}
