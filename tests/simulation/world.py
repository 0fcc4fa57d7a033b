"""How a run is set up: quiet logs, no network, and a deliberate fault where one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

import structlog

from keelman.worker import probes
from tests.simulation import sim
from tests.simulation.faults import planted
from tests.simulation.ops import Script
from tests.simulation.outcome import Outcome
from tests.simulation.process import no_session

CRITICAL = 50


@contextmanager
def prepared() -> Iterator[None]:
    """The worker's log costs more than the worker, and there is no network to probe."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    with mock.patch(f"{probes.__name__}.aiohttp.ClientSession", no_session):
        yield
    structlog.configure(**before)


@contextmanager
def planted_run(fault: str) -> Iterator[Callable[[Script], Outcome]]:
    """What runs a script, with a fault in the worker where one is named."""
    with planted(fault) if fault else nullcontext():
        yield sim.run
