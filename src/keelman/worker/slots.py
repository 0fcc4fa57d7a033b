"""The start governor: how many containers may be on their way up at once.

More than a few at once is slower for each and no faster in all (docs/architecture.md). It is asked,
never awaited: a task without a slot sleeps, and is woken when one falls free.
"""

from __future__ import annotations

from collections.abc import Callable

from keelman.moves import Step
from keelman.seen import Create, Rename, Seen, Start
from keelman.task import State


class Slots:
    """`count` start slots; `wake(id)` is called for a waiting task when one is free."""

    def __init__(self, count: int, wake: Callable[[str], None]) -> None:
        self._count = count
        self._wake = wake
        self._held: set[str] = set()
        self._waiting: dict[str, None] = {}

    @property
    def held(self) -> int:
        """How many tasks are on their way up."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many would be if they could."""
        return len(self._waiting)

    def before(self, task_id: str) -> int | None:
        """How many wait before the task; None when it does not wait."""
        waiting = list(self._waiting)
        return waiting.index(task_id) if task_id in self._waiting else None

    def free(self, task_id: str) -> bool:
        """Whether the task may start something: it holds a slot, or one is free."""
        return task_id in self._held or len(self._held) < self._count

    def settle(self, step: Step, seen: Seen) -> None:
        """Hold a slot while the task is on its way up, wait for one, or leave it to others."""
        if isinstance(step.action, Create | Rename | Start):
            self.take(step.task.id)
        elif step.action is None and not seen.slot and step.task.state is State.SCHEDULED:
            self.wait(step.task.id)
        else:
            self.leave(step.task.id)

    def take(self, task_id: str) -> None:
        """The task is on its way up."""
        self._waiting.pop(task_id, None)
        self._held.add(task_id)

    def wait(self, task_id: str) -> None:
        """The task would start something if it could."""
        self._waiting[task_id] = None

    def leave(self, task_id: str) -> None:
        """The task is up, or does not want to be: its slot is for the next in the queue."""
        self._held.discard(task_id)
        self._waiting.pop(task_id, None)
        self._call_next()

    def _call_next(self) -> None:
        for _ in range(self._count - len(self._held)):
            if not self._waiting:
                return
            task_id = next(iter(self._waiting))
            del self._waiting[task_id]
            self._wake(task_id)
