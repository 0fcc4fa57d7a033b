"""How a worker looks: who it is, what tasks may ask of it, what it has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from keelman.allowed import Allowed
from keelman.cli import page, show, stats
from keelman.description import EngineReport, WorkerReport
from keelman.words import size

_HOUR = 3600


def worker_page(worker: WorkerReport, now: datetime) -> Group:
    """All that a worker says of itself; what is not allowed has the option that would allow it."""
    title = Text.assemble(
        (show.clean(worker.name) or "a worker without a name", "bold"),
        f"  keelman {show.clean(worker.version)} for {show.age(worker.since, now)}",
    )
    return Group(
        title,
        _grid(_itself(worker)),
        *page.section("What tasks may ask for all together"),
        _room(worker),
        *page.section("What tasks may ask for"),
        _grid(_allowed(worker.allowed)),
    )


def _grid(rows: Iterator[tuple[str, str]]) -> Table:
    table = page.grid()
    for name, words in rows:
        table.add_row(f"  {name}", Text(show.clean(words)))
    return table


def _itself(worker: WorkerReport) -> Iterator[tuple[str, str]]:
    yield "Engine", _engine(worker.engine)
    has = worker.machine
    yield (
        "Machine",
        f"{has.cpu:g} cores, {size(has.memory)} memory, {size(has.disk)} disk",
    )
    yield "Start slots", str(worker.start_slots)
    hours = f"{worker.keep_ended_seconds / _HOUR:g} h"
    yield "Ended tasks", f"kept for {hours}, {worker.keep_ended_tasks} of them at most"
    yield "Processes", _processes(worker.default_pids_limit)


def _room(worker: WorkerReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for head in ("CAPACITY", "ALLOCATED", "LEFT"):
        table.add_column(head, justify="right")
    has = map(stats.cells, (worker.capacity, worker.allocated, worker.left))
    for name, *numbers in zip(stats.NAMES, *has, strict=True):
        table.add_row(f"  {name}", *numbers)
    return table


def _engine(engine: EngineReport) -> str:
    version = engine.version or "of an unknown version"
    known = f"{version}, ID {engine.id}" if engine.id else "never met"
    return f"{known}: {engine.trouble}" if engine.trouble else known


def _processes(limit: int) -> str:
    return f"{limit} for a task without a PidsLimit" if limit else "no limit without a PidsLimit"


def _allowed(allowed: Allowed) -> Iterator[tuple[str, str]]:
    yield "Images", "\n".join(allowed.images) or "every one"
    yield "Mounts", _paths(allowed)
    yield "Capabilities", _capabilities(allowed)
    yield "Host network", _yes_or("--allow-host-network", allowed=allowed.host_network)
    yield "Ports below 1024", _yes_or("--allow-low-ports", allowed=allowed.low_ports)


def _paths(allowed: Allowed) -> str:
    return "\n".join(f"{root} and below" for root in allowed.mounts) or "none (--allow-mount)"


def _capabilities(allowed: Allowed) -> str:
    return ", ".join(allowed.capabilities) or "none added (--allow-cap)"


def _yes_or(option: str, *, allowed: bool) -> str:
    return "yes" if allowed else f"no ({option})"
