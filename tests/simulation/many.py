"""Shares of many seeds, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from msgspec import Struct

from tests.simulation.ops import Script
from tests.simulation.outcome import Outcome

Run = Callable[[Script], Outcome]


class Kit(Struct, frozen=True, kw_only=True):
    """A simulation, as its command knows it: functions that a process can be told by their name.

    `planted_run` gives what runs a script, in a world that is ready for it, with a fault or ("")
    without.
    """

    target: str  # of make
    module: str
    faults: tuple[str, ...]
    script: Callable[[int], Script]
    planted_run: Callable[[str], AbstractContextManager[Run]]
    prepared: Callable[[], AbstractContextManager[None]]


class Share(Struct, frozen=True, kw_only=True):
    """Seeds for one process."""

    kit: Kit
    first: int
    seeds: int
    fault: str = ""


class Tally(Struct, frozen=True, kw_only=True):
    """What some seeds came to; `broken` are those that broke an invariant."""

    seeds: int = 0
    counts: dict[str, int] = {}
    broken: tuple[int, ...] = ()

    def and_also(self, other: Tally) -> Tally:
        names = dict.fromkeys([*self.counts, *other.counts])
        return Tally(
            seeds=self.seeds + other.seeds,
            counts={name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in names},
            broken=self.broken + other.broken,
        )

    def __str__(self) -> str:
        counts = [f"{number:,} {what}" for what, number in self.counts.items()]
        return ", ".join([f"{self.seeds:,} seeds", *counts])


def run_share(share: Share) -> Tally:
    """Run a share until a seed breaks."""
    total, kit = Tally(), share.kit
    with kit.prepared(), kit.planted_run(share.fault) as run:
        for seed in range(share.first, share.first + share.seeds):
            outcome = run(kit.script(seed))
            broken = (seed,) if outcome.broken else ()
            total = total.and_also(Tally(seeds=1, counts=outcome.counts, broken=broken))
            if total.broken:
                break
    return total
