"""`keelman logs` and `keelman events`: what is written and what happens, as it comes."""

from __future__ import annotations

import re
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from keelman.cli import show, values
from keelman.cli.asking import DEFAULT_ADDRESS, Address, Json, TaskWord, flag, task_id
from keelman.cli.failures import Usage

_Follow = Annotated[bool, flag("Go on until the task has ended.", "--follow", "-f")]
_Tail = Annotated[
    int | None, Parameter(help="Only the last so many lines.", validator=Number(gte=0))
]
_Since = Annotated[str | None, Parameter(help="Only since then: 10m (ago), or 2026-01-31T08:00Z.")]
_Stream = Annotated[Literal["stdout", "stderr"] | None, Parameter(help="Only one of the two.")]
_Attempt = Annotated[int | None, Parameter(help="An earlier container of the task, from 1.")]
_After = Annotated[str | None, Parameter(help="The id of an event: begin with the one after it.")]


async def logs(
    task: TaskWord,
    /,
    *,
    follow: _Follow = False,
    tail: _Tail = None,
    since: _Since = None,
    stream: _Stream = None,
    attempt: _Attempt = None,
    json: Json = False,
    addr: Address = DEFAULT_ADDRESS,
) -> None:
    """Show what a task wrote. With --json a line of it in each object."""
    begin = values.moment(since, datetime.now(UTC)) if since else None
    async with addr.client() as client:
        found = await task_id(client, task)
        lines = show.LogLines(found) if json else None
        pieces = client.logs(
            found, follow=follow, tail=tail, since=begin, stream=stream, attempt=attempt
        )
        async with aclosing(pieces):
            async for piece in pieces:
                sys.stdout.buffer.write(lines(piece) if lines else piece)
                sys.stdout.buffer.flush()
        sys.stdout.buffer.write(lines.end() if lines else b"")


async def events(
    *, since: _After = None, json: Json = False, addr: Address = DEFAULT_ADDRESS
) -> None:
    """Show every Transition as it happens, until interrupted. With --json an object a line."""
    if since and not re.fullmatch(r"[\w:.-]+", since):
        raise Usage(f"--since: {since!r} is not the id of an event")
    console = show.console()
    async with addr.client() as client, aclosing(client.events(since or "")) as stream:
        async for event_id, move in stream:
            if json:
                text = {"EventID": event_id, **msgspec.to_builtins(move)}
                console.file.write(msgspec.json.encode(text).decode() + "\n")
            else:
                console.print(show.move_line(move))
            console.file.flush()
