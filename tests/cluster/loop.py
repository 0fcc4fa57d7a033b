"""The simulation's event loop, for many machines: on each of them time passes at its own rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from tests.simulation.loop import PROCESS, Mark, SimLoop

CALLBACKS_MOST = 3_000_000


class ClusterLoop(SimLoop):
    """Who asks for the time gets that of the machine it runs on; what is outside, the true time."""

    callbacks_most = CALLBACKS_MOST

    def __init__(self) -> None:
        super().__init__()
        self.rates: dict[Mark, float] = {}

    @property
    def _rate(self) -> float:
        mark = PROCESS.get()
        return 1.0 if mark is None else self.rates.get(mark, 1.0)

    def time(self) -> float:
        return self.now * self._rate

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        true = self.now + max(delay, 0.0) / self._rate
        return super().call_at(true, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return super().call_at(when / self._rate, callback, *args, context=context)
