"""What a script came to."""

from __future__ import annotations

from msgspec import Struct

from tests.simulation.ops import Script


class Outcome(Struct, frozen=True, kw_only=True):
    """What broke (nothing, one hopes), what happened, and how much of what there was.

    `busy` are the callbacks of the process that is struck, until peace.
    """

    script: Script
    broken: tuple[str, ...]
    trace: tuple[str, ...]
    counts: dict[str, int]
    busy: int = 0
