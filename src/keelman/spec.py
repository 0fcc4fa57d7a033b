"""What would be wrong with a Spec, field by field. PURE.

Types and ranges that a type can hold are the decoder's business (`wire`); here are the rules
between and inside values. Each objection names the field as it is written in JSON, and what would
be right.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from posixpath import normpath

from msgspec import Struct

from keelman.errors import BadField, BadRequest
from keelman.health import port_of
from keelman.hiding import HIDDEN
from keelman.task import Spec

CPU_LEAST = 0.01
MEMORY_LEAST_BYTES = 6 * 1024 * 1024
LABEL_PREFIX = "keelman."
NETWORK_PROTOCOLS = ("tcp", "udp", "sctp")
PULL_POLICIES = ("", "missing", "always", "never")
RESTART_POLICIES = ("", "no", "always", "unless-stopped", "on-failure", "on-failure:N")

_HOST = r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(:[0-9]+)?/"
_PATH = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"({_HOST})?{_PATH}(/{_PATH})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?\Z"
)
_RESTART = re.compile(r"(no|always|unless-stopped|on-failure(:[1-9][0-9]{0,8})?)?\Z")
_PORT = re.compile(r"([1-9][0-9]{0,4})/(tcp|udp|sctp)\Z")
_HOST_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
_CAPABILITY = re.compile(r"(CAP_)?[A-Z][A-Z_]{1,40}\Z")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
_PATH_OF_HTTP = re.compile(r"/[!-~]{0,2047}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Objection(Struct, frozen=True):
    """What is wrong with one field, in words that say what would be right."""

    field: str
    words: str
    kind: type[BadRequest] = BadField

    @property
    def message(self) -> str:
        return f"Task.{self.field}: {self.words}"


def check(spec: Spec) -> None:
    """Raises: BadField or NotSupported, naming every field that is wrong."""
    found = list(objections(spec))
    if found:
        raise found[0].kind("; ".join(objection.message for objection in found))


def objections(spec: Spec) -> Iterator[Objection]:
    """Everything that is wrong with a spec, in the order of the docs."""
    yield from _name_and_image(spec)
    yield from _strings(spec)
    yield from _amounts(spec)
    yield from _ports(spec)
    yield from _mounts(spec)
    yield from _isolation(spec)
    yield from _health(spec)
    yield from _labels(spec)
    yield from _policies(spec)


def _name_and_image(spec: Spec) -> Iterator[Objection]:
    if len(spec.name) > 255 or _CONTROL.search(spec.name):
        yield Objection("Name", "must be at most 255 characters, none of them a control character")
    if not spec.image:
        yield Objection("Image", "is missing: name an image such as busybox:1.36")
    elif len(spec.image) > 512 or not _IMAGE.match(spec.image):
        yield Objection("Image", f"{spec.image[:80]!r} is no image name such as host/name:tag")


def _strings(spec: Spec) -> Iterator[Objection]:
    for field, words in (("Command", spec.command), ("Entrypoint", spec.entrypoint)):
        if any("\0" in word for word in words):
            yield Objection(field, "must not contain a NUL character")
    if _CONTROL.search(spec.user):
        yield Objection("User", "must not contain a control character")
    yield from _env(spec.env)


def _env(env: Mapping[str, str]) -> Iterator[Objection]:
    """What follows a = in a name is the value of somebody who meant NAME=VALUE, and is not told."""
    for key, value in env.items():
        name, equals, _ = key.partition("=")
        if not key or equals or "\0" in key + value:
            words = f"{(name + equals)[:80]!r} is no name: it must not be empty, hold = or NUL"
            yield Objection("Env", words)
        elif value == HIDDEN:
            words = (
                f"{key[:80]!r} is {HIDDEN}, which stands for a hidden value: send the value itself"
            )
            yield Objection("Env", words)


def _amounts(spec: Spec) -> Iterator[Objection]:
    if 0 < spec.cpu < CPU_LEAST:
        yield Objection(
            "Cpu", f"must be 0 (no limit) or at least {CPU_LEAST} cores, not {spec.cpu}"
        )
    if 0 < spec.memory < MEMORY_LEAST_BYTES:
        yield Objection(
            "Memory",
            f"must be 0 (no limit) or at least {MEMORY_LEAST_BYTES} bytes (6 MiB)",
        )


def _ports(spec: Spec) -> Iterator[Objection]:
    for key in spec.exposed_ports:
        if not is_port(key):
            yield Objection("ExposedPorts", _port_words(key))
    for key, value in spec.port_bindings.items():
        if not is_port(key):
            yield Objection("PortBindings", _port_words(key))
        if not _HOST_PORT.match(value) or int(value) > 65535:
            yield Objection(
                "PortBindings", f"{key}: {value[:80]!r} is no host port from 1 to 65535"
            )
    yield from _ports_bound_twice(spec.port_bindings)


def is_port(key: str) -> bool:
    """Whether it is a container port as the engine writes it: 80/tcp."""
    match = _PORT.match(key)
    return match is not None and int(match[1]) <= 65535


def _port_words(key: str) -> str:
    return f"{key[:80]!r} is no port such as 80/tcp (1 to 65535; {', '.join(NETWORK_PROTOCOLS)})"


def _ports_bound_twice(bindings: Mapping[str, str]) -> Iterator[Objection]:
    seen: set[tuple[str, str]] = set()
    for key, value in bindings.items():
        end = (value, key.rpartition("/")[2])
        if end in seen:
            yield Objection("PortBindings", f"host port {value}/{end[1]} is bound twice")
        seen.add(end)


def _mounts(spec: Spec) -> Iterator[Objection]:
    targets: set[str] = set()
    for mount in spec.mounts:
        for field, path in (("Source", mount.source), ("Target", mount.target)):
            if not path.startswith("/") or _CONTROL.search(path):
                yield Objection(f"Mounts.{field}", f"{path[:80]!r} must be an absolute path")
        target = normpath(mount.target)
        if target == "/" or target in targets:
            yield Objection("Mounts.Target", f"{mount.target[:80]!r} is the root or mounted twice")
        targets.add(target)


def _isolation(spec: Spec) -> Iterator[Objection]:
    for field, names in (("CapAdd", spec.cap_add), ("CapDrop", spec.cap_drop)):
        for name in names:
            if not _CAPABILITY.match(name):
                yield Objection(field, f"{name[:80]!r} is no capability such as NET_ADMIN, or ALL")
    if spec.network and not _NETWORK.match(spec.network):
        yield Objection("Network", f"{spec.network[:80]!r} is no name of a network, host or none")
    if spec.network in ("host", "none") and spec.ports:
        words = f"{spec.network} publishes no ports: leave out ExposedPorts and PortBindings"
        yield Objection("Network", words)


def _health(spec: Spec) -> Iterator[Objection]:
    check = spec.probe
    if check is None:
        return
    if check.kind == "command":
        if not check.command or any("\0" in word for word in check.command):
            yield Objection("HealthCheck.Command", "must name a command, without NUL characters")
        return
    if check.kind == "http" and not _PATH_OF_HTTP.match(check.path):
        words = f"{check.path[:80]!r} is no path such as /health"
        yield Objection("HealthCheck.Path", words)
    if port_of(check, spec.ports) is None:
        asked = f"{check.port}/tcp" if check.port else "a tcp port"
        yield Objection("HealthCheck.Port", f"{asked} must be in ExposedPorts or PortBindings")


def _labels(spec: Spec) -> Iterator[Objection]:
    for key in spec.labels:
        if not key or "\0" in key + spec.labels[key]:
            yield Objection("Labels", f"{key[:80]!r} must not be empty or hold NUL")
        if key.startswith(LABEL_PREFIX):
            yield Objection(
                "Labels", f"{key[:80]!r}: names that begin with keelman. are the worker's"
            )


def _policies(spec: Spec) -> Iterator[Objection]:
    if not _RESTART.match(spec.restart_policy):
        words = f"{spec.restart_policy[:80]!r} is none of {', '.join(RESTART_POLICIES[1:])}"
        yield Objection("RestartPolicy", words)
    if spec.pull_policy not in PULL_POLICIES:
        words = f"{spec.pull_policy[:80]!r} is none of {', '.join(PULL_POLICIES[1:])}"
        yield Objection("PullPolicy", words)
    if spec.stop_signal and not is_signal(spec.stop_signal):
        yield Objection(
            "StopSignal", f"{spec.stop_signal[:80]!r} is no signal such as SIGTERM or 15"
        )


def is_signal(text: str) -> bool:
    """Whether it names a signal: SIGTERM, TERM or 15."""
    if text.isdecimal():
        return text.isascii() and 1 <= int(text[:4]) <= 64
    name = text.removeprefix("SIG")
    if re.match(r"RTM(IN\+|AX-)([1-9]|1[0-5])\Z", name):
        return True
    return any(known.name == f"SIG{name}" for known in signal.Signals)
