"""Whose container it is: the name and the labels that a container of ours has. PURE.

Labels alone prove nothing: `docker commit` copies them into an image, and so into a stranger's
containers. Names are the engine's, and unique. Ours is what labels and name agree on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from keelman.runtime import Row
from keelman.runtime.told import Inspect
from keelman.task import Task

WORKER_LABEL = "keelman.worker"
TASK_LABEL = "keelman.task"
ATTEMPT_LABEL = "keelman.attempt"
GENERATION_LABEL = "keelman.generation"
SPEC_LABEL = "keelman.spec"
SPEC_HASH_LABEL = "keelman.spec-hash"


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
    """Whose container it is: what its labels say and its name confirms."""

    worker: str
    task_id: str
    attempt: int
    generation: int = 0
    spec_hash: str = ""

    def is_of(self, worker: str, task_id: str) -> bool:
        """Whether it is a container of this worker's task."""
        return (self.worker, self.task_id) == (worker, task_id)


def mark_of(names: Iterable[str], labels: Mapping[str, str] | None) -> Mark | None:
    """Whose container it is; None when the labels are not ours or no name agrees with them.

    `docker commit` copies labels into an image and so into a stranger's containers; names are the
    engine's, and unique.
    """
    try:
        mark = _labelled(labels or {})
    except (KeyError, ValueError):
        return None
    name = container_name(mark.worker, mark.task_id, mark.attempt)
    return mark if name in {given.removeprefix("/") for given in names} else None


def _labelled(labels: Mapping[str, str]) -> Mark:
    return Mark(
        worker=labels[WORKER_LABEL],
        task_id=labels[TASK_LABEL],
        attempt=int(labels[ATTEMPT_LABEL]),
        generation=int(labels[GENERATION_LABEL]),
        spec_hash=labels.get(SPEC_HASH_LABEL, ""),
    )


def owner_of(inspect: Inspect) -> Mark | None:
    """Whose container an inspect shows."""
    return mark_of([inspect.name], inspect.config.labels)


def by_attempt(rows: Iterable[Row]) -> list[Row]:
    """Containers of one task, the newest last."""
    return sorted(rows, key=lambda row: row.attempt)
