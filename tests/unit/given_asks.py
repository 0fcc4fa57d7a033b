"""Nodes and tasks as the scheduler sees them, made up, and few enough to be in each other's way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from hypothesis import strategies as st

from keelman.manager.constraints import Constraint
from keelman.manager.scheduler import Ask, Offer, Placed, Strategy, Unplaced, place

GIB = 1024**3
NAMES = [f"node-{number}" for number in range(1, 7)]
PORTS = ["80/tcp", "80/udp", "81/tcp"]

CONSTRAINTS = st.builds(
    Constraint,
    key=st.just("node.name"),
    equal=st.booleans(),
    value=st.sampled_from(NAMES),
) | st.builds(
    Constraint,
    key=st.sampled_from(["node.labels.zone", "node.labels.disk"]),
    equal=st.booleans(),
    value=st.sampled_from(["eu", "us"]),
)
OFFERS = st.lists(
    st.builds(
        Offer,
        name=st.sampled_from(NAMES),
        labels=st.dictionaries(st.sampled_from(["zone", "disk"]), st.sampled_from(["eu", "us"])),
        cpu=st.sampled_from([4.0, 2.0, 1.0, 0.3, -1.0]),
        memory=st.sampled_from([8 * GIB, 4 * GIB, 2 * GIB, 0, -GIB]),
        disk=st.sampled_from([4 * GIB, 2 * GIB, -GIB]),
        ports=st.frozensets(st.sampled_from(PORTS), max_size=1),
        schedulable=st.sampled_from(["", "", "", "", "cordoned", "lost"]),
        tasks=st.integers(0, 4),
    ),
    min_size=2,
    max_size=6,
    unique_by=lambda offer: offer.name,
)
_WANTED = st.builds(
    Ask,
    task_id=st.just(""),
    cpu=st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.0]),
    memory=st.sampled_from([0, GIB, 2 * GIB]),
    disk=st.sampled_from([0, 0, GIB]),
    ports=st.frozensets(st.sampled_from(PORTS), max_size=1),
    constraints=st.lists(CONSTRAINTS, max_size=1).map(tuple),
    not_on=st.frozensets(st.sampled_from(NAMES), max_size=2),
    avoid=st.frozensets(st.sampled_from(NAMES), max_size=2),
)
STRATEGIES = st.sampled_from(Strategy)


def numbered(wanted: Sequence[Ask]) -> list[Ask]:
    return [msgspec.structs.replace(ask, task_id=str(n)) for n, ask in enumerate(wanted)]


# A few kinds of task, each asked for many times over, in any order.
ASKS = st.lists(_WANTED, min_size=1, max_size=4).flatmap(
    lambda kinds: st.lists(st.sampled_from(kinds), min_size=5, max_size=14).map(numbered)
)
ONE_ASK = _WANTED.map(lambda ask: numbered([ask])[0])


def alike(ask: Ask, times: int) -> list[Ask]:
    return numbered([ask] * times)


def taken(offer: Offer, ask: Ask) -> Offer:
    """What is left of a node when it has one more task: written apart from the scheduler's own."""
    return msgspec.structs.replace(
        offer,
        cpu=round(offer.cpu - ask.cpu, 9),
        memory=offer.memory - ask.memory,
        disk=offer.disk - ask.disk,
        ports=offer.ports | ask.ports,
        tasks=offer.tasks + 1,
    )


def told_in_turn(
    asks: Sequence[Ask], offers: Sequence[Offer], strategy: Strategy
) -> Iterator[tuple[Ask, Placed | Unplaced, dict[str, Offer]]]:
    """Each ask, what became of it, and the nodes as they were just before."""
    nodes = {offer.name: offer for offer in offers}
    for ask, fate in zip(asks, place(asks, offers, strategy), strict=True):
        assert fate.task_id == ask.task_id
        yield ask, fate, dict(nodes)
        if isinstance(fate, Placed):
            nodes[fate.node] = taken(nodes[fate.node], ask)


def nodes_of(
    asks: Sequence[Ask], offers: Sequence[Offer], strategy: Strategy = Strategy.SPREAD
) -> list[str]:
    """Where each ask goes; an empty name is nowhere."""
    fates = place(asks, offers, strategy)
    return [fate.node if isinstance(fate, Placed) else "" for fate in fates]


def why(asks: Sequence[Ask], offers: Sequence[Offer]) -> dict[str, str]:
    """The reasons of the last ask, which fits nowhere."""
    fate = place(asks, offers)[-1]
    assert isinstance(fate, Unplaced)
    return dict(fate.reasons)
