"""`keelman manager`: its options, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, Literal
from uuid import uuid4

import uvloop
from cyclopts import Parameter
from cyclopts.validators import Number

from keelman import hiding
from keelman.cli.config import from_file
from keelman.cli.failures import Usage
from keelman.cli.places import usual_data_dir
from keelman.cli.serving import (
    AllowClient,
    AuditReads,
    Form,
    Host,
    KeepEndedHours,
    KeepEndedTasks,
    Port,
    ShowEnv,
    TlsCa,
    TlsCert,
    TlsKey,
    TokenFile,
    credentials,
    option,
)
from keelman.cli.steady import steady_clock
from keelman.errors import CannotStart
from keelman.invitation import SECRET_BYTES
from keelman.manager import Limits, ManagerOptions, NodeCredentials, serve
from keelman.manager.nodes import Patience
from keelman.manager.scheduler import Strategy


@dataclass(frozen=True, kw_only=True)
class Given:
    """What was given, wherever; None is "as usual on this machine"."""

    host: Host = "127.0.0.1"
    port: Port = 5555
    data_dir: Annotated[
        Path | None,
        option("Its memory. Usually keelman-manager, beside the folder that a worker has."),
    ] = None
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    tls_ca: TlsCa = None
    allow_client: AllowClient = None
    token_file: TokenFile = None
    node_ca: Annotated[Path | None, option("The CA that the certificates of nodes must be of.")] = (
        None
    )
    node_cert: Annotated[
        Path | None, option("The certificate that the nodes are shown, in PEM.")
    ] = None
    node_key: Annotated[Path | None, option("Its private key.")] = None
    node_ca_key: Annotated[
        Path | None,
        option("The private key of that CA: with it, workers join by `keelman node invite`."),
    ] = None
    node_token_file: Annotated[
        Path | None, option("The file with the token that the nodes are shown.")
    ] = None
    strategy: Annotated[
        Literal["spread", "bin-pack"],
        option("spread: where the fewest tasks are. bin-pack: where the least is left."),
    ] = "spread"
    suspect_seconds: Annotated[
        float, option("A node silent for so long is suspect.", validator=Number(gt=0))
    ] = 15.0
    lost_seconds: Annotated[
        float,
        option(
            "A node silent for so long is lost: its tasks are placed elsewhere.",
            validator=Number(gt=0),
        ),
    ] = 60.0
    keep_ended_hours: KeepEndedHours = 24.0
    keep_ended_tasks: KeepEndedTasks = 10_000
    show_env: ShowEnv = False
    audit_reads: AuditReads = False
    log_format: Form = "auto"
    config: Annotated[
        Path | None, option("A TOML file whose [manager] section holds these options.")
    ] = None


_USUAL = Given()


def manager(*, given: Annotated[Given, Parameter(name="*")] = _USUAL) -> None:
    """Run a manager until it is told to stop; the tasks of its nodes run on."""
    told = options(given)
    try:
        told.credentials.check()
    except CannotStart as error:
        raise Usage(error.message) from error
    running = serve(
        told,
        clock=steady_clock(),
        new_id=lambda: str(uuid4()),
        new_secret=lambda: token_bytes(SECRET_BYTES),
    )
    uvloop.run(running)


def options(given: Given) -> ManagerOptions:
    """What the manager is told, with what is usual here filled in."""
    folder = given.data_dir or usual_data_dir().with_name("keelman-manager")
    return ManagerOptions(
        host=given.host,
        port=given.port,
        data_dir=folder.expanduser().absolute(),
        credentials=credentials(given),
        node_credentials=NodeCredentials(
            ca=given.node_ca,
            cert=given.node_cert,
            key=given.node_key,
            token_file=given.node_token_file,
            ca_key=given.node_ca_key,
        ),
        limits=limits(given),
        audit_reads=given.audit_reads,
        log_format=given.log_format,
        overridden=from_file.overridden,
    )


def limits(given: Given) -> Limits:
    """How it places tasks, and what it keeps. Raises: Usage."""
    if given.lost_seconds < given.suspect_seconds:
        words = f"{given.lost_seconds:g} is before --suspect-seconds, {given.suspect_seconds:g}"
        raise Usage(f"--lost-seconds: {words}; it must not be")
    return Limits(
        strategy=Strategy(given.strategy),
        patience=Patience(
            suspect_seconds=given.suspect_seconds,
            lost_seconds=given.lost_seconds,
        ),
        keep_ended_seconds=given.keep_ended_hours * 3600,
        keep_ended_tasks=given.keep_ended_tasks,
        show=bytes if given.show_env else hiding.report,
    )
