"""A worker as a process: loop and API together, from options until told to stop.

What could keep it from starting (a taken port, a held data directory) is found before anything is
set in motion. When it goes, its containers stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import metadata
from pathlib import Path

import structlog
from aiohttp.typedefs import Middleware
from msgspec import Struct

from keelman import hiding, process, room, telling
from keelman.allowed import Allowed
from keelman.api import Api
from keelman.auditor import Auditor
from keelman.db import Db
from keelman.door import Credentials, Door
from keelman.errors import CannotRecord, CannotStart
from keelman.files import lock_file
from keelman.flight import Began
from keelman.invitation import Link
from keelman.machine import Resources
from keelman.metrics import Metrics
from keelman.process import LogFormat
from keelman.room import Offered
from keelman.runtime import guards
from keelman.runtime.docker import DockerRuntime
from keelman.runtime.measured import MeasuredRuntime
from keelman.worker import heard, joining, stats
from keelman.worker.handlers import ROUTES
from keelman.worker.heard import Boot, Heard
from keelman.worker.limits import Limits
from keelman.worker.recorder import FlightFile
from keelman.worker.watch import Watch
from keelman.worker.worker import Worker

log = structlog.get_logger(__name__)

LOCK_PLACES = (Path("/run/lock"), Path("/tmp"))  # noqa: S108  # a lock, opened as it is, and no data
FIRST_CONTACT_SECONDS = 5.0


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """All that `keelman worker` can be told."""

    name: str
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 5556
    docker_host: str | None = None
    docker_certs: Path | None = None
    docker_config: Path | None = None
    credentials: Credentials = Credentials()
    join: Link | None = None
    allowed: Allowed = Allowed()
    offered: Offered = Offered()
    pids_usual: int = guards.PIDS_USUAL
    start_slots: int = 4
    keep_ended_hours: float = 24.0
    keep_ended_tasks: int = 1000
    show_env: bool = False
    audit_reads: bool = False
    log_format: LogFormat = "auto"
    overridden: tuple[str, ...] = ()

    def check(self) -> None:
        """What only makes sense together is there together. Raises: CannotStart."""
        if self.join is None:
            self.credentials.check()
        else:
            joining.check(self.join, self.port, self.credentials)

    def limits_on(self, machine: Resources) -> Limits:
        """What tasks may have, and how long they are kept."""
        return Limits(
            capacity=room.capacity(self.offered, machine),
            start_slots=self.start_slots,
            allowed=self.allowed,
            pids_usual=self.pids_usual,
            keep_ended_seconds=self.keep_ended_hours * 3600,
            keep_ended_tasks=self.keep_ended_tasks,
            show=bytes if self.show_env else hiding.report,
        )


async def serve(
    options: WorkerOptions, *, clock: Callable[[], float], new_id: Callable[[], str], boot: Boot
) -> None:
    """Run a worker until SIGINT or SIGTERM.

    `clock` gives seconds since the epoch and never jumps; `new_id` a new id at every call; `boot`
    is this run of the machine. Raises: CannotStart.
    """
    process.begin(options.log_format, options.overridden)
    _check_name(options.name)
    engine = _engine(options)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(engine.close)
        metrics = Metrics(clock)
        store = process.open_store(options.data_dir, new_id, metrics)
        undo.callback(store.close)
        await _own(Db(store), options.name)
        door = Door(await _credentials(options), clock, metrics.expiring)
        recorder = FlightFile(options.data_dir, lambda: _began(options, clock))
        undo.callback(recorder.close)
        worker = Worker(
            store=store,
            runtime=MeasuredRuntime(engine, clock, metrics.called),
            clock=clock,
            limits=options.limits_on(stats.whole(options.data_dir)),
            metrics=metrics,
            recorder=recorder,
            heard=Heard(boot, options.data_dir / heard.FILE_NAME),
        )
        auditor = _auditor(options, clock, metrics)
        undo.callback(auditor.close)
        around = (metrics.measure, auditor.audit)
        api = _api(options, worker, around, door)
        process.bind(api, door)
        await _run(worker, api, door, options)


def _api(
    options: WorkerOptions, worker: Worker, around: tuple[Middleware, ...], door: Door
) -> Api[Worker]:
    where = (options.host, options.port)
    return Api(*where, worker, ROUTES, around=around, door=door, heard=worker.heard)


async def _credentials(options: WorkerOptions) -> Credentials:
    """Those that were given, or those that it gets by joining. Raises: CannotStart."""
    if options.join is None:
        return options.credentials
    return await joining.joined(
        options.join, options.name, options.port, options.data_dir, options.credentials
    )


def _engine(options: WorkerOptions) -> DockerRuntime:
    """Raises: CannotStart."""
    return DockerRuntime(
        options.name,
        options.docker_host,
        tls=engine_tls(options.docker_certs) if options.docker_certs else None,
        config=options.docker_config,
        pids_usual=options.pids_usual,
    )


def _auditor(options: WorkerOptions, clock: Callable[[], float], metrics: Metrics) -> Auditor:
    return Auditor(
        options.data_dir, options.name, clock, metrics.unaudited, reads=options.audit_reads
    )


def _began(options: WorkerOptions, clock: Callable[[], float]) -> Began:
    return Began(version=metadata.version("keelman"), worker=options.name, at=clock())


def engine_tls(certs: Path) -> ssl.SSLContext:
    """What Docker's own client makes of DOCKER_CERT_PATH. Raises: CannotStart."""
    try:
        context = ssl.create_default_context(cafile=certs / "ca.pem")
        context.load_cert_chain(certs / "cert.pem", certs / "key.pem")
    except OSError as error:
        words = f"{certs} must hold ca.pem, cert.pem and key.pem for the engine: {error}"
        raise CannotStart(words) from error
    return context


def _check_name(name: str) -> None:
    """It becomes part of container names. Raises: CannotStart."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
        raise CannotStart(f"the worker's name {name!r} must be letters, digits, _ . - (at most 63)")


async def _own(db: Db, name: str) -> None:
    """Under another name all its containers would look vanished. Raises: CannotStart."""
    if (owner := db.owner()) not in (None, name):
        raise CannotStart(f"this data directory is of the worker {owner}, not of {name}")
    await db.set_owner(name)


async def _run(worker: Worker, api: Api[Worker], door: Door, options: WorkerOptions) -> None:
    """All loops in one group: one that dies takes the rest down, and its error comes out."""
    told_to_stop = process.on_signals()
    watch = Watch(worker, options.name, lambda engine_id: _lock_name(options.name, engine_id))
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(loop(), name=loop.__name__) for loop in watch.loops]
            await _answer_until(told_to_stop, worker, api, door, watch)
            for task in running:
                task.cancel()
    except ExceptionGroup as errors:
        for error in errors.exceptions:
            if isinstance(error, CannotStart):
                raise error from None
        raise


async def _answer_until(
    told_to_stop: asyncio.Event, worker: Worker, api: Api[Worker], door: Door, watch: Watch
) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_CONTACT_SECONDS):
            await watch.contacted.wait()
    with contextlib.suppress(CannotRecord):
        telling.room(worker.db.asked(), worker.limits.capacity)
    await api.start()
    log.info("listening", address=api.url, engine=worker.engine_trouble, **door.told)
    async with process.answering(api, worker.events):
        await told_to_stop.wait()
        log.info("stopping; containers go on running")


def _lock_name(name: str, engine_id: str) -> None:
    """Hold a worker's name on an engine until the process ends. Raises: CannotStart."""
    file = f"keelman-{hashlib.sha256(f'{engine_id}/{name}'.encode()).hexdigest()[:16]}.lock"
    places = [place for place in LOCK_PLACES if os.access(place, os.W_OK)]
    if not places:
        raise CannotStart(f"no lock can be made in {' or '.join(map(str, LOCK_PLACES))}")
    path = places[0] / file
    try:
        lock_file(path)
    except BlockingIOError as error:
        words = f"another worker named {name} is at work on this engine ({path})"
        raise CannotStart(words) from error
    except OSError as error:
        raise CannotStart(f"the lock {path} cannot be used: {error.strerror}") from error
