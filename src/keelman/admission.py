"""Whether a TaskEvent becomes a wish. PURE.

Asked inside the transaction that would write the wish, with all that is known of the task; answers
with a new Wish, or None when nothing changes, or raises what the sender did wrong.
"""

from __future__ import annotations

from msgspec import Struct

from keelman.errors import (
    SpecChanged,
    StaleGeneration,
    Stopping,
    TaskCompleted,
    TaskEnded,
    UnknownTask,
)
from keelman.task import Spec, State, Task, TaskEvent, Wish, new_task


class Known(Struct, frozen=True, kw_only=True):
    """What is on record of one task: its newest wish, what became of it, or a tombstone."""

    wish: Wish | None = None
    task: Task | None = None
    buried: bool = False

    @property
    def generation(self) -> int:
        return max(
            self.wish.generation if self.wish else 0, self.task.generation if self.task else 0
        )

    @property
    def spec(self) -> Spec | None:
        """The spec last asked for; an adopted task was asked for in an earlier life of the Db."""
        if self.wish is not None:
            return self.wish.spec
        return self.task.spec if self.task else None

    @property
    def ended(self) -> bool:
        """Ended, and no newer wish to run it waits, nor a stop of what that would begin."""
        if self.task is None or not self.task.state.ended:
            return False
        return self.wish is None or not self.wish.begins_anew(self.task)

    @property
    def live(self) -> bool:
        """Asked for or adopted, and not ended."""
        return self.spec is not None and not self.ended


def admit(event: TaskEvent, known: Known, seq: int) -> Wish | None:
    """The wish that an event becomes, numbered `seq`; None when it is so already.

    Raises: UnknownTask, TaskEnded, TaskCompleted, Stopping, SpecChanged, StaleGeneration.
    """
    if known.buried:
        _check_buried(event)
        return None
    if event.wants is State.COMPLETED:
        return _admit_stop(event, known, seq)
    return _admit_run(event, known, seq)


def _check_buried(event: TaskEvent) -> None:
    """A DELETE, which has no ID, is content with an end that is long past."""
    if event.id is not None:
        raise TaskEnded(f"task {event.task_id} has ended and was cleaned away; use a new ID")


def _admit_stop(event: TaskEvent, known: Known, seq: int) -> Wish | None:
    if known.spec is None:
        raise UnknownTask(f"there is no task {event.task_id}")
    if event.generation:  # 0: not given, any generation is meant
        _check_generation(event, known)
    if known.ended or (known.wish is not None and known.wish.stops):
        return None
    return Wish(
        seq=seq,
        task_id=event.task_id,
        wants=State.COMPLETED,
        spec=known.spec,
        generation=max(event.generation, known.generation),
    )


def _admit_run(event: TaskEvent, known: Known, seq: int) -> Wish | None:
    assert event.spec is not None, "the decoder gives every run event a spec"
    _check_generation(event, known)
    newer = event.generation > known.generation
    if known.ended:
        _check_may_run_again(known, newer=newer)
    elif known.live:
        _check_live(event, known)
        if not newer:
            return None
    return Wish(
        seq=seq,
        task_id=event.task_id,
        wants=State.RUNNING,
        spec=event.spec,
        generation=event.generation,
    )


def _check_generation(event: TaskEvent, known: Known) -> None:
    if event.generation < known.generation:
        raise StaleGeneration(
            f"task {event.task_id} is at Generation {known.generation}, not {event.generation}"
        )


def _check_may_run_again(known: Known, *, newer: bool) -> None:
    if known.task is not None and known.task.state is State.COMPLETED and not newer:
        raise TaskCompleted(f"task {known.task.id} is COMPLETED, which is final; use a new ID")


def _check_live(event: TaskEvent, known: Known) -> None:
    if known.wish is not None and known.wish.stops:
        raise Stopping(f"task {event.task_id} is being stopped, which cannot be taken back")
    if event.spec != known.spec:
        raise SpecChanged(
            f"task {event.task_id} is live with another spec; stop it, or use a new ID"
        )


def shown(known: Known) -> Task | None:
    """The Task as its sender sees it: PENDING from the moment its wish is recorded."""
    if known.wish is None or (known.task is not None and known.ended):
        return known.task
    if known.task is None or known.task.state.ended:
        return new_task(known.wish)
    return known.task.but(generation=known.generation)
