"""What a certificate may be for: names of managers, workers and hosts. PURE."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from keelman.errors import KeelmanError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # only compared with
RESERVED = {"ca", "localhost"}

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(_LABEL)
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_LONGEST_HOST = 253


class BadName(KeelmanError):
    """What cannot be the name of a manager, a worker or a host."""

    code = "bad_name"


def checked_name(name: str) -> str:
    """`name`, if it can be a manager's or a worker's. Raises: BadName, with what would be right."""
    if name in RESERVED:
        raise BadName(f"{name!r} is no name for a manager or a worker: it has another meaning here")
    if not _NAME.fullmatch(name):
        like = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
        right = like if like and like not in RESERVED else "node-1"
        raise BadName(
            f"{name!r} is no name such as {right!r}: a to z, 0 to 9 and - within, up to 63"
        )
    return name


def checked_host(host: str) -> str:
    """`host` as it stands in a certificate: an IP address, or a name in small letters.

    Raises: BadName. There are no wildcards.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _checked_host_name(host)
    if getattr(address, "scope_id", None):
        raise BadName(f"{host!r}: leave out the part after %: it is another on each machine")
    return str(address)


def _checked_host_name(host: str) -> str:
    small = host.lower()
    looks_like_an_address = small.rpartition(".")[2].isdigit()
    if not _HOST.fullmatch(small) or looks_like_an_address or len(small) > _LONGEST_HOST:
        raise BadName(f"{host!r} is no host such as node-1.example.com, 192.0.2.7 or 2001:db8::7")
    return small


def alternative_names(name: str, hosts: Sequence[str]) -> tuple[str, ...]:
    """All names that a certificate for `name` has, its own first, each once. Raises: BadName."""
    told = (checked_name(name), *map(checked_host, hosts), *LOOPBACK)
    return tuple(dict.fromkeys(told))


def is_for(names: Sequence[str], address: str) -> bool:
    """Whether clients that ask at `address` find it among the names of a certificate.

    Of all addresses (0.0.0.0, ::) any counts that is not loopback's.
    """
    wanted = _as_in_certificates(address)
    if wanted in EVERY_ADDRESS:
        return bool(set(names) - set(LOOPBACK))
    _, _, domain = wanted.partition(".")
    return bool({wanted, f"*.{domain}"} & {name.lower() for name in names})


def _as_in_certificates(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower()
