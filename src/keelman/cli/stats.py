"""`keelman stats`: the worker's machine, and what its tasks asked of it."""

from __future__ import annotations

import msgspec
from rich.table import Table

from keelman.cli import show
from keelman.cli.asking import DEFAULT_ADDRESS, Address, Json
from keelman.machine import Resources, Stats
from keelman.words import size

_KB = 1024


async def stats(*, json: Json = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """Show the worker's machine: what it has, what is in use, what its live tasks asked for."""
    async with addr.client() as client:
        told = await client.stats()
    if json:
        show.json(msgspec.to_builtins(told))
    else:
        show.put(table(told))
        show.put(f"{told.task_count} live {'task' if told.task_count == 1 else 'tasks'}")


def table(told: Stats) -> Table:
    """What tasks may ask for of each; LEFT is what no live task has asked for."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("")
    for head in ("FOR TASKS", "IN USE", "ASKED FOR", "LEFT"):
        shown.add_column(head, justify="right")
    has, asked, left = map(cells, (told.capacity, told.asked, told.left))
    for name, used, *numbers in zip(NAMES, _in_use(told), has, asked, left, strict=True):
        shown.add_row(name, numbers[0], used, *numbers[1:])
    return shown


NAMES = ("cores", "memory", "disk")


def cells(resources: Resources) -> tuple[str, str, str]:
    """Of each of NAMES, so much."""
    return f"{resources.cpu:g}", size(resources.memory), size(resources.disk)


def _in_use(told: Stats) -> tuple[str, str, str]:
    """The load is what the cores are asked for by all that runs, whoever started it."""
    free = told.mem_stats.get("mem_available", told.mem_stats.get("mem_free", 0))
    used = (told.mem_stats.get("mem_total", 0) - free) * _KB
    return f"load {told.load_stats.last1min:.2f}", size(used), size(told.disk_stats.used)
