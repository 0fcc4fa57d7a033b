"""What the commands that ask a worker have in common: its address, `--json`, and naming a task."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from cyclopts.completion import CompletionContext

from keelman import tls
from keelman.answers import url
from keelman.cli import show
from keelman.cli.failures import NoSuchTask, NotLetIn, Usage
from keelman.client import Client, ClientError
from keelman.errors import CannotStart, Unauthorized
from keelman.manager_client import ManagerClient
from keelman.wire import TaskReport

SUGGESTED_SECONDS = 2.0  # longer nobody waits for a word to be completed


def flag(words: str, *names: str) -> Parameter:
    """An option without a value."""
    return Parameter(name=names or None, help=words, negative=(), show_default=False)


def _option(name: str, words: str) -> Parameter:
    return Parameter(name=f"--{name}", env_var=variable(name), help=words)


def variable(option: str) -> str:
    """The environment's name of an option."""
    return "KEELMAN_" + option.replace("-", "_").upper()


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where the worker is, and what shows it who asks. A token is in a file, never on a line."""

    addr: Annotated[str, _option("addr", "The worker to ask.")] = "http://127.0.0.1:5556"
    token_file: Annotated[Path | None, _option("token-file", "The file with your token.")] = None
    tls_ca: Annotated[
        Path | None, _option("tls-ca", "The CA that the worker's certificate is of.")
    ] = None
    tls_cert: Annotated[Path | None, _option("tls-cert", "Your certificate.")] = None
    tls_key: Annotated[Path | None, _option("tls-key", "Its private key.")] = None

    def client(self) -> ManagerClient:
        """A client of that worker, or manager. Raises: Usage, BadAddress, BadToken."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise Usage("--tls-cert and --tls-key go together")
        https = url(self.addr).scheme == "https"
        try:
            context = tls.caller(self.tls_ca, self.tls_cert, self.tls_key) if https else None
        except CannotStart as error:
            raise Usage(error.message) from error
        return _Asking(self, context)

    @property
    def shown(self) -> str:
        """Why what was shown does not do where it is not let in; "" where nothing was shown."""
        if self.token_file is not None:
            return f"the token in {self.token_file} is none that it lets in, or is no longer one"
        if self.tls_cert is None:
            return ""
        if url(self.addr).scheme != "https":
            return "a certificate is shown over https only, and this address is plain http"
        return "it asks for no certificates, so yours was not shown: set KEELMAN_TOKEN_FILE"


class _Asking(ManagerClient):
    """One who knows what it showed, which the worker does not tell."""

    def __init__(self, where: Where, context: ssl.SSLContext | None) -> None:
        super().__init__(where.addr, token_file=where.token_file, tls=context)
        self._shown = where.shown

    async def __aexit__(self, *ended: object) -> None:
        await super().__aexit__(*ended)
        for error in ended:
            if self._shown and isinstance(error, ClientError) and error.code == Unauthorized.code:
                raise NotLetIn(f"this worker does not let you in: {self._shown}") from error


DEFAULT_ADDRESS = Where()


async def _tasks(where: Where) -> list[TaskReport]:
    async with asyncio.timeout(SUGGESTED_SECONDS), where.client() as client:
        return await client.tasks()


def suggested(context: CompletionContext) -> dict[str, str]:
    """What the shell may offer for a task: its Name or the start of its ID, with its state."""
    options = {field.name: f"--{field.name.replace('_', '-')}" for field in fields(Where)}
    given = {name: context[option].value for name, option in options.items()}
    tasks = asyncio.run(_tasks(Where(**given)))
    length = show.short_length(task.id for task in tasks)
    return {
        show.clean(task.name) or task.id[:length]: f"{task.state.name} {show.clean(task.image)}"
        for task in sorted(tasks, key=lambda task: task.state.ended)
    }


Address = Annotated[Where, Parameter(name="*")]
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
