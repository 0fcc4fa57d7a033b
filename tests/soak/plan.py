"""What a soak is told, and what the worker under it keeps. PURE.

A worker as shipped remembers for days: its tombstones, the events it accepted, 100,000 Transitions,
the last 4,096 of them in memory. All of that grows in any run that one can wait for. A hurried
worker is the same program with those limits so short that each is reached within the warm-up: then
what retention lets go of is judged like everything else.
"""

from __future__ import annotations

from msgspec import Struct

WARM_UP_SHARE = 0.25
MEMORY_SHARE = 0.05  # of the run: how long a hurried worker remembers
TRANSITIONS_OF_A_TASK = 4
KEPT_LEAST = 10
RING_AS_SHIPPED = 4096


class Inside(Struct, frozen=True, kw_only=True):
    """What is changed inside of the worker before it starts; 0 and "" leave it as shipped.

    `leak` is sprung at every `leak_every`th wish.
    """

    remember_seconds: float = 0.0
    transitions_kept: int = 0
    leak: str = ""
    leak_every: int = 1

    @property
    def as_shipped(self) -> bool:
        return not (self.remember_seconds or self.transitions_kept or self.leak)


class Plan(Struct, frozen=True, kw_only=True):
    """How long, how much, and what of: `rate` tasks begin in a second, `at_once` at most live.

    On a machine that others slow down meanwhile more tasks are under way, and more is open for
    them: `at_once` is little more than what a quiet one has, so that this is soon at its limit.
    """

    seconds: float
    rate: float = 1.5
    at_once: int = 12
    sample_seconds: float = 3.0
    cut_seconds: float = 60.0
    seed: int = 0
    network: str = ""
    shipped: bool = False
    leak: str = ""
    leak_every: int = 1

    @property
    def remember_seconds(self) -> float:
        return self.seconds * MEMORY_SHARE

    @property
    def tasks_kept(self) -> int:
        """`--keep-ended-tasks`."""
        return max(KEPT_LEAST, round(self.rate * self.remember_seconds / 2))

    @property
    def transitions_kept(self) -> int:
        return max(KEPT_LEAST, round(self.rate * self.remember_seconds * TRANSITIONS_OF_A_TASK))

    @property
    def inside(self) -> Inside:
        if self.shipped:
            return Inside(leak=self.leak, leak_every=self.leak_every)
        return Inside(
            remember_seconds=self.remember_seconds,
            transitions_kept=self.transitions_kept,
            leak=self.leak,
            leak_every=self.leak_every,
        )
