"""An Explanation as it is sent: why a task is where it is, and what comes next. PURE.

Words are for people, codes and times for programs. `why` makes it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from keelman.task import State
from keelman.values import Value


class Blocker(StrEnum):
    """What a task waits for: the closed list that docs/api.md explains."""

    NOTHING = ""
    ENGINE = "engine"
    CONTAINER = "container"
    PULL = "pull"
    SLOT = "slot"
    BACK_OFF = "back_off"
    PROCESS = "process"
    RETENTION = "retention"
    INTERNAL_ERROR = "internal_error"
    CANNOT_RECORD = "cannot_record"


class Asked(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The newest wish, with its number."""

    wants: Literal["run", "stop"]
    seq: int


class Block(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What the task waits for: a code, and the same in words. Both are empty for nothing."""

    by: str
    message: str


class Explanation(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Why a task is where it is. Read leniently: a newer worker may say more.

    At is when Next comes; null when only an event or a wish changes anything.
    """

    id: str
    name: str
    state: State
    summary: str
    because: str
    blocked: Block
    next: str
    at: datetime | None
    wish: Asked | None
    seen: str
