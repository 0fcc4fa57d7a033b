"""A data directory as a worker leaves it that has carried so many tasks through."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

from keelman.db import Db
from keelman.queue import Queue
from keelman.store import Store
from keelman.task import State, Task, TaskEvent, Transition, new_task
from keelman.wire import read_event

AT_ONCE = 500
BODY = """{"ID": "%s", "State": 2, "Task": {"ID": "%s", "Name": "bench-%d", "Init": true,
"Image": "keelman/busybox:1", "Command": ["sleep", "1000"], "Env": {"A": "1"}, "Memory": 67108864,
"Labels": {"team": "bench"}, "RestartPolicy": "on-failure:3"}}"""
WAY = (State.SCHEDULED, State.RUNNING, State.COMPLETED)


async def fill(directory: Path, count: int, now: float) -> None:
    """Through the same doors as a worker's handlers and lanes, task by task."""
    store = Store(directory, lambda: str(uuid.uuid4()))
    try:
        await fill_store(store, count, now)
    finally:
        store.close()


async def fill_store(store: Store, count: int, now: float) -> None:
    queue, db = Queue(store), Db(store)
    for first in range(0, count, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, count))
        await asyncio.gather(*(_carried(queue, db, number, now) for number in numbers))


async def _carried(queue: Queue, db: Db, number: int, now: float) -> None:
    admitted = await queue.put(an_event(number), now)
    assert admitted.wish is not None
    before = new_task(admitted.wish)
    for task, move in way(before, admitted.wish.seq, now):
        await db.put(task, move)


def an_event(number: int) -> TaskEvent:
    return read_event((BODY % (uuid.uuid4(), uuid.uuid4(), number)).encode())


def way(task: Task, wish: int, now: float) -> Iterator[tuple[Task, Transition]]:
    """A task that ran and ended well, step by step."""
    container = uuid.uuid4().hex * 2
    for state in WAY:
        times = {"start_time": now} if state is State.RUNNING else {}
        times |= {"finish_time": now} if state is State.COMPLETED else {}
        after = task.to(state, wish=wish, attempt=1, started=1, container_id=container, **times)
        yield (
            after,
            Transition(
                task_id=task.id,
                generation=task.generation,
                attempt=1,
                from_=task.state,
                to=state,
                time=now,
                container_id=container,
            ),
        )
        task = after
