"""Shares of many seeds, and what they come to."""

from __future__ import annotations

from msgspec import Struct

from tests.simulation.scripts import script
from tests.simulation.world import planted_run, prepared


class Share(Struct, frozen=True, kw_only=True):
    """Seeds for one process."""

    first: int
    seeds: int
    fault: str = ""


class Tally(Struct, frozen=True, kw_only=True):
    """What some seeds came to; `broken` are those that broke an invariant."""

    seeds: int = 0
    lives: int = 0
    callbacks: int = 0
    acknowledged: int = 0
    containers: int = 0
    broken: tuple[int, ...] = ()

    def and_also(self, other: Tally) -> Tally:
        fields = Tally.__struct_fields__
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in fields})

    def __str__(self) -> str:
        return (
            f"{self.seeds:,} seeds, {self.lives:,} lives of the worker ({self.callbacks:,} steps of"
            f" its event loop), {self.acknowledged:,} wishes acknowledged, {self.containers:,}"
            " containers started"
        )


def run_share(share: Share) -> Tally:
    """Run a share until a seed breaks."""
    total = Tally()
    with prepared(), planted_run(share.fault) as run:
        for seed in range(share.first, share.first + share.seeds):
            outcome = run(script(seed))
            total = total.and_also(
                Tally(
                    seeds=1,
                    lives=outcome.lives,
                    callbacks=outcome.callbacks,
                    acknowledged=outcome.acknowledged,
                    containers=outcome.containers,
                    broken=(seed,) if outcome.broken else (),
                )
            )
            if total.broken:
                break
    return total
