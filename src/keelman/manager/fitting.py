"""Whether a task fits on a node, and if not, why: the words that users read. PURE.

What counts is what was asked for, not what is used. Who asks for none of something fits also where
none is left, or less than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from keelman.manager.constraints import Constraint
from keelman.words import size

NANO = 10**9  # cores are counted as the engine takes them, in whole numbers


class Offer(Struct, frozen=True, kw_only=True):
    """A node as the scheduler sees it; names are unique.

    `cpu` (cores), `memory` and `disk` (bytes) are what is left, below zero where too much was
    promised; `ports` are host ports that tasks have, as in `8080/tcp`; `schedulable` is empty, or
    says why nothing is placed there; `tasks` is how many it has.
    """

    name: str
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    cpu: float = 0.0
    memory: int = 0
    disk: int = 0
    ports: frozenset[str] = frozenset()
    schedulable: str = ""
    tasks: int = 0


class Ask(Struct, frozen=True, kw_only=True):
    """A task as the scheduler sees it: what it needs of a node, in an Offer's units.

    `not_on` names nodes that refused it; it goes to one that it should `avoid` only where no other
    has room.
    """

    task_id: str
    cpu: float = 0.0
    memory: int = 0
    disk: int = 0
    ports: frozenset[str] = frozenset()
    constraints: tuple[Constraint, ...] = ()
    not_on: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()


def why_not(ask: Ask, offer: Offer) -> str:
    """All that keeps a task from a node; empty when it fits."""
    return offer.schedulable or "; ".join(_objections(ask, offer))


def cores(cpu: float) -> int:
    """Cores in billionths, so that ten times 0.1 is 1."""
    return round(cpu * NANO)


def _objections(ask: Ask, offer: Offer) -> Iterator[str]:
    if offer.name in ask.not_on:
        yield "it refused this task"
    for constraint in ask.constraints:
        if words := constraint.objection(offer.name, offer.labels):
            yield words
    for port in sorted(ask.ports & offer.ports):
        yield f"host port {port} is taken"
    if 0 < cores(ask.cpu) > cores(offer.cpu):
        yield _cores_words(cores(ask.cpu), max(cores(offer.cpu), 0))
    if 0 < ask.memory > offer.memory:
        yield _bytes_words("memory", ask.memory, max(offer.memory, 0))
    if 0 < ask.disk > offer.disk:
        yield _bytes_words("disk", ask.disk, max(offer.disk, 0))


def _cores_words(needed: int, left: int) -> str:
    unit, verb = "CPU" if needed == NANO else "CPUs", "is" if left == NANO else "are"
    return f"needs {_number(needed)} {unit}, {_number(left)} {verb} left"


def _number(billionths: int) -> str:
    whole, part = divmod(billionths, NANO)
    return f"{whole}.{part:09}".rstrip("0").rstrip(".")


def _bytes_words(what: str, needed: int, left: int) -> str:
    """Exact where the difference would not show otherwise."""
    shown = size(needed), size(left)
    if shown[0] == shown[1]:
        shown = f"{needed} B", f"{left} B"
    return f"needs {shown[0]} of {what}, {shown[1]} is left"
