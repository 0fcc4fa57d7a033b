"""How much is tried: some in every run, FUZZ times as much with `make fuzz`."""

from __future__ import annotations

import os

FUZZ = int(os.environ.get("FUZZ", "1"))


def times(usual: int) -> int:
    """So many cases in a usual run."""
    return usual * FUZZ
