"""Limits: what the operator allows and keeps, in one value. PURE."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from keelman import hiding, room
from keelman.allowed import Allowed
from keelman.machine import Resources
from keelman.runtime import guards


class Limits(Struct, frozen=True, kw_only=True):
    """What the operator allows and keeps."""

    start_slots: int = 4
    capacity: Resources = room.UNBOUNDED
    allowed: Allowed = Allowed()
    pids_usual: int = guards.PIDS_USUAL
    keep_ended_seconds: float = 24 * 3600.0
    keep_ended_tasks: int = 1000
    show: Callable[[bytes], bytes] = hiding.report  # a task's report, as who asks may see it
