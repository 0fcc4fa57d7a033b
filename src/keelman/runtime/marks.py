"""Whose container it is: the name and the labels that a container of ours has. PURE.

Labels alone prove nothing: `docker commit` copies them into an image, and so into a stranger's
containers. Names are the engine's, and unique. Ours is what labels and name agree on. The label has
the attempt that a container was made for, the name the one that it is in: they are the same until a
start of it is given up as unanswered, and it gets the name of the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec
from msgspec import Struct

from keelman.errors import NameTaken
from keelman.runtime import Row
from keelman.runtime.told import Inspect
from keelman.task import Task
from keelman.values import INT64_MAX

WORKER_LABEL = "keelman.worker"
TASK_LABEL = "keelman.task"
ATTEMPT_LABEL = "keelman.attempt"
GENERATION_LABEL = "keelman.generation"
SPEC_LABEL = "keelman.spec"
SPEC_HASH_LABEL = "keelman.spec-hash"


def filter_for(**values: str) -> dict[str, list[str]]:
    """The engine's filter for containers with all these of our labels: worker, task."""
    return {"label": [f"keelman.{name}={value}" for name, value in values.items()]}


def container_name(worker: str, task_id: str, attempt: int) -> str:
    """The name of the container of one attempt."""
    return f"keelman-{worker}-{task_id}-{attempt}"


def labels_for(worker: str, task: Task, attempt: int) -> dict[str, str]:
    """Our labels: whose container it is, and the spec it can be rebuilt from.

    Labels are shown to everyone who may list containers, so the values of Env are blanked.
    """
    shown = msgspec.structs.replace(task.spec, env=dict.fromkeys(task.spec.env, ""))
    return {
        WORKER_LABEL: worker,
        TASK_LABEL: task.id,
        ATTEMPT_LABEL: str(attempt),
        GENERATION_LABEL: str(task.generation),
        SPEC_LABEL: msgspec.json.encode(shown).decode(),
        SPEC_HASH_LABEL: task.spec.digest(),
    }


class Mark(Struct, frozen=True, kw_only=True):
    """Whose container it is: what its labels say and its name confirms; `attempt` is the name's."""

    worker: str
    task_id: str
    attempt: int
    generation: int = 0
    spec_hash: str = ""

    def is_of(self, worker: str, task_id: str) -> bool:
        """Whether it is a container of this worker's task."""
        return (self.worker, self.task_id) == (worker, task_id)


def mark_of(names: Iterable[str], labels: Mapping[str, str] | None) -> Mark | None:
    """Whose container it is; None when the labels are not ours or no name agrees with them."""
    mark = claimed(labels)
    if mark is None:
        return None
    named = [_attempt_in(name.removeprefix("/"), mark) for name in names]
    attempts = [attempt for attempt in named if mark.attempt <= attempt <= INT64_MAX]
    return msgspec.structs.replace(mark, attempt=attempts[0]) if attempts else None


def _attempt_in(name: str, mark: Mark) -> int:
    """The attempt in a name that is as we write them; 0 for any other."""
    digits = name.rpartition("-")[2]
    if not re.fullmatch("[0-9]{1,19}", digits):
        return 0
    attempt = int(digits)
    return attempt if name == container_name(mark.worker, mark.task_id, attempt) else 0


def claimed(labels: Mapping[str, str] | None) -> Mark | None:
    """Whose container the labels say it is, made for which attempt."""
    try:
        return _labelled(labels or {})
    except (KeyError, ValueError):
        return None


def _labelled(labels: Mapping[str, str]) -> Mark:
    """Raises: KeyError, ValueError, also for what no worker would write."""
    mark = Mark(
        worker=labels[WORKER_LABEL],
        task_id=str(UUID(labels[TASK_LABEL])),
        attempt=int(labels[ATTEMPT_LABEL]),
        generation=int(labels[GENERATION_LABEL]),
        spec_hash=labels.get(SPEC_HASH_LABEL, ""),
    )
    if not (1 <= mark.attempt <= INT64_MAX and 0 <= mark.generation <= INT64_MAX):
        raise ValueError("an attempt or a generation out of range")
    return mark


def owner_of(inspect: Inspect, known: Task | None = None) -> Mark | None:
    """Whose container an inspect shows; `known` is the task it is looked for."""
    return owner(inspect.id, [inspect.name], inspect.config.labels, known)


def owner(
    container_id: str,
    names: Iterable[str],
    labels: Mapping[str, str] | None,
    known: Task | None = None,
) -> Mark | None:
    """Whose container it is. That which the Db knows by its ID is ours whatever its name is now.

    It is the one of the attempt on record, or of a later one if its name says so.
    """
    mark = mark_of(names, labels)
    if known is None or container_id != known.container_id:
        return mark
    mark = mark or claimed(labels)
    return mark and msgspec.structs.replace(mark, attempt=max(mark.attempt, known.attempt))


def check_ours(inspect: Inspect, worker: str, task_id: str) -> None:
    """Raises: NameTaken when a container with a name of ours is somebody else's."""
    mark = owner_of(inspect)
    if mark is None or not mark.is_of(worker, task_id):
        raise NameTaken(f"container {inspect.name.removeprefix('/')} is there and is not ours")


def rename_from(inspect: Inspect, worker: str, task_id: str, attempt: int) -> str:
    """How to address a container that is to get its name for an attempt; empty when it needs none.

    By its present name: a rename that comes late finds nothing by it. Only one to which somebody
    else gave a name is addressed by its id.
    """
    mark = mark_of([inspect.name], inspect.config.labels)
    if mark is None:
        return inspect.id
    return container_name(worker, task_id, mark.attempt) if mark.attempt < attempt else ""


def by_attempt(rows: Iterable[Row], known_id: str = "") -> list[Row]:
    """Containers of one task, the newest last; after all of them that on record, if it lives.

    Beside it there is another when somebody made one, or renamed this one, and a create that had
    been given up was done at last.
    """

    def place(row: Row) -> tuple[bool, int, bool]:
        known = row.container_id == known_id
        return known and row.live, row.attempt, known

    return sorted(rows, key=place)
