"""What is on disk is told: to the log, to whoever follows the events, and to the figures."""

from __future__ import annotations

import msgspec
import structlog

from keelman import machine
from keelman.events import Events
from keelman.machine import Resources
from keelman.metrics import Metrics
from keelman.room import beyond
from keelman.task import Transition, Wish

log = structlog.get_logger(__name__)


def accepted(wish: Wish, metrics: Metrics) -> None:
    """A wish was put on the queue."""
    metrics.accepted(wish)
    log.info("wish", task=wish.task_id, wants=wish.wants.name, seq=wish.seq)


def moved(move: Transition, events: Events, metrics: Metrics) -> None:
    """A task has moved."""
    events.publish(move)
    metrics.moved(move)
    log.info(
        "transition",
        task=move.task_id,
        seq=move.seq,
        before=move.from_.name,
        after=move.to.name,
        reason=str(move.reason),
        attempt=move.attempt,
        exit_code=move.exit_code,
    )


def room(asked: list[Resources], capacity: Resources) -> None:
    """What live tasks ask for, where that is more than they may: nothing is ended for it."""
    allocated = machine.total(asked)
    if fields := beyond(allocated, capacity):
        left = msgspec.to_builtins(capacity.less(allocated))
        log.warning("more is allocated than is given", fields=fields, left=left)
