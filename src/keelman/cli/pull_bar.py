"""A bar for the pull that a task waits for, on a terminal."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn
from rich.progress import Progress as Bars

from keelman.client import Client, Unreachable
from keelman.task import State
from keelman.wire import TaskReport

LOOK_AGAIN_SECONDS = 0.3


async def show_pull(client: Client, task_id: str, console: Console | None = None) -> None:
    """Show how far its pull is until it has one no more; nothing where nobody watches."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        return
    columns = (TextColumn("pulling {task.description}"), BarColumn(), DownloadColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("", total=None, visible=False)
        while (report := await _waiting(client, task_id)) is not None:
            if (pull := report.pull) is not None:
                bars.update(bar, description=report.image, visible=True)
                bars.update(bar, completed=pull.bytes_done, total=pull.bytes_total or None)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _waiting(client: Client, task_id: str) -> TaskReport | None:
    """The task while it has not run yet; a worker that is away is waited for elsewhere."""
    try:
        report = await client.task(task_id)
    except Unreachable:
        return None
    return report if report.state < State.RUNNING and _may_pull(report) else None


def _may_pull(report: TaskReport) -> bool:
    return report.state is State.PENDING or report.pull is not None or report.reason == "pulling"
