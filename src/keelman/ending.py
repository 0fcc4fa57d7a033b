"""Ending: why, and since when, the worker itself is ending a container. PURE."""

from __future__ import annotations

from enum import StrEnum

from keelman.values import Value


class Why(StrEnum):
    """Why the worker itself is ending a container."""

    STOPPED = "stopped"
    DEADLINE = "deadline"
    UNHEALTHY = "unhealthy"
    DISCONNECTED = "disconnected"
    STRAY = "stray"  # its Task has ended already
    ADOPTED = "adopted"  # it had ended before it was adopted: never restarted


class Ending(Value, frozen=True, kw_only=True):
    """Recorded before any signal: after a crash grace, kill and Reason are taken from it.

    `signalled` counts the rungs of the ladder already taken (0 none, 1 stop signal, 2 KILL,
    3 and up force removal); `since` is when the last of them was, or when the ending was decided.
    """

    why: Why
    since: float
    signalled: int = 0
