"""`keelman ps` and `keelman inspect`: what is, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from keelman.cli import page, show
from keelman.cli.asking import DEFAULT_ADDRESS, Address, Json, TaskWord, flag, task_id

_All = Annotated[bool, flag("Those that have ended, too.", "--all", "-a")]


async def ps(*, every: _All = False, json: Json = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """List the tasks that have not ended."""
    async with addr.client() as client:
        tasks = [task for task in await client.tasks() if every or not task.state.ended]
    if json:
        show.json([show.plain(task) for task in tasks])
    else:
        show.put(show.task_table(tasks, datetime.now(UTC)))


async def inspect(
    task: TaskWord, /, *, json: Json = False, addr: Address = DEFAULT_ADDRESS
) -> None:
    """Show one task: what was asked for, what became of it, its history, how to get in."""
    async with addr.client() as client:
        found = await task_id(client, task)
        report = await client.task(found)
        moves = [] if json else await client.transitions(found)
    if json:
        show.json(show.plain(report))
    else:
        show.put(page.task_page(report, moves, datetime.now(UTC)))
