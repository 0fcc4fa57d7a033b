"""Why a task is where it is: the worker's own decision on it, made and not carried out.

The task is looked at, `reconcile.step` is asked, and that is all: nothing is recorded, nobody is
woken, probed or adopted for it.
"""

from __future__ import annotations

import asyncio

from keelman import reconcile
from keelman.errors import UnknownTask
from keelman.explanation import Explanation
from keelman.seen import Seen, Unknown
from keelman.situation import Beside, Situation
from keelman.task import Task, Wish, new_task
from keelman.why import explain
from keelman.worker.worker import Worker

LOOK_SECONDS = 5.0
LOOKS_MOST = 3


async def why(worker: Worker, task_id: str) -> Explanation:
    """The task as it would be decided on now, in words. Raises: UnknownTask, CannotRecord."""
    wish, task, seen = await _of_one_moment(worker, task_id)
    now = worker.clock()
    return explain(
        Situation(
            wish=wish,
            task=task,
            seen=seen,
            step=reconcile.step(wish, task, seen, now),
            at=now,
            beside=_beside(worker, task),
        )
    )


async def _of_one_moment(worker: Worker, task_id: str) -> tuple[Wish | None, Task, Seen]:
    """Wish, record and sight, looked at anew when the task's own lane moved it meanwhile."""
    wish, task = _known(worker, task_id)
    seen = await _peek(worker, task)
    for _ in range(LOOKS_MOST - 1):
        if (wish, task) == (known := _known(worker, task_id)):
            break
        wish, task = known
        seen = await _peek(worker, task)
    return wish, task, seen


def _known(worker: Worker, task_id: str) -> tuple[Wish | None, Task]:
    wish, task = worker.queue.get(task_id), worker.db.get(task_id)
    if task is None and wish is not None:
        task = new_task(wish)
    if task is None:
        raise UnknownTask(f"there is no task {task_id}")
    return wish, task


async def _peek(worker: Worker, task: Task) -> Seen:
    """Whoever asks does not wait for as long as a lane would."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await worker.peek(task)
    except TimeoutError:
        return Seen(body=Unknown(why=f"the engine gave no answer within {LOOK_SECONDS:g} s"))


def _beside(worker: Worker, task: Task) -> Beside:
    return Beside(
        slots=worker.limits.start_slots,
        before=worker.slots.before(task.id),
        pull=worker.images.under_way(task.spec.image),
        away_since=worker.engine_since if worker.engine_trouble else None,
        kept_seconds=worker.limits.keep_ended_seconds,
        mishap=worker.mishaps.of(task.id),
        last=worker.db.last_move(task.id),
    )
