"""What a worker says of itself: who it is, what it may be asked for, what it has. PURE."""

from __future__ import annotations

from datetime import datetime

from keelman.allowed import Allowed
from keelman.machine import Resources
from keelman.values import Value

MOMENT = "Keelman-Moment"  # the header by which a manager tells what it has had


class EngineReport(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The engine: its own ID (null: never met), its version ("": no answer), what is wrong."""

    id: str | None
    version: str
    trouble: str


class WorkerReport(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A worker, as the one that it works for sees it. Read leniently: a newer one may say more.

    `moment` is for a manager to name in its next request; `silence` is for how many seconds nobody
    was heard (None: nobody ever was, since the machine began).
    """

    name: str
    version: str
    since: datetime
    engine: EngineReport
    allowed: Allowed
    default_pids_limit: int
    start_slots: int
    keep_ended_seconds: float
    keep_ended_tasks: int
    machine: Resources
    capacity: Resources
    allocated: Resources
    left: Resources
    moment: str = ""
    silence: float | None = None
