"""What `keelman run` is asked for: its options, and the Task that they make on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from keelman.cli import values
from keelman.cli.failures import Usage


def _option(*names: str, words: str) -> Parameter:
    return Parameter(name=names, help=words, negative=(), show_default=False)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options that say what the container is to be. None and empty ones are left out."""

    name: Annotated[str | None, _option("--name", words="A name to call it by.")] = None
    env: Annotated[
        list[str] | None, _option("--env", "-e", words="KEY=VALUE, or KEY as it is set here.")
    ] = None
    publish: Annotated[
        list[str] | None,
        _option("--publish", "-p", words="HOST:CONTAINER[/udp]; CONTAINER: any free host port."),
    ] = None
    volume: Annotated[
        list[str] | None, _option("--volume", "-v", words="SOURCE:TARGET[:ro], a host path.")
    ] = None
    label: Annotated[list[str] | None, _option("--label", "-l", words="KEY=VALUE.")] = None
    cpus: Annotated[float | None, _option("--cpus", words="Cores at most, as in 0.5.")] = None
    memory: Annotated[
        str | None, _option("--memory", "-m", words="Bytes at most, as in 64m or 1g.")
    ] = None
    pids_limit: Annotated[int | None, _option("--pids-limit", words="Processes at most.")] = None
    user: Annotated[str | None, _option("--user", "-u", words="NAME or UID[:GID].")] = None
    read_only: Annotated[
        bool, _option("--read-only", words="It cannot write to its own file system.")
    ] = False
    cap_add: Annotated[
        list[str] | None, _option("--cap-add", words="A kernel capability, as in NET_ADMIN.")
    ] = None
    cap_drop: Annotated[
        list[str] | None, _option("--cap-drop", words="One to do without, or ALL.")
    ] = None
    network: Annotated[
        str | None, _option("--network", words="A network of the engine, none or host.")
    ] = None
    entrypoint: Annotated[
        str | None, _option("--entrypoint", words="The program, in place of the image's.")
    ] = None
    init: Annotated[
        bool, _option("--init", words="A small init as process 1: it passes signals on.")
    ] = False
    restart: Annotated[
        str | None,
        _option("--restart", words="no, always, unless-stopped, on-failure or on-failure:N."),
    ] = None
    stop_signal: Annotated[
        str | None, _option("--stop-signal", words="What asks it to end. Usually SIGTERM.")
    ] = None
    stop_timeout: Annotated[
        str | None, _option("--stop-timeout", words="Seconds from there to KILL. Usually 10.")
    ] = None
    timeout: Annotated[
        str | None, _option("--timeout", words="How long it may run, as in 90s or 1h.")
    ] = None
    stop_after_disconnect: Annotated[
        str | None,
        _option(
            "--stop-after-disconnect", words="How long it may run with nobody heard, as in 60s."
        ),
    ] = None
    pull: Annotated[
        str | None, _option("--pull", words="When the image is pulled: missing, never or always.")
    ] = None


def task_fields(
    wanted: Wanted, image: str | None, command: Sequence[str], environ: Mapping[str, str]
) -> dict[str, object]:
    """The Task's fields as the wire has them, without what was not asked for.

    Raises: Usage when a value cannot be read.
    """
    fields = {
        "Name": wanted.name,
        "Image": image,
        "Command": list(command),
        "Entrypoint": [wanted.entrypoint] if wanted.entrypoint else None,
        "Env": dict(values.variable(text, environ) for text in wanted.env or ()),
        "Labels": dict(values.label(text) for text in wanted.label or ()),
        "Mounts": [values.mount(text) for text in wanted.volume or ()],
        "User": wanted.user,
        "ReadOnlyRootfs": wanted.read_only,
        "CapAdd": wanted.cap_add,
        "CapDrop": wanted.cap_drop,
        "Network": wanted.network,
        "Init": wanted.init,
        **_limits(wanted),
        **_ports(wanted.publish or ()),
        **_ends(wanted),
    }
    return {key: value for key, value in fields.items() if _is_given(value)}


def _is_given(value: object) -> bool:
    """Whether it is to be sent: a 0 that was asked for is, what is empty is not."""
    return bool(value) or (value == 0 and value is not False)


def _limits(wanted: Wanted) -> dict[str, object]:
    return {
        "Cpu": wanted.cpus,
        "Memory": values.size(wanted.memory, "--memory") if wanted.memory else None,
        "PidsLimit": wanted.pids_limit,
    }


def _ports(publish: Sequence[str]) -> dict[str, object]:
    ports = dict(values.port(text) for text in publish)
    if len(ports) < len(publish):
        raise Usage("--publish: a port of the container is given twice; it has one host port")
    return {
        "ExposedPorts": {port: {} for port, host in ports.items() if host is None},
        "PortBindings": {port: host for port, host in ports.items() if host is not None},
    }


def _ends(wanted: Wanted) -> dict[str, object]:
    grace, longest, silent = wanted.stop_timeout, wanted.timeout, wanted.stop_after_disconnect
    return {
        "RestartPolicy": wanted.restart,
        "StopSignal": wanted.stop_signal,
        "StopTimeout": values.seconds(grace, "--stop-timeout") if grace else None,
        "Timeout": values.seconds(longest, "--timeout") if longest else None,
        "StopAfterDisconnect": values.seconds(silent, "--stop-after-disconnect")
        if silent
        else None,
        "PullPolicy": wanted.pull,
    }


def merged(task: Mapping[str, object], fields: Mapping[str, object]) -> dict[str, object]:
    """A task from a file with the fields given as options over it; maps are merged."""
    after = dict(task)
    for key, value in fields.items():
        before = after.get(key)
        match before, value:
            case dict(), dict():
                after[key] = {**before, **value}
            case _:
                after[key] = value
    return after
