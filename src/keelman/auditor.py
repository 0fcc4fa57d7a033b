"""The auditor: has a line of the audit log written for each request that it is about.

The line is in the kernel's hands before its answer leaves, so that no answered wish is without one,
also after `kill -9`. It has no say: what cannot be written is lost, told and counted, and requests
are answered all the same, since a stop must get through when the disk is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog
from aiohttp import web

from keelman import audit_log
from keelman.api import CALLER, CODE, STRANGER, Answering
from keelman.audit_log import GONE, Answered, Asked, Subject
from keelman.rotating import RotatingFile

log = structlog.get_logger(__name__)

SUBJECT = web.RequestKey("subject", Subject)  # of a request: what it is about

FILE_NAME = "audit.jsonl"
REFUSED_NAME = "audit-refused.jsonl"
FILE_MOST_BYTES = 16 * 1024 * 1024
FILES = 8
REFUSED_FILES = 2


class Auditor:
    """Writes the audit log in a data directory, under a worker's name.

    `reads` has it write requests that change nothing, too. `lost` is told of each line that was not
    written. Who is turned away at the door is in a file of his own: nobody can push out the lines
    of those who were let in without being let in himself.
    """

    def __init__(
        self,
        directory: Path,
        worker: str,
        clock: Callable[[], float],
        lost: Callable[[], None],
        *,
        reads: bool,
    ) -> None:
        self._worker, self._clock, self._count, self._reads = worker, clock, lost, reads
        self._lines = RotatingFile(directory / FILE_NAME, most_bytes=FILE_MOST_BYTES, files=FILES)
        self._refused = RotatingFile(
            directory / REFUSED_NAME, most_bytes=FILE_MOST_BYTES, files=REFUSED_FILES
        )
        self._lost = 0

    @web.middleware
    async def audit(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        """Have the request answered, and write down what came of it."""
        began, peer = self._clock(), _peer(request)
        try:
            response = await handler(request)
        except asyncio.CancelledError:  # what it asked for may be done all the same
            self._write(request, began, peer, Answered(status=None, code=GONE))
            raise
        answered = Answered(status=response.status, code=response.get(CODE, ""))
        self._write(request, began, peer, answered)
        return response

    def close(self) -> None:
        """Let go of the files."""
        self._lines.close()
        self._refused.close()

    def _write(self, request: web.Request, began: float, peer: str, answered: Answered) -> None:
        """That it cannot be written is said once."""
        try:
            self._append(request, began, peer, answered)
        except Exception as error:  # noqa: BLE001  # the answer is worth more than its line
            self._count()
            if not self._lost:
                log.warning("audit log not written", error=str(error))
            self._lost += 1

    def _append(self, request: web.Request, began: float, peer: str, answered: Answered) -> None:
        """Raises: OSError."""
        asked = Asked(
            at=began,
            caller=request.get(CALLER, ""),
            peer=peer,
            method=request.method,
            path=request.rel_url.raw_path,
            dry_run=request.query.get("dry_run", "0") not in ("0", "false"),
        )
        stranger = request.get(STRANGER, False)
        if not (answered.at_the_door if stranger else asked.changes or self._reads):
            return
        about = request.get(SUBJECT, Subject())
        line = audit_log.entry(self._worker, asked, about, answered, self._clock())
        file = self._refused if stranger else self._lines
        file.append(audit_log.encode(line))
        if self._lost:
            log.info("audit log written again", lost=self._lost)
        self._lost = 0


def _peer(request: web.Request) -> str:
    """Address and port; a client that is gone already has none."""
    found = request.get_extra_info("peername")
    return f"{found[0]}:{found[1]}" if isinstance(found, tuple) else ""
