"""A manager's process: the real one with all its loops. It may die between any two callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from keelman.errors import CannotRecord
from keelman.manager.limits import Limits
from keelman.manager.manager import Manager
from keelman.manager.node_client import NodeClient
from keelman.manager.nodes import Patience
from keelman.manager.scheduler import Strategy
from keelman.situation import Parked
from tests.simulation.disk import Disk, SimStore
from tests.simulation.loop import Mark
from tests.simulation.process import Life

PATIENCE = Patience(suspect_seconds=6.0, lost_seconds=20.0)
DRAIN_SECONDS = 40.0  # so long it waits for the successor of a drained copy, in these worlds


class JudgedStore(SimStore):
    """`committed` is told when something was."""

    committed: Callable[[], None]

    def _write(self, batch: list) -> None:  # type: ignore[type-arg]
        super()._write(batch)
        self.committed()


class ManagerProcess(Life[Manager]):
    """One life of a manager. `committed` judges what is on its disk after each commit."""

    _what = "manager"

    def __init__(
        self,
        disk: Disk,
        connect: Callable[[str], AbstractAsyncContextManager[NodeClient]],
        clock: Callable[[Mark], Callable[[], float]],
        strategy: Strategy,
        *,
        committed: Callable[[], None],
        failed: Callable[[str], None],
        died: asyncio.Event,
    ) -> None:
        super().__init__(failed, died)
        self.open = False
        self._committed = committed
        limits = Limits(strategy=strategy, patience=PATIENCE)
        self.mark.context.run(self._begin, disk, connect, clock(self.mark), limits)

    def _begin(
        self,
        disk: Disk,
        connect: Callable[[str], AbstractAsyncContextManager[NodeClient]],
        clock: Callable[[], float],
        limits: Limits,
    ) -> None:
        store = self.store = JudgedStore(disk)
        store.committed = lambda: None if self.dead else self._committed()
        manager = self.keeper = Manager(store=store, connect=connect, clock=clock, limits=limits)
        park = manager.mishaps.parked

        def parked(task_id: str, error: Exception) -> Parked:
            self._failed(f"manager: internal error: {error!r}")
            return park(task_id, error)

        manager.mishaps.parked = parked  # type: ignore[method-assign]
        self._start(self._loops)

    async def _loops(self) -> None:
        try:
            await self.keeper.open()
        except CannotRecord:  # it cannot start, and is started again
            self.mark.kill()
            return
        self.open = True
        await self.keeper.run_tasks()
