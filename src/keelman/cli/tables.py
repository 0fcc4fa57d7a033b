"""`keelman ps` and `keelman inspect`: what is, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from keelman.cli import page, show, worker_page
from keelman.cli.asking import DEFAULT_ADDRESS, Address, Json, TaskWord, flag, task_id
from keelman.cli.failures import Usage
from keelman.description import WorkerReport

_All = Annotated[bool, flag("Those that have ended, too.", "--all", "-a")]
_Worker = Annotated[
    bool, flag("The worker itself: what tasks may ask of it, what it has.", "--worker")
]


async def ps(*, every: _All = False, json: Json = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """List the tasks that have not ended."""
    async with addr.client() as client:
        tasks = [task for task in await client.tasks() if every or not task.state.ended]
    if json:
        show.json([show.plain(task) for task in tasks])
    else:
        show.put(show.task_table(tasks, datetime.now(UTC)))


async def inspect(
    task: TaskWord | None = None,
    /,
    *,
    worker: _Worker = False,
    json: Json = False,
    addr: Address = DEFAULT_ADDRESS,
) -> None:
    """Show one task: what was asked for, what became of it, its history, how to get in."""
    if worker == (task is not None):
        raise Usage("inspect shows a task by its ID, or the worker itself with --worker")
    async with addr.client() as client:
        if task is None:
            return _put_worker(await client.worker(), json=json)
        found = await task_id(client, task)
        report = await client.task(found)
        moves = [] if json else await client.transitions(found)
    if json:
        show.json(show.plain(report))
    else:
        show.put(page.task_page(report, moves, datetime.now(UTC)))
    return None


def _put_worker(report: WorkerReport, *, json: bool) -> None:
    if json:
        show.json(report)
    else:
        show.put(worker_page.worker_page(report, datetime.now(UTC)))
