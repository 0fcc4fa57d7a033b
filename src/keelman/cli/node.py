"""`keelman node`: the nodes of a manager."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group
from rich.table import Table
from rich.text import Text

from keelman import words
from keelman.answers import is_loopback, url
from keelman.cert_names import EVERY_ADDRESS
from keelman.cli import page, show
from keelman.cli.asking import DEFAULT_ADDRESS, Address, Json, flag
from keelman.cli.failures import Usage
from keelman.invitation import LONGEST_SECONDS, USUAL_SECONDS, Link, read_token
from keelman.machine import Resources
from keelman.node_report import NodeReport

_Name = Annotated[str, Parameter(name="NAME", help="The node's name.")]
_Url = Annotated[str, Parameter(name="URL", help="Where its worker is.")]
_Labels = Annotated[
    list[str] | None,
    Parameter(name="--label", help="A label, as KEY=VALUE. Repeatable.", negative=()),
]
_Force = Annotated[
    bool,
    flag("Also with tasks on it: they are placed elsewhere, what runs there is forgotten."),
]
_Invited = Annotated[
    str, Parameter(name="NAME", help="The node's name. Without it, that of whichever worker comes.")
]
_Host = Annotated[
    str,
    Parameter(name="--host", help="Where the manager reaches it. Usually where it asks from."),
]
_Minutes = Annotated[
    int,
    Parameter(
        name="--minutes",
        help="How long it is good.",
        validator=Number(gte=1, lte=LONGEST_SECONDS // 60),
    ),
]
_Manager = Annotated[
    str | None,
    Parameter(name="--manager", help="The manager's URL, as the new machine reaches it."),
]
_COLUMNS = ("NAME", "STATUS", "USE", "TASKS", "CPU LEFT", "MEMORY LEFT", "LABELS", "URL")


async def add(
    name: _Name,
    url: _Url,
    /,
    *,
    label: _Labels = None,
    addr: Address = DEFAULT_ADDRESS,
) -> None:
    """Let a worker join as a node."""
    labels = dict(_label(text) for text in label or ())
    async with addr.client() as client:
        await client.add_node(name, url, labels=labels)
    sys.stdout.write(f"{name}\n")


async def invite(
    name: _Invited = "",
    /,
    *,
    host: _Host = "",
    label: _Labels = None,
    minutes: _Minutes = USUAL_SECONDS // 60,
    manager: _Manager = None,
    addr: Address = DEFAULT_ADDRESS,
) -> None:
    """Print the command by which a new machine's worker joins."""
    labels = dict(_label(text) for text in label or ())
    seen = url(manager or addr.addr)
    async with addr.client() as client:
        told = await client.invite_node(name, host=host, labels=labels, seconds=minutes * 60)
    sys.stdout.write(joining_line(name, Link(str(seen), read_token(told.token))) + "\n")
    until = f"{told.until:%Y-%m-%dT%H:%MZ}"
    sys.stderr.write(f"run it on the new machine; it is good for one worker, until {until}\n")
    if is_loopback(seen):
        words_on_reach = "as written, it is for this machine only: for another one, name where it"
        sys.stderr.write(f"{words_on_reach} reaches the manager with --manager\n")


def joining_line(name: str, link: Link) -> str:
    """What is run on the new machine, as a shell takes it."""
    words = ["keelman", "worker", *(("--name", name) if name else ())]
    if not is_loopback(url(link.manager)):
        words += ["--host", EVERY_ADDRESS[0]]
    return shlex.join([*words, "--join", link.text])


async def ls(*, json: Json = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """List the nodes."""
    async with addr.client() as client:
        nodes = await client.nodes()
    if json:
        show.json(nodes)
    else:
        show.put(node_table(nodes))


async def inspect(name: _Name, /, *, json: Json = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """Show one node: how it is, what it has, what is on it."""
    async with addr.client() as client:
        node = await client.node(name)
    if json:
        show.json(node)
    else:
        show.put(node_page(node, datetime.now(UTC)))


async def cordon(name: _Name, /, *, addr: Address = DEFAULT_ADDRESS) -> None:
    """Place nothing more on a node; what is there stays."""
    async with addr.client() as client:
        await client.use_node(name, "cordon")


async def uncordon(name: _Name, /, *, addr: Address = DEFAULT_ADDRESS) -> None:
    """Place tasks on a node again."""
    async with addr.client() as client:
        await client.use_node(name, "uncordon")


async def drain(name: _Name, /, *, addr: Address = DEFAULT_ADDRESS) -> None:
    """Move a node's tasks elsewhere, one by one. Returns at once; `node inspect` tells how far."""
    async with addr.client() as client:
        await client.use_node(name, "drain")


async def rm(name: _Name, /, *, force: _Force = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """Let a node go."""
    async with addr.client() as client:
        await client.remove_node(name, force=force)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Usage(f"--label: {text!r} is not KEY=VALUE")
    return key, value


def node_table(nodes: Iterable[NodeReport]) -> Table:
    """Nodes, one a line."""
    table = Table(box=None, pad_edge=False, header_style="")
    for column in _COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column in ("NAME", "STATUS"))
    for node in nodes:
        table.add_row(*(Text(show.clean(cell)) for cell in _cells(node)))
    return table


def _cells(node: NodeReport) -> Iterator[str]:
    yield from (node.name, node.status, node.use, str(len(node.tasks)))
    yield from (f"{node.left.cpu:g}", words.size(node.left.memory))
    yield ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    yield node.url


def node_page(node: NodeReport, now: datetime) -> Group:
    """All that is known of a node."""
    title = Text.assemble((show.clean(node.name), "bold"), f"  {node.status}, {node.use}")
    table = page.grid()
    for name, told in _rows(node, now):
        table.add_row(f"  {name}", Text(show.clean(told)))
    return Group(title, table)


def _rows(node: NodeReport, now: datetime) -> Iterator[tuple[str, str]]:
    yield "URL", node.url
    worker = f"{node.worker}, keelman {node.version}" if node.worker else "not met yet"
    yield "Worker", worker
    yield "Heard", f"{show.age(node.heard, now)} ago"
    yield "Usable", node.trouble or "yes"
    yield "Labels", "\n".join(f"{key}={node.labels[key]}" for key in sorted(node.labels)) or "none"
    yield "Has", _resources(node.capacity)
    yield "Left", _resources(node.left)
    yield "Tasks", "\n".join(node.tasks) or "none"


def _resources(some: Resources) -> str:
    memory, disk = words.size(some.memory), words.size(some.disk)
    return f"{some.cpu:g} cores, {memory} memory, {disk} disk"
