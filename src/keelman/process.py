"""What a worker and a manager have in common as processes: from their first step to their last."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar

import structlog

from keelman import data_dir, descriptors, own_log
from keelman.api import Api
from keelman.door import Door
from keelman.events import Events
from keelman.metrics import Metrics
from keelman.store import Store

log = structlog.get_logger(__name__)

K = TypeVar("K")
LogFormat = Literal["auto", "console", "json"]


def begin(log_format: LogFormat, overridden: Iterable[str]) -> None:
    """Before anything else; `overridden` are options of the file that the environment wins over."""
    own_log.configure(log_format)
    for words in overridden:
        log.warning("the environment wins over the file", what=words)
    descriptors.raise_most()


def open_store(directory: Path, new_id: Callable[[], str], metrics: Metrics) -> Store:
    """The open database, and what was met in opening it, told. Raises: CannotStart."""
    store = Store(directory, new_id, metrics.committed)
    data_dir.close_to_others(directory)
    if store.set_aside is not None:
        log.error("broken database set aside", kept_as=str(store.set_aside))
    if store.new_log:
        log.warning("the log has a new id", why=store.new_log)
    return store


def bind(api: Api[K], door: Door) -> None:
    """Take the address, if the door may stand there. Raises: CannotStart."""
    api.bind()
    door.check(api.address, on_loopback=api.on_loopback)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, door.reload)


def on_signals() -> asyncio.Event:
    """Set when the process is told to stop."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


@asynccontextmanager
async def answering(api: Api[K], events: Events) -> AsyncIterator[None]:
    """Connections are taken; in the end, whatever it is, who listens is let go of."""
    try:
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(api.take(), name="connections")
            yield
            taking.cancel()
    finally:
        events.close()
        await api.stop()
