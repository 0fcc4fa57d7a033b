"""Whoever keeps tasks: takes wishes, and tells what became of them. A worker is one, a manager too.

What both answer alike is written once, for a Keeper.
"""

from __future__ import annotations

from typing import Protocol

from keelman.db import Db, Listed
from keelman.events import Events
from keelman.listing import Listing
from keelman.metrics import Metrics
from keelman.seats import House
from keelman.task import Task, TaskEvent


class Keeper(Protocol):
    """The part of a worker, or of a manager, that its handlers speak to."""

    db: Db
    events: Events
    metrics: Metrics
    seats: House

    async def add_task(self, event: TaskEvent) -> bytes:
        """Put a wish on the queue; returns the answer's body once it is on disk."""

    def get_tasks(self, asked: Listing) -> Listed:
        """The tasks that are asked for, oldest first, as JSON. Raises: TaskGone."""

    def get_task(self, task_id: str) -> Task:
        """One task. Raises: UnknownTask."""
