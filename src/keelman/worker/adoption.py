"""Containers of ours that are not on record, because the Db was lost or is older than the engine.

What runs goes on as a Task rebuilt from its labels; what had ended is recorded as ended. What is
left of a task that was cleaned away is removed.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from keelman.db import Db
from keelman.errors import EngineError
from keelman.runtime import Row, Runtime
from keelman.seen import Remove
from keelman.task import Task

log = structlog.get_logger(__name__)


class Adoption:
    """The orphans that were found, each until its lane took it up."""

    def __init__(self, runtime: Runtime, db: Db, wake: Callable[[str], None]) -> None:
        self._runtime = runtime
        self._db = db
        self._wake = wake
        self._found: dict[str, Row] = {}

    def found(self, rows: list[Row]) -> None:
        """The orphans of a list; those of the list before are forgotten."""
        self._found = {row.task_id: row for row in rows}
        for row in rows:
            self._wake(row.task_id)

    async def of(self, task_id: str) -> Task | None:
        """The Task of an orphan, now on record; None when there is none, or not now."""
        row = self._found.pop(task_id, None)
        return None if row is None else await self._try(row)

    async def take_up(self, rows: list[Row]) -> None:
        """Put orphans on record, those that the engine shows now. Raises: CannotRecord."""
        for row in rows:
            await self._try(row)

    async def _try(self, row: Row) -> Task | None:
        try:
            return await self.adopt(row)
        except EngineError as error:  # it is found again by the next list
            log.warning("not adopted", task=row.task_id, error=error.message)
            return None

    async def adopt(self, row: Row) -> Task | None:
        """Put an orphan on record. Raises: EngineAway, CannotRecord."""
        task = await self._runtime.rebuild(row.container_id)
        if task is None:
            return None
        if self._db.buried(task.id):
            await self._runtime.do(task, Remove(container_id=row.container_id))
            return None
        log.info("adopted", task=task.id, container=row.container_id, attempt=row.attempt)
        await self._db.put(task)
        return task
