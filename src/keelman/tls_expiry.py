"""How long certificates in files last, and whom they are for. Apart from `tls`, for who only calls
a worker loads no `cryptography`.
"""

from __future__ import annotations

from pathlib import Path

from keelman import certs
from keelman.certs import CertsError
from keelman.errors import CannotStart
from keelman.tls import read


def expiry(path: Path, now: float) -> float:
    """When the first of a chain's certificates expires, in seconds since the epoch.

    Raises: CannotStart when one of them is not valid now.
    """
    ends = []
    for cert in _certificates(path):
        begin, end = certs.begins(cert), certs.expires(cert)
        if now >= end.timestamp():
            raise CannotStart(f"{path}: the certificate expired at {end:%Y-%m-%dT%H:%MZ}")
        if now < begin.timestamp():
            raise CannotStart(
                f"{path}: the certificate is not valid before {begin:%Y-%m-%dT%H:%MZ}"
            )
        ends.append(end.timestamp())
    return min(ends)


def trust_expiry(path: Path, now: float) -> float:
    """When the first of several CAs expires, past those that have. Raises: CannotStart: all have.

    An old one may lie beside the new one that takes its place.
    """
    ends = [certs.expires(cert).timestamp() for cert in _certificates(path)]
    left = [end for end in ends if now < end]
    if not left:
        raise CannotStart(f"{path}: every CA in it has expired")
    return min(left)


def names(path: Path) -> tuple[str, ...]:
    """Whom the first of a chain's certificates is for: names and addresses. Raises: CannotStart."""
    return certs.names_of(_certificates(path)[0])


def _certificates(path: Path) -> tuple[bytes, ...]:
    try:
        return certs.split(read(path))
    except CertsError as error:
        raise CannotStart(f"{path}: {error.message}") from error
