"""What a worker's operator allows tasks to ask for, and what a spec asks for beyond it. PURE.

What is allowed only ever adds: with more of it, nothing more is refused. Where a mount really leads
is to be known only on the machine: that check is the worker's (`worker.mounts`).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from keelman import image_names
from keelman.task import Spec
from keelman.values import Value

ALL = "ALL"
LOW_PORTS = 1024
CAPABILITIES = frozenset(
    {
        *("AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF"),
        *("CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER"),
        *("FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE"),
        *("MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE"),
        *("NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID"),
        *("SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE"),
        *("SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME"),
        *("SYS_TTY_CONFIG", "WAKE_ALARM"),
    }
)  # those of Linux, see capabilities(7)


class Allowed(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What may be asked for. Images: patterns, and every image where there is none."""

    mounts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    host_network: bool = False
    low_ports: bool = False


class Refusal(Struct, frozen=True):
    """What is not allowed: where it was asked for, why not, and what would allow it."""

    field: str
    words: str
    option: str

    @property
    def message(self) -> str:
        return f"Task.{self.field}: {self.words}; its operator can allow it with {self.option}"


def capability(name: str) -> str:
    """A capability's name as it is compared: `cap_net_admin` is NET_ADMIN."""
    return name.upper().removeprefix("CAP_")


def refusals(spec: Spec, allowed: Allowed) -> Iterator[Refusal]:
    """Everything that a spec asks for and may not, but for mounts, in the order of the docs."""
    yield from _image(spec, allowed)
    yield from _ports(spec, allowed)
    yield from _capabilities(spec, allowed)
    yield from _network(spec, allowed)


def _image(spec: Spec, allowed: Allowed) -> Iterator[Refusal]:
    if not allowed.images:
        return
    if not any(image_names.matches(spec.image, pattern) for pattern in allowed.images):
        words = f"{spec.image[:80]!r} is none of the images that this worker allows"
        if image_names.may_be_id(spec.image):
            words = f"{spec.image[:80]!r} may be the ID of any image: this worker allows some names"
        yield Refusal("Image", words, "--allow-image")


def _ports(spec: Spec, allowed: Allowed) -> Iterator[Refusal]:
    for port, bound in spec.port_bindings.items():
        if not allowed.low_ports and _is_low(bound):
            words = f"{port[:80]}: this worker allows no host port below {LOW_PORTS}, such as "
            yield Refusal("PortBindings", words + bound[:80], "--allow-low-ports")


def _is_low(bound: str) -> bool:
    """What is no number is not for here to judge."""
    digits = bound.lstrip("0") or "0"
    return digits.isdecimal() and len(digits) <= len(str(LOW_PORTS)) and int(digits) < LOW_PORTS


def _capabilities(spec: Spec, allowed: Allowed) -> Iterator[Refusal]:
    known = {capability(name) for name in allowed.capabilities}
    for name in spec.cap_add:
        if not known & {ALL, capability(name)}:
            words = f"this worker does not allow {name[:80]}"
            yield Refusal("CapAdd", words, f"--allow-cap {capability(name)[:80]}")


def _network(spec: Spec, allowed: Allowed) -> Iterator[Refusal]:
    shared = spec.network == "host" or ":" in spec.network  # as in container:NAME
    if shared and not allowed.host_network:
        words = f"this worker does not allow {spec.network[:80]}"
        yield Refusal("Network", words, "--allow-host-network")
