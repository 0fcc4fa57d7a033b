"""Certificates and tokens as files, for whoever needs some."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from keelman import certs
from keelman.certs import Pair

NOW = datetime.now(UTC)
OLD = "old-0123456789abcdef"
NEW = "new-0123456789abcdef"
OTHER = "other-0123456789abcdef"


def a_ca(*, begun: int = 10, days: int = 30) -> Pair:
    """A CA of some days ago, good for some days from now."""
    return certs.new_ca(now=NOW - timedelta(days=begun), days=begun + days)


class Folder:
    """A folder with the files of one CA: `ca.pem`, and for each name its certificate and key."""

    def __init__(self, path: Path, ca: Pair | None = None) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.ca = path / "ca.pem"
        self.trust(ca or a_ca())

    def trust(self, *cas: Pair) -> None:
        """From here on certificates are of the first of these; all are in the CA's file."""
        self.pair = cas[0]
        self.ca.write_bytes(b"".join(ca.cert for ca in cas))

    def issue(
        self, name: str, *hosts: str, now: datetime = NOW, days: int = 20
    ) -> tuple[Path, Path]:
        """The files of a certificate and of its key."""
        pair = certs.issue(self.pair, name, hosts=hosts, now=now, days=days)
        cert, key = self.path / f"{name}.pem", self.path / f"{name}.key"
        cert.write_bytes(pair.cert)
        secret(key, pair.key.decode())
        return cert, key

    def cert(self, name: str) -> Path:
        return self.path / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.path / f"{name}.key"


def secret(path: Path, text: str) -> Path:
    """A file that nobody else may read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path
