"""`keelman worker`: its options, wherever they come from, and what is usual on this machine."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import uvloop
from cyclopts import Parameter
from cyclopts.validators import Number

from keelman import image_names
from keelman.allowed import ALL, CAPABILITIES, Allowed, capability
from keelman.cli import values
from keelman.cli.boot import this_boot
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
from keelman.invitation import read_link
from keelman.room import UNBOUNDED, Offered
from keelman.runtime import guards
from keelman.spec import MEMORY_LEAST_BYTES
from keelman.worker import WorkerOptions, serve

PER_CORE = 2


def capabilities_named(_type: object, names: list[str] | None) -> None:
    """Raises: ValueError for what is no capability: it would allow nothing, and nobody notice."""
    for name in names or ():
        if capability(name) not in (ALL, *CAPABILITIES):
            raise ValueError(f"{name!r} is no capability such as NET_ADMIN, or ALL")


def mounts_given(_type: object, paths: list[Path] | None) -> None:
    """Raises: ValueError for a path that leads elsewhere when the worker starts elsewhere."""
    for path in paths or ():
        if not path.expanduser().is_absolute():
            raise ValueError(f"'{path}' must be an absolute path, such as /srv")


def images_given(_type: object, patterns: list[str] | None) -> None:
    """Raises: ValueError for what is about no image: it would allow nothing, and nobody notice."""
    for pattern in patterns or ():
        if words := image_names.trouble(pattern):
            raise ValueError(f"{pattern!r} is no image such as registry.example/team/*: {words}")


def size_given(_type: object, text: str | None) -> None:
    """Raises: ValueError for what is no size, or none to give anything of."""
    if text is None:
        return
    try:
        number = values.size(text, "it")
    except Usage as error:
        raise ValueError(f"{text!r} is no size such as 512m or 16g") from error
    if not 0 < number <= UNBOUNDED.memory:
        raise ValueError(f"{text!r} must be above 0, and below 8 EiB")


def memory_given(type_: object, text: str | None) -> None:
    """Raises: ValueError, also for so little that no task could ask for any of it."""
    size_given(type_, text)
    if text is not None and values.size(text, "it") < MEMORY_LEAST_BYTES:
        raise ValueError(f"{text!r} is less than any task may ask for: 6m at least, as in 16g")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What was given, wherever; None is "as usual on this machine"."""

    host: Host = "127.0.0.1"
    port: Port = 5556
    name: Annotated[
        str | None, option("Its name, one of a kind on its engine. Usually the host's.")
    ] = None
    data_dir: Annotated[
        Path | None,
        option("Its memory. Usually /var/lib/keelman, or ~/.local/share/keelman if not root."),
    ] = None
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    tls_ca: TlsCa = None
    allow_client: AllowClient = None
    token_file: TokenFile = None
    join: Annotated[
        str | None, option("The link that keelman node invite prints: it joins that manager.")
    ] = None
    allow_mount: Annotated[
        list[Path] | None,
        Parameter(
            help="A host path below which tasks may mount. Repeatable.",
            negative=(),
            validator=mounts_given,
        ),
    ] = None
    allow_image: Annotated[
        list[str] | None,
        Parameter(
            help="Images that tasks may run, as in registry.example/team/*. Repeatable.",
            negative=(),
            validator=images_given,
        ),
    ] = None
    allow_cap: Annotated[
        list[str] | None,
        Parameter(
            help="A capability that tasks may add, or ALL. Repeatable.",
            negative=(),
            validator=capabilities_named,
        ),
    ] = None
    allow_host_network: Annotated[bool, option("Tasks may be in the host's own network.")] = False
    allow_low_ports: Annotated[bool, option("Tasks may be published on host ports below 1024.")] = (
        False
    )
    cpu: Annotated[
        float | None,
        option(
            "Cores that tasks may ask for, all together. Usually all.",
            validator=Number(gt=0, lte=UNBOUNDED.cpu),
        ),
    ] = None
    memory: Annotated[
        str | None,
        Parameter(
            help="Memory that tasks may ask for, as in 16g. Usually all but a reserve.",
            negative=(),
            validator=memory_given,
        ),
    ] = None
    disk: Annotated[
        str | None,
        Parameter(
            help="Disk that tasks may ask for, as in 200g. Usually all but a reserve.",
            negative=(),
            validator=size_given,
        ),
    ] = None
    default_pids_limit: Annotated[
        int,
        option("Processes of a task that sets no limit; 0 for no limit.", validator=Number(gte=0)),
    ] = guards.PIDS_USUAL
    start_slots: Annotated[
        int | None,
        option("Containers on their way up at once. Usually two a core.", validator=Number(gte=1)),
    ] = None
    keep_ended_hours: KeepEndedHours = 24.0
    keep_ended_tasks: KeepEndedTasks = 1000
    show_env: ShowEnv = False
    audit_reads: AuditReads = False
    log_format: Form = "auto"
    docker_host: Annotated[
        str | None,
        Parameter(
            help="The engine. Usually its socket. [env var: KEELMAN_DOCKER_HOST, DOCKER_HOST]",
            env_var=("KEELMAN_DOCKER_HOST", "DOCKER_HOST"),
            show_env_var=False,
        ),
    ] = None
    docker_certs: Annotated[
        Path | None,
        option("The folder with ca.pem, cert.pem, key.pem for an engine that speaks TLS."),
    ] = None
    docker_config: Annotated[
        Path | None,
        Parameter(
            help="The folder of Docker's config.json, with the logins of private registries."
            " Usually ~/.docker. [env var: KEELMAN_DOCKER_CONFIG, DOCKER_CONFIG]",
            env_var=("KEELMAN_DOCKER_CONFIG", "DOCKER_CONFIG"),
            show_env_var=False,
        ),
    ] = None
    config: Annotated[
        Path | None, option("A TOML file whose [worker] section holds these options.")
    ] = None


_USUAL = Given()


def worker(*, given: Annotated[Given, Parameter(name="*")] = _USUAL) -> None:
    """Run a worker on this machine until it is told to stop; its containers run on."""
    try:
        told = options(given)
        told.check()
    except CannotStart as error:
        raise Usage(error.message) from error
    clock, boot = steady_clock(), this_boot()
    uvloop.run(serve(told, clock=clock, new_id=lambda: str(uuid4()), boot=boot))


def options(given: Given) -> WorkerOptions:
    """What the worker is told, with what is usual here filled in."""
    return WorkerOptions(
        host=given.host,
        port=given.port,
        name=given.name or socket.gethostname(),
        data_dir=(given.data_dir or usual_data_dir()).expanduser().absolute(),
        credentials=credentials(given),
        join=None if given.join is None else read_link(given.join),
        allowed=allowed(given),
        offered=offered(given),
        pids_usual=given.default_pids_limit,
        start_slots=given.start_slots or PER_CORE * len(os.sched_getaffinity(0)),
        keep_ended_hours=given.keep_ended_hours,
        keep_ended_tasks=given.keep_ended_tasks,
        show_env=given.show_env,
        audit_reads=given.audit_reads,
        log_format=given.log_format,
        overridden=from_file.overridden,
        docker_host=given.docker_host,
        docker_certs=given.docker_certs or certs_of_docker(),
        docker_config=docker_config(given.docker_config or Path("~/.docker")),
    )


def allowed(given: Given) -> Allowed:
    """What tasks may ask for."""
    mounts = (str(path.expanduser().absolute()) for path in given.allow_mount or ())
    return Allowed(
        mounts=tuple(mounts),
        images=tuple(given.allow_image or ()),
        capabilities=tuple(map(capability, given.allow_cap or ())),
        host_network=given.allow_host_network,
        low_ports=given.allow_low_ports,
    )


def offered(given: Given) -> Offered:
    """How much tasks may ask for, as far as that was said."""
    return Offered(
        cpu=given.cpu,
        memory=None if given.memory is None else values.size(given.memory, "--memory"),
        disk=None if given.disk is None else values.size(given.disk, "--disk"),
    )


def certs_of_docker() -> Path | None:
    """Where Docker's own client looks for certificates, when it is told to use TLS."""
    if os.environ.get("DOCKER_TLS_VERIFY", "0") in ("", "0"):
        return None
    return Path(os.environ.get("DOCKER_CERT_PATH", "~/.docker")).expanduser()


def docker_config(folder: Path) -> Path | None:
    """Where Docker's own client keeps logins: usually at home, which not everybody has."""
    with suppress(RuntimeError):
        return folder.expanduser()
    return None
