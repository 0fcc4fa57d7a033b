"""How a run is set up: as a worker's is, with a shorter wait for what is drained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

from tests.cluster import sim
from tests.cluster.faults import planted
from tests.cluster.manager import DRAIN_SECONDS
from tests.simulation import world
from tests.simulation.ops import Script
from tests.simulation.outcome import Outcome


@contextmanager
def prepared() -> Iterator[None]:
    """Quiet logs, no network, and no five minutes for a drain."""
    with world.prepared(), mock.patch("keelman.manager.assign.DRAIN_SECONDS", DRAIN_SECONDS):
        yield


@contextmanager
def planted_run(fault: str) -> Iterator[Callable[[Script], Outcome]]:
    """What runs a plan, with a fault in the manager where one is named."""
    with planted(fault) if fault else nullcontext():
        yield sim.run
