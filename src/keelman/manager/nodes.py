"""A node: a worker as the manager sees it, and what its silence means. PURE.

A node that is not heard is suspect, then lost: its tasks are placed elsewhere. One that is heard
again is what it was.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct

from keelman.description import WorkerReport
from keelman.machine import Resources
from keelman.values import Value


class Use(StrEnum):
    """What a node may be used for, as its operator says."""

    OPEN = "open"
    CORDONED = "cordoned"  # nothing more is placed there
    DRAINING = "draining"  # the same, and what is there moves away


class Status(StrEnum):
    """How a node is, as far as it can be heard."""

    READY = "ready"
    NOT_READY = "not_ready"  # it answers, and cannot run anything now
    SUSPECT = "suspect"  # silent for a while
    LOST = "lost"  # silent for so long that its tasks are placed elsewhere


class Node(Value, frozen=True, kw_only=True):
    """A node on record; `worker` is the name of the one that was met there: no other is taken."""

    name: str
    url: str = msgspec.field(name="URL")
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    use: Use = Use.OPEN
    worker: str = ""


class Patience(Struct, frozen=True, kw_only=True):
    """After how many seconds of silence a node is suspect, and lost."""

    suspect_seconds: float = 15.0
    lost_seconds: float = 60.0


class Heard(Struct, frozen=True, kw_only=True):
    """When a node was last heard, what it said of itself (None: nothing yet), what is wrong.

    `others` is what is allocated there beside the tasks that the manager has placed there now.
    """

    at: float
    report: WorkerReport | None = None
    others: Resources = Resources()
    trouble: str = ""


def status(heard: Heard, patience: Patience, now: float) -> Status:
    """How a node is."""
    silent = now - heard.at
    if silent >= patience.lost_seconds:
        return Status.LOST
    if silent >= patience.suspect_seconds:
        return Status.SUSPECT
    return Status.NOT_READY if _unfit(heard) else Status.READY


def unusable(node: Node, heard: Heard, patience: Patience, now: float) -> str:
    """Why nothing may be placed there; empty when it may."""
    words = {
        Status.LOST: "it is lost: it has not answered for long",
        Status.SUSPECT: "it is suspect: it does not answer",
        Status.NOT_READY: f"it is not ready: {_unfit(heard)}",
    }
    if node.use is not Use.OPEN:
        return f"it is {node.use}"
    return words.get(status(heard, patience, now), "")


def _unfit(heard: Heard) -> str:
    """Why it cannot run anything now, although it answers; empty when it can."""
    if heard.trouble:
        return heard.trouble
    return "it was not met yet" if heard.report is None else heard.report.engine.trouble
