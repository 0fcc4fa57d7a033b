"""The worker's door: its certificate, and whom it lets in, read from files and read anew.

What was read stays until what is new has been read whole: one broken file and nothing changes. Who
is inside stays inside: open connections go on, but each request on them is judged anew.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog
from aiohttp import hdrs, web
from msgspec import Struct

from keelman import access, tls
from keelman.access import Admitted, Shown, Verdict
from keelman.cert_names import LOOPBACK, is_for
from keelman.errors import CannotStart

log = structlog.get_logger(__name__)

_CLIENT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
WARN_SECONDS = 14 * 86_400.0


class Credentials(Struct, frozen=True, kw_only=True):
    """What the operator gave: files, and names of clients."""

    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    allow_client: tuple[str, ...] = ()
    token_file: Path | None = None

    def check(self) -> None:
        """What only makes sense together is there together. Raises: CannotStart."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise CannotStart("--tls-cert and --tls-key go together")
        if (self.tls_ca is None) != (not self.allow_client):
            raise CannotStart("--tls-ca and --allow-client go together: whose word, and for whom")
        if self.tls_ca is not None and self.tls_cert is None:
            raise CannotStart("--tls-ca needs --tls-cert and --tls-key")
        if wrong := [name for name in self.allow_client if name in ("", *LOOPBACK)]:
            raise CannotStart(f"--allow-client: {wrong[0]!r} is the name of no one client")
        if wrong := [name for name in self.allow_client if not _CLIENT.fullmatch(name)]:
            words = f"{wrong[0]!r} is no name such as manager-1: it is compared as it is, without *"
            raise CannotStart(f"--allow-client: {words}")


class _Held(Struct, frozen=True):
    """All that was read, at one time; `names` are those that the certificate is for."""

    admitted: Admitted
    context: ssl.SSLContext | None = None
    expires: dict[str, float] = {}
    names: tuple[str, ...] = ()


class Door:
    """Judges who asks, and speaks TLS when it was given a certificate.

    `clock` gives seconds since the epoch; `expiring` is told when which certificate expires, at
    each reading. Raises: CannotStart.
    """

    def __init__(
        self,
        given: Credentials,
        clock: Callable[[], float],
        expiring: Callable[[Mapping[str, float]], None],
    ) -> None:
        given.check()
        self._given, self._clock, self._expiring = given, clock, expiring
        self._address = ""
        self._held = self._read()
        self._tell()
        self.tls = self._held.context
        if self.tls is not None:
            self.tls.sni_callback = self._swap

    def judge(self, request: web.Request) -> Verdict:
        """Who asks, and whether he may. Nothing is read but the head of the request."""
        shown = Shown(
            token=access.bearer(request.headers.get(hdrs.AUTHORIZATION)),
            names=_names(request.get_extra_info("peercert")),
            origin=request.headers.get(hdrs.ORIGIN),
        )
        return access.judge(self._held.admitted, shown)

    @property
    def told(self) -> dict[str, object]:
        """What was read, for the log; it has no secret."""
        given, held = self._given, self._held
        told: dict[str, object] = {}
        if given.tls_cert is not None:
            until = datetime.fromtimestamp(held.expires["cert"], UTC)
            told = {"cert": str(given.tls_cert), "names": list(held.names), "until": f"{until:%F}"}
        if given.tls_ca is not None:
            told |= {"ca": str(given.tls_ca), "clients": list(held.admitted.clients)}
        if given.token_file is not None:
            told |= {"token_file": str(given.token_file), "tokens": len(held.admitted.tokens)}
        return told

    def check(self, address: str, *, on_loopback: bool) -> None:
        """Whether it may stand where it does. Raises: CannotStart."""
        admitted = self._held.admitted
        wrong = access.unsafe(admitted, encrypted=self.tls is not None)
        if not on_loopback and wrong:
            raise CannotStart(wrong)
        self._address = address
        self._tell_of_names()
        if not admitted.named:
            log.warning("every user of this machine can start containers as root")

    def reload(self) -> None:
        """Read the files anew; what is wrong with them is logged, and changes nothing."""
        if wrong := self._read_anew():
            log.error("credentials not read anew; the old ones stay", error=wrong)
            return
        log.info("credentials read anew", **self.told)
        self._tell()
        self._tell_of_names()

    def _read_anew(self) -> str:
        try:
            self._held = self._read()
        except CannotStart as error:
            return error.message
        return ""

    def _swap(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in every handshake, whether the client names a host or not."""
        assert self._held.context is not None
        connection.context = self._held.context

    def _read(self) -> _Held:
        given, now = self._given, self._clock()
        tokens = _tokens(given.token_file) if given.token_file else ()
        admitted = Admitted(clients=given.allow_client, tokens=tokens)
        if given.tls_cert is None or given.tls_key is None:
            return _Held(admitted)
        from keelman import tls_expiry  # noqa: PLC0415  # 8 MB that a worker without TLS goes without

        expires = {"cert": tls_expiry.expiry(given.tls_cert, now)}
        if given.tls_ca is not None:
            expires["ca"] = tls_expiry.trust_expiry(given.tls_ca, now)
        context = tls.listener(given.tls_cert, given.tls_key, given.tls_ca)
        return _Held(admitted, context, expires, tls_expiry.names(given.tls_cert))

    def _tell(self) -> None:
        self._expiring(self._held.expires)
        for which, at in self._held.expires.items():
            left = at - self._clock()
            if left < WARN_SECONDS:
                log.warning("certificate expires soon", which=which, days=int(left / 86_400))

    def _tell_of_names(self) -> None:
        """Who does not find in a certificate what he asked for hangs up, and the log is silent."""
        names, address = self._held.names, self._address
        encrypted = self._held.context is not None
        if encrypted and address and not is_for(names, address):
            log.warning("certificate is not for this address", names=list(names), address=address)


def _tokens(path: Path) -> tuple[access.Token, ...]:
    text = tls.read_secret(path).decode("utf-8", "replace")
    try:
        return access.read_tokens(text)
    except CannotStart as error:
        raise CannotStart(f"{path}: {error.message}") from error


def _names(certificate: Mapping[str, object] | None) -> tuple[str, ...] | None:
    """The DNS names of a certificate that was verified; None without one."""
    if not certificate:
        return None
    names = certificate.get("subjectAltName", ())
    assert isinstance(names, tuple)
    return tuple(name for kind, name in names if kind == "DNS")
