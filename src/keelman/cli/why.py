"""`keelman why`: what a task waits for, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from keelman.cli import show
from keelman.cli.asking import DEFAULT_ADDRESS, Address, Json, TaskWord, task_id
from keelman.explanation import Explanation
from keelman.words import about


async def why(task: TaskWord, /, *, json: Json = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """Tell why a task is where it is: what it waits for, and what comes next."""
    async with addr.client() as client:
        told = await client.why(await task_id(client, task))
    if json:
        show.json(told)
    else:
        show.put(why_page(told, datetime.now(UTC)))


def why_page(told: Explanation, now: datetime) -> Group:
    """The sentence first, then its parts; what there is nothing of is left out."""
    name = show.clean(told.name) or told.id[: show.SHORT_ID]
    title = Text.assemble((name, "bold"), "  ", (told.state.name, show.COLOURS[told.state]))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for part, words in _parts(told, now):
        if words:
            table.add_row(f"  {part}", Text(show.clean(words)))
    return Group(title, Text(f"  {show.clean(told.summary)}"), Text(), table)


def _parts(told: Explanation, now: datetime) -> Iterator[tuple[str, str]]:
    yield "Because", told.because
    yield "Blocked", f"{told.blocked.by}: {told.blocked.message}" if told.blocked.by else ""
    yield "Next", told.next
    yield "At", "" if told.at is None else _when(told.at, now)
    yield "Wish", "none" if told.wish is None else f"{told.wish.wants}, number {told.wish.seq}"
    yield "Seen", told.seen


def _when(at: datetime, now: datetime) -> str:
    """The worker's clock may be another: what is a little past is now."""
    left = (at - now).total_seconds()
    away = f"in {about(left)}" if left >= 1 else "now"
    return f"{at:%Y-%m-%dT%H:%M:%SZ}, {away}"
