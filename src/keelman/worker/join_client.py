"""What a worker asks of a manager that it does not know yet, and how it comes to know it."""

from __future__ import annotations

import ssl
from hashlib import sha256
from hmac import compare_digest

import msgspec

from keelman.answers import decoded
from keelman.client import JSON, Client
from keelman.errors import CannotStart
from keelman.invitation import JoinIn, JoinReport, Link

CA_MOST_BYTES = 65_536


class JoinClient(Client):
    """The part of a manager's API that is about joining."""

    async def ca(self) -> str:
        """The CA that it says is its own. Raises: ClientError, Unreachable, CannotStart."""
        async with self._call("GET", "join", "ca") as response:
            told = await response.content.read(CA_MOST_BYTES)
        try:
            return told.decode("ascii")
        except UnicodeDecodeError:
            return ""

    async def join(self, asked: JoinIn) -> JoinReport:
        """Asks to join. Raises: ClientError, Unreachable, NotTrusted."""
        body = msgspec.json.encode(asked)
        async with self._call("POST", "join", data=body, headers=JSON) as response:
            return decoded(await response.read(), JoinReport)


async def met(link: Link) -> ssl.SSLContext | None:
    """TLS that trusts the manager's CA alone, once that is the one of the link; None without TLS.

    The CA is fetched from whoever answers there, who learns nothing by that: what is shown to him
    is shown only when his certificate is of the CA with the right digest.
    Raises: CannotStart, ClientError, Unreachable, NotTrusted.
    """
    if not link.token.pin:
        return None
    async with JoinClient(link.manager, tls=_anybody()) as client:
        certificate = _certificate(await client.ca())
    if not compare_digest(sha256(certificate).digest(), link.token.pin):
        words = "another CA than the one of the invitation: somebody else answers there, or the"
        raise CannotStart(f"{link.manager} shows {words} CA was changed since; it was told nothing")
    return ssl.create_default_context(cadata=certificate)  # just what has the right digest


def _certificate(shown: str) -> bytes:
    """One certificate of what is shown, whatever lies beside it; nothing where there is none."""
    try:
        return ssl.PEM_cert_to_DER_cert(shown)
    except ValueError:
        return b""


def _anybody() -> ssl.SSLContext:
    """TLS with whoever answers: nothing secret may be said over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
