"""What the commands that ask a worker have in common: its address, `--json`, and naming a task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from cyclopts.completion import CompletionContext

from keelman.cli import show
from keelman.cli.failures import NoSuchTask, Usage
from keelman.client import Client
from keelman.wire import TaskReport

DEFAULT_ADDRESS = "http://127.0.0.1:5556"
SUGGESTED_SECONDS = 2.0  # longer nobody waits for a word to be completed


def flag(words: str, *names: str) -> Parameter:
    """An option without a value."""
    return Parameter(name=names or None, help=words, negative=(), show_default=False)


async def _tasks(address: str) -> list[TaskReport]:
    async with asyncio.timeout(SUGGESTED_SECONDS), Client(address) as client:
        return await client.tasks()


def suggested(context: CompletionContext) -> dict[str, str]:
    """What the shell may offer for a task: its Name or the start of its ID, with its state."""
    tasks = asyncio.run(_tasks(context["--addr"].value))
    length = show.short_length(task.id for task in tasks)
    return {
        show.clean(task.name) or task.id[:length]: f"{task.state.name} {show.clean(task.image)}"
        for task in sorted(tasks, key=lambda task: task.state.ended)
    }


Address = Annotated[
    str,
    Parameter(name="--addr", env_var="KEELMAN_ADDR", help="The worker to ask."),
]
Json = Annotated[bool, flag("JSON, for programs.", "--json")]
TaskWord = Annotated[
    str,
    Parameter(name="ID", help="A task's ID, the start of one, or a Name.", completer=suggested),
]


async def task_id(client: Client, word: str) -> str:
    """The ID of the task meant by `word`.

    Raises: NoSuchTask, Usage when several are meant.
    """
    try:
        return str(UUID(word))
    except ValueError:
        return pick(await client.tasks(), word).id


def pick(tasks: Iterable[TaskReport], word: str) -> TaskReport:
    """The one task that goes by `word`: a Name (live ones first, then the newest), or a start."""
    if not word:
        raise Usage("a task is named by its ID or its Name, not by an empty word")
    known = list(tasks)
    named = [task for task in known if task.name == word]
    living = [task for task in named if not task.state.ended]
    starting = [task for task in known if task.id.startswith(word.lower())]
    found = living or named[-1:] or starting
    if not found:
        raise NoSuchTask(f"no such task: {word}")
    if len(found) > 1:
        ids = ", ".join(task.id for task in found[:5]) + (" …" if len(found) > 5 else "")
        raise Usage(f"{word!r} may mean {len(found)} tasks: {ids}")
    return found[0]
