"""The CA of the nodes, where its key is given to the manager: it signs what a worker is known by.

All is read once, when the manager starts. Loaded only then: who has no CA's key need not load what
makes certificates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keelman import certs, tls
from keelman.cert_names import LOOPBACK
from keelman.certs import CertsError, Pair
from keelman.errors import BadField, CannotStart

CERT_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class Authority:
    """`trusted` is the whole file of CAs; `names` are those of the manager's own certificates.

    `clients` are those by which the manager is known to a worker.
    """

    pair: Pair
    trusted: str
    names: frozenset[str]
    clients: tuple[str, ...]

    @property
    def pin(self) -> bytes:
        """The sha256 of the CA's certificate."""
        return bytes.fromhex(certs.fingerprint(self.pair.cert))

    @property
    def cert(self) -> str:
        """The certificate of the CA that signs, in PEM."""
        return self.pair.cert.decode()

    def key_of(self, request: str) -> str:
        """The digest of the key that a request is for. Raises: BadField."""
        try:
            return certs.key_of_request(request.encode())
        except CertsError as error:
            raise BadField(f"Request: {error.message}") from error

    def sign(self, request: str, name: str, host: str, now: float) -> str:
        """A certificate for serving at `host`, and nothing else, its CA behind it.

        Raises: BadField.
        """
        at = datetime.fromtimestamp(now, UTC)
        try:
            cert = certs.sign(self.pair, request.encode(), name, host=host, now=at, days=CERT_DAYS)
        except CertsError as error:
            raise BadField(f"Request: {error.message}") from error
        return (cert + self.pair.cert).decode()


def read(ca: Path, key: Path, *, served: Path, shown: Path) -> Authority:
    """The CA in `ca` whose key is `key`; `served` is the manager's certificate, `shown` that for
    its nodes. Raises: CannotStart.
    """
    pair = _pair(ca, key)
    cert, names = _certificate(served)
    if not certs.signed_by(cert, pair.cert):
        words = "is of another CA than that of --node-ca-key, by which who joins knows the manager"
        raise CannotStart(f"{served} {words}: issue it there")
    _, clients = _certificate(shown)
    known = tuple(name for name in clients[:1] if name not in LOOPBACK)
    if not known:
        raise CannotStart(f"{shown}: no name stands in it that a worker could let in")
    every = frozenset({*names, *clients} - set(LOOPBACK))
    return Authority(pair=pair, trusted=tls.read(ca).decode(), names=every, clients=known)


def _pair(ca: Path, key: Path) -> Pair:
    secret = tls.read_secret(key)
    try:
        known = [one for one in certs.split(tls.read(ca)) if certs.belongs(secret, one)]
    except CertsError as error:
        raise CannotStart(f"{ca} with {key}: {error.message}") from error
    if not known:
        raise CannotStart(f"{key} is the key of no CA in {ca}")
    return Pair(cert=known[0], key=secret)


def _certificate(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """The first of a file, and whom it is for. Raises: CannotStart."""
    try:
        cert = certs.split(tls.read(path))[0]
    except CertsError as error:
        raise CannotStart(f"{path}: {error.message}") from error
    return cert, certs.names_of(cert)
