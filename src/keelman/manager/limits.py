"""Limits: what the operator of a manager decides, in one value. PURE."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from keelman import hiding
from keelman.manager.nodes import Patience
from keelman.manager.scheduler import Strategy


class Limits(Struct, frozen=True, kw_only=True):
    """What the operator decides."""

    strategy: Strategy = Strategy.SPREAD
    patience: Patience = Patience()
    keep_ended_seconds: float = 24 * 3600.0
    keep_ended_tasks: int = 10_000
    show: Callable[[bytes], bytes] = hiding.report  # a task's report, as who asks may see it
