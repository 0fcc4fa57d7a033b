"""`keelman run`: sends a task, and follows it to its end when asked to."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec
from cyclopts import Parameter

from keelman.cli import show
from keelman.cli.asking import DEFAULT_ADDRESS, Address, flag
from keelman.cli.failures import FAILED, Usage, complain
from keelman.cli.pull_bar import show_pull
from keelman.cli.wanted import Wanted, merged, task_fields
from keelman.client import Client, ClientError, Unreachable
from keelman.task import State
from keelman.wire import DryRunReport, TaskReport
from keelman.words import headline

_File = Annotated[
    Path | None,
    Parameter(
        name=("--file", "-f"),
        allow_leading_hyphen=True,
        help="A Task or TaskEvent in JSON; - is standard input.",
    ),
]
_Wait = Annotated[bool, flag("End with the task, with its exit code.")]
_Follow = Annotated[bool, flag("The same, and show what it writes.")]
_DryRun = Annotated[bool, flag("Only tell what would come of it; 1 when it would be refused.")]
_NOTHING_MORE = Wanted()
_GONE = 410
_WAIT_SECONDS = 60.0
RETRY_SECONDS = 1.0
LOST_MOST = 30


async def run(
    image: str | None = None,
    /,
    *command: str,
    file: _File = None,
    wait: _Wait = False,
    follow: _Follow = False,
    dry_run: _DryRun = False,
    addr: Address = DEFAULT_ADDRESS,
    wanted: Annotated[Wanted, Parameter(name="*")] = _NOTHING_MORE,
) -> int:
    """Run a container. Prints the task's ID.

    What follows IMAGE is the command, options and all: keelman run IMAGE sh -c 'exit 3'.
    Options of `run` stand before IMAGE, and win over what the file says.
    """
    event = _event(file, task_fields(wanted, image, command, os.environ))
    async with addr.client() as client:
        if dry_run:
            return _told(await client.dry_run(event))
        report = await client.send(event)
        sys.stdout.write("" if follow else f"{report.id}\n")
        sys.stdout.flush()
        if wait or follow:
            await show_pull(client, report.id)
        if follow:
            await _show_logs(client, report.id)
        if not wait and not follow:
            return 0
        report = await ended(client, report.id)
        return outcome(report, headline(report.message) if follow else report.message)


def _told(report: DryRunReport) -> int:
    """The engine's create body, and an objection a line on stderr."""
    show.json(report.create)
    for objection in report.objections:
        complain(f"{objection.code}: {objection.message}", FAILED)
    return FAILED if report.objections else 0


def _event(file: Path | None, fields: dict[str, object]) -> dict[str, object]:
    """The TaskEvent to send, with new IDs where the file gives none."""
    given = _read(file) if file else {}
    event = given if "Task" in given else {"Task": given}
    task = event["Task"]
    if not isinstance(task, dict):
        raise Usage(f"{file}: Task must be a JSON object")
    task = merged({"ID": str(uuid4()), **task}, fields)
    if "Image" not in task:
        raise Usage("an IMAGE is missing: keelman run IMAGE [COMMAND...]")
    return {"ID": str(uuid4()), "State": State.RUNNING, **event, "Task": task}


def _read(file: Path) -> dict[str, object]:
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return msgspec.json.decode(text, type=dict[str, object])
    except OSError as error:
        raise Usage(f"--file: {error.strerror}: {file}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Usage(f"--file: {file} is no JSON object: {error}") from error


async def ended(client: Client, task_id: str) -> TaskReport:
    """The task once it has ended, however long that takes; a worker that restarts is waited for."""
    lost = 0
    while True:
        try:
            report = await client.task(task_id, wait="ended", timeout_seconds=_WAIT_SECONDS)
        except Unreachable:
            lost += 1
            if lost > LOST_MOST:
                raise
            await asyncio.sleep(RETRY_SECONDS)
            continue
        if report.state.ended:
            return report
        lost = 0


async def _show_logs(client: Client, task_id: str) -> None:
    """What it writes, until it has ended; one that never had a container wrote nothing."""
    try:
        async with aclosing(client.logs(task_id, follow=True)) as pieces:
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    except ClientError as error:
        if error.status != _GONE:
            raise


def outcome(report: TaskReport, words: str) -> int:
    """The task's own exit code; one that did not end well is told of on stderr, in `words`."""
    status = FAILED if report.exit_code is None else report.exit_code
    if report.state is not State.FAILED and report.exit_code is not None:
        return status
    first, _, more = show.clean(words).partition("\n")
    complain(f"task {report.id} {report.state.name}: {first}", status)
    sys.stderr.write(f"{more}\n" if more else "")
    return status
