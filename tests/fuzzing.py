"""What is tried, the same in every run, and how much: FUZZ times as much with `make fuzz`."""

from __future__ import annotations

import os
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

FUZZ = int(os.environ.get("FUZZ", "1"))

Drawn = TypeVar("Drawn")


def times(usual: int) -> int:
    """So many cases in a usual run."""
    return usual * FUZZ


def drawn(strategy: st.SearchStrategy[Drawn], number: int) -> list[Drawn]:
    """So many of them, for a test that awaits something for each."""
    found: list[Drawn] = []

    @settings(
        max_examples=number,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: Drawn) -> None:
        found.append(one)

    collect()
    return found
