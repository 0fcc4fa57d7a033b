"""A manager as a process: loops and API together, from options until told to stop.

What could keep it from starting (a taken port, a held data directory) is found before anything is
set in motion. When it goes, the tasks run on where they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import structlog
from msgspec import Struct

from keelman import process, tls
from keelman.access import own_token
from keelman.api import Api
from keelman.auditor import Auditor
from keelman.client import Client
from keelman.db import Db
from keelman.door import Credentials, Door
from keelman.errors import CannotStart
from keelman.manager.handlers import ROUTES
from keelman.manager.invitations import Joining
from keelman.manager.limits import Limits
from keelman.manager.manager import Manager
from keelman.manager.node_client import NodeClient
from keelman.metrics import Metrics
from keelman.process import LogFormat

log = structlog.get_logger(__name__)

OWNER = "(manager)"  # no worker can be named so


class NodeCredentials(Struct, frozen=True, kw_only=True):
    """What shows the nodes that it is the manager who asks, and whom of them it trusts."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    ca_key: Path | None = None  # with it, workers join by invitation


class ManagerOptions(Struct, frozen=True, kw_only=True):
    """All that `keelman manager` can be told."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 5555
    credentials: Credentials = Credentials()
    node_credentials: NodeCredentials = NodeCredentials()
    limits: Limits = Limits()
    audit_reads: bool = False
    log_format: LogFormat = "auto"
    overridden: tuple[str, ...] = ()


async def serve(
    options: ManagerOptions,
    *,
    clock: Callable[[], float],
    new_id: Callable[[], str],
    new_secret: Callable[[], bytes],
) -> None:
    """Run a manager until SIGINT or SIGTERM.

    `clock` gives seconds since the epoch and never jumps; `new_id` a new id at every call, and
    `new_secret` random bytes.
    Raises: CannotStart.
    """
    process.begin(options.log_format, options.overridden)
    connect, joining = connector(options.node_credentials), how_to_join(options, new_secret)
    async with AsyncExitStack() as undo:
        metrics = Metrics(clock)
        door = Door(options.credentials, clock, metrics.expiring)
        store = process.open_store(options.data_dir, new_id, metrics)
        undo.callback(store.close)
        await _own(Db(store))
        manager = Manager(
            store=store,
            connect=connect,
            clock=clock,
            limits=options.limits,
            metrics=metrics,
            joining=joining,
        )
        await manager.open()
        auditor = _auditor(options, clock, metrics)
        undo.callback(auditor.close)
        around = (metrics.measure, auditor.audit)
        api = Api(options.host, options.port, manager, ROUTES, around=around, door=door)
        process.bind(api, door)
        await _run(manager, api, door)


def _auditor(options: ManagerOptions, clock: Callable[[], float], metrics: Metrics) -> Auditor:
    return Auditor(options.data_dir, OWNER, clock, metrics.unaudited, reads=options.audit_reads)


def connector(given: NodeCredentials) -> Callable[[str], AbstractAsyncContextManager[NodeClient]]:
    """What makes a client of a node. Raises: CannotStart."""
    if (given.cert is None) != (given.key is None):
        raise CannotStart("--node-cert and --node-key go together")
    token = _token(given.token_file) if given.token_file else None
    context = tls.caller(given.ca, given.cert, given.key)

    def connect(url: str) -> Client:
        https = url.startswith("https:")
        return Client(url, token=token, tls=context if https else None)

    return connect


def how_to_join(options: ManagerOptions, new_secret: Callable[[], bytes]) -> Joining:
    """With the CA's key, by certificates; without TLS as it is. Raises: CannotStart."""
    served, nodes = options.credentials, options.node_credentials
    taken = frozenset(served.allow_client)
    encrypted = served.tls_cert is not None
    if nodes.ca_key is None:
        return Joining(new_secret=new_secret, encrypted=encrypted, taken=taken)
    if nodes.ca is None or nodes.cert is None or served.tls_cert is None:
        words = (
            "--node-ca-key needs --node-ca, --node-cert and --node-key, --tls-cert and --tls-key"
        )
        raise CannotStart(f"{words}: by these a worker that joins and the manager know each other")
    from keelman.manager import authority  # noqa: PLC0415  # 8 MB that others go without

    signer = authority.read(nodes.ca, nodes.ca_key, served=served.tls_cert, shown=nodes.cert)
    return Joining(new_secret=new_secret, encrypted=True, authority=signer, taken=taken)


def _token(path: Path) -> str:
    text = tls.read_secret(path).decode("utf-8", "replace")
    try:
        return own_token(text)
    except CannotStart as error:
        raise CannotStart(f"{path}: {error.message}") from error


async def _own(db: Db) -> None:
    """A worker's memory is no manager's. Raises: CannotStart."""
    if (owner := db.owner()) not in (None, OWNER):
        raise CannotStart(f"this data directory is of the worker {owner}")
    await db.set_owner(OWNER)


async def _run(manager: Manager, api: Api[Manager], door: Door) -> None:
    """All loops in one group: one that dies takes the rest down, and its error comes out."""
    told_to_stop = process.on_signals()
    async with asyncio.TaskGroup() as group:
        loops = group.create_task(manager.run_tasks(), name="manager")
        await api.start()
        nodes = len(manager.roster.nodes)
        log.info("manager listening", address=api.url, nodes=nodes, **door.told)
        async with process.answering(api, manager.events):
            await told_to_stop.wait()
            log.info("manager stopping; tasks go on running")
        loops.cancel()
