"""What an audit goes by: what is on record and what the engine has, as of one moment. PURE.

`onlooker` gathers it from a live worker's data directory and its engine; whoever has both at hand
(a simulation) may as well make it by itself.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from keelman.runtime import Container
from keelman.runtime.marks import container_name
from keelman.task import Task, Transition, Wish


class Answered(Struct, frozen=True, kw_only=True):
    """An event that was answered. `emptied`: its task is over, retention took the answer."""

    event_id: str
    task_id: str
    emptied: bool = False


class Damage(Struct, frozen=True, kw_only=True):
    """A row that cannot be read, or whose columns say otherwise than its value."""

    task_id: str = ""
    words: str


class Record(Struct, frozen=True, kw_only=True):
    """All that a worker's database holds. The Transitions are in the order of their numbers.

    `wish_seq` and `transition_seq` are its counters, `complaints` what SQLite itself has found.
    """

    worker: str
    engine_id: str | None = None
    wishes: tuple[Wish, ...] = ()
    tasks: tuple[Task, ...] = ()
    transitions: tuple[Transition, ...] = ()
    answered: tuple[Answered, ...] = ()
    tombstones: frozenset[str] = frozenset()
    wish_seq: int = 0
    transition_seq: int = 0
    journal_mode: str = "wal"
    complaints: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()

    @property
    def by_id(self) -> dict[str, Task]:
        """The tasks on record."""
        return {task.id: task for task in self.tasks}

    @property
    def whole(self) -> bool:
        """Whether the log reaches back to its beginning: retention has trimmed nothing yet."""
        return not self.transitions or self.transitions[0].seq == 1

    @property
    def histories(self) -> dict[str, list[Transition]]:
        """The Transitions of each task, as far as they are kept."""
        found: dict[str, list[Transition]] = {}
        for move in self.transitions:
            found.setdefault(move.task_id, []).append(move)
        return found


class Facts(Struct, frozen=True, kw_only=True):
    """The record, and the engine: its ID, and all containers that the worker's labels are on."""

    record: Record
    engine_id: str
    containers: tuple[Container, ...] = ()

    @property
    def foreign(self) -> bool:
        """Whether it is another engine than the record is about."""
        return self.record.engine_id not in (None, self.engine_id)

    @property
    def ours(self) -> list[Container]:
        """The worker's containers, oldest attempt first: labels and name agree, or the record knows
        it by its ID. On another engine there is none.
        """
        if self.foreign:
            return []
        known = {(task.id, task.container_id) for task in self.record.tasks}
        mine = [one for one in self.containers if one.worker == self.record.worker]
        return sorted(
            (one for one in mine if _is_named(one) or (one.task_id, one.container_id) in known),
            key=lambda one: one.attempt,
        )


def _is_named(one: Container) -> bool:
    return one.name == container_name(one.worker, one.task_id, one.attempt)


class Broken(NamedTuple):
    """What breaks an invariant, and whose task or container it is.

    The words stay the same as long as the thing does: attempts and rungs are in them, times are
    not. What moves has other words the next time.
    """

    words: str
    task_id: str = ""
    container_id: str = ""
