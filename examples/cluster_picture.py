"""A cluster as it is now: its nodes, what is placed on each, and what runs there on the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiodocker
from rich.live import Live
from rich.table import Table
from stage import PATIENCE_SECONDS, Unexpected, console

from keelman.manager_client import ManagerClient
from keelman.task import State

LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Row:
    """One node: its status, the tasks that run there as the manager has it, and the containers."""

    status: str
    tasks: tuple[str, ...]
    containers: tuple[str, ...]


Picture = Mapping[str, Row]


@dataclass(frozen=True)
class Observer:
    """Looks at a manager and at the engine. `workers` by node; `names` of the tasks by ID."""

    client: ManagerClient
    workers: Mapping[str, str]
    names: Mapping[str, str]

    async def look(self) -> Picture:
        """The cluster as it is now."""
        tasks = [task for task in await self.client.tasks() if task.state is State.RUNNING]
        statuses = {node.name: node.status for node in await self.client.nodes()}
        async with aiodocker.Docker() as engine:
            return {
                node: Row(
                    statuses.get(node, "not joined"),
                    tuple(sorted(task.name for task in tasks if task.node == node)),
                    await self._containers(engine, worker),
                )
                for node, worker in self.workers.items()
            }

    async def _containers(self, engine: aiodocker.Docker, worker: str) -> tuple[str, ...]:
        """What runs of a worker: the names of its tasks."""
        mine = {"label": [f"keelman.worker={worker}"]}
        found = await engine.containers.list(filters=mine)
        ids = (container["Labels"]["keelman.task"] for container in found)
        return tuple(sorted(self.names.get(task_id, task_id) for task_id in ids))

    async def watch(self, what: str, holds: Callable[[Picture], bool]) -> Picture:
        """Show the cluster until something holds. Raises: Unexpected, when it never does."""
        shown = _Table() if console.is_terminal else _Lines()
        picture = await self.look()
        try:
            with shown:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not holds(picture):  # there is no event for all of it
                        shown.show(picture)
                        await asyncio.sleep(LOOK_SECONDS)
                        picture = await self.look()
                shown.show(picture)
        except TimeoutError as error:
            raise Unexpected(f"{what}: not within {PATIENCE_SECONDS:g} s, but {picture}") from error
        return picture


class _Lines:
    """Where nobody watches: a line for what has changed."""

    def __init__(self) -> None:
        self._known: Picture = {}

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, picture: Picture) -> None:
        for node, row in picture.items():
            if self._known.get(node) != row:
                console.print(f"    {node}  {row.status:<10}{_words(row)}")
        self._known = picture


class _Table:
    """On a terminal: a table that lives."""

    def __init__(self) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        table = Table("NODE", "STATUS", "RUNS, SAYS THE MANAGER", "RUNS, SAYS THE ENGINE")
        for node, row in picture.items():
            status = f"[{_COLOURS.get(row.status, 'white')}]{row.status}[/]"
            table.add_row(node, status, " ".join(row.tasks), " ".join(row.containers))
        self._live.update(table, refresh=True)


_COLOURS = {"ready": "green", "suspect": "yellow", "lost": "red"}


def _words(row: Row) -> str:
    tasks, containers = " ".join(row.tasks) or "nothing", " ".join(row.containers) or "nothing"
    return f"runs {tasks}" if tasks == containers else f"runs {tasks}; on the engine {containers}"
