"""CAs, certificates, and two ends that speak TLS in memory."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from keelman import certs
from keelman.certs import Pair

TODAY = datetime.now(UTC)  # the ends of a handshake ask the clock, so certificates are of today


def ca_at(now: datetime = TODAY, days: int = 3650) -> Pair:
    return certs.new_ca(now=now, days=days)


def issued(ca: Pair, name: str = "node-1", *hosts: str, days: int = 365) -> Pair:
    return certs.issue(ca, name, hosts=hosts, now=TODAY, days=days)


def end(side: ssl._SSLMethod, own: tuple[Path, Path], trusted: bytes) -> ssl.SSLContext:
    """One end as strict as newer Pythons are by default: it asks the other for a certificate."""
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=trusted.decode())
    context.load_cert_chain(*own)
    return context


def put(pair: Pair, folder: Path, name: str) -> tuple[Path, Path]:
    """Files of a pair, which is all that Python's ssl takes."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    for path, content in zip(paths, (pair.cert, pair.key), strict=True):
        path.write_bytes(content)
    return paths


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> list[ssl.SSLObject]:
    """Both ends, when each has accepted the other: client, server. Raises: ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting: Sequence[ssl.SSLObject] = ends
    while waiting:
        waiting = [one for one in waiting if not _is_through(one)]
    return ends


def _is_through(one: ssl.SSLObject) -> bool:
    try:
        one.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
