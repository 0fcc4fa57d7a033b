"""What goes on beside a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Beside:
    """Has things go on while its group is entered."""

    _group: asyncio.TaskGroup | None = None

    def begin(self, coro: Coroutine[Any, Any, None]) -> None:
        """Have something go on."""
        assert self._group is not None
        self._group.create_task(coro)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after a while."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            act()

        self.begin(wait())
