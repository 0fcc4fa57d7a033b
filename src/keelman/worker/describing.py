"""The worker's description of itself for `GET /worker`: from its options, Db, engine and machine.

It answers when the engine does not: then the version is left out, and the trouble told.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib import metadata

from keelman import machine
from keelman.description import EngineReport, WorkerReport
from keelman.errors import EngineError
from keelman.seen import NEVER_SECONDS
from keelman.worker import stats
from keelman.worker.worker import Worker

ENGINE_SECONDS = 5.0


async def describe(worker: Worker) -> WorkerReport:
    """The worker, now. Raises: CannotRecord when the Db cannot be read."""
    limits, allocated = worker.limits, machine.total(worker.db.asked())
    silence = worker.heard.silence
    return WorkerReport(
        name=worker.db.owner() or "",
        version=metadata.version("keelman"),
        since=datetime.fromtimestamp(worker.began, UTC),
        engine=EngineReport(
            id=worker.db.engine_id(),
            version=await _version(worker),
            trouble=worker.engine_trouble,
        ),
        allowed=limits.allowed,
        default_pids_limit=limits.pids_usual,
        start_slots=limits.start_slots,
        keep_ended_seconds=limits.keep_ended_seconds,
        keep_ended_tasks=limits.keep_ended_tasks,
        machine=await asyncio.to_thread(stats.whole, worker.directory),
        capacity=limits.capacity,
        allocated=allocated,
        left=limits.capacity.less(allocated),
        moment=worker.heard.moment,
        silence=None if silence == NEVER_SECONDS else silence,
    )


async def _version(worker: Worker) -> str:
    """Whoever asks does not wait for as long as a lane would."""
    if worker.engine_trouble:
        return ""
    try:
        async with asyncio.timeout(ENGINE_SECONDS):
            return await worker.runtime.version()
    except (EngineError, TimeoutError):
        return ""
