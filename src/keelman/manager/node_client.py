"""What a manager asks of a node: the part of `Client` that it calls, so that tests can be nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from keelman.description import WorkerReport
from keelman.explanation import Explanation
from keelman.wire import TaskReport, TransitionReport


class NodeClient(Protocol):
    """A worker's API. Each raises ClientError, Unreachable, NotTrusted."""

    async def send(self, event: Mapping[str, object]) -> TaskReport:
        """Sends a TaskEvent."""

    async def stop(self, task_id: str, *, generation: int | None = None) -> None:
        """Asks for a copy to be stopped that is not newer."""

    async def task(self, task_id: str) -> TaskReport:
        """One task."""

    async def listed(self) -> tuple[list[TaskReport], str]:
        """All tasks, and the event to follow from."""

    async def worker(self, *, moment: str | None = None) -> WorkerReport:
        """The worker itself; it is told of which moment of its own an answer was had."""

    async def why(self, task_id: str) -> Explanation:
        """Why a task is where it is."""

    def events(self, since: str = "") -> AsyncGenerator[tuple[str, TransitionReport]]:
        """Transitions as they happen, each with its id."""

    def logs(
        self,
        task_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        stream: str | None = None,
        attempt: int | None = None,
    ) -> AsyncGenerator[bytes]:
        """What a task wrote."""


Connect = Callable[[str], AbstractAsyncContextManager[NodeClient]]
