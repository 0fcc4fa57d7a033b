"""Invitations: how a worker that nobody knows yet joins, as it is asked and answered. PURE.

A link is what is pasted on the new machine: where the manager is, a secret that is good once, and
the sha256 of the CA by which the manager is known before it is shown the secret. What holds a
secret does not show it when it is printed.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from datetime import datetime
from hashlib import sha256
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from keelman.errors import BadField, CannotStart, Malformed
from keelman.node_report import LabelKey, LabelValue, Name
from keelman.values import Value
from keelman.wire import field_words

SECRET_BYTES = 16
PIN_BYTES = 32
USUAL_SECONDS = 3600
LONGEST_SECONDS = 7 * 86_400
REQUEST_MOST = 8192  # characters of a certificate's request

_ONE = "such as the one that `keelman node invite` prints"
_Asked = TypeVar("_Asked")


class Token(Struct, frozen=True):
    """A secret, and the sha256 of the CA's certificate; no pin where no TLS is spoken."""

    secret: bytes
    pin: bytes = b""

    def __repr__(self) -> str:
        return "Token(***)"

    @property
    def text(self) -> str:
        """As it stands in a link."""
        return urlsafe_b64encode(self.secret + self.pin).rstrip(b"=").decode()

    @property
    def shown(self) -> str:
        """The secret, as it is shown to the manager."""
        return self.secret.hex()


def digest_of(shown: str) -> str:
    """What may be kept of a secret that is shown."""
    return sha256(shown.encode()).hexdigest()


def read_token(text: str) -> Token:
    """A token from a link. Raises: CannotStart, which does not tell what it was."""
    try:
        told = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        told = b""
    if len(told) not in (SECRET_BYTES, SECRET_BYTES + PIN_BYTES):
        raise CannotStart(f"--join: what stands behind the # is no token, {_ONE}: is it whole?")
    return Token(told[:SECRET_BYTES], told[SECRET_BYTES:])


class Link(Struct, frozen=True):
    """Where the manager is, and what lets a worker join there."""

    manager: str
    token: Token

    @property
    def text(self) -> str:
        """What is pasted."""
        return f"{self.manager.rstrip('/')}/#{self.token.text}"


def read_link(text: str) -> Link:
    """What was pasted. Raises: CannotStart, which does not tell what it was."""
    manager, sign, token = text.strip().partition("#")
    if not sign or not manager.startswith(("https://", "http://")):
        raise CannotStart(f"--join: it is no link https://MANAGER:PORT/#TOKEN, {_ONE}")
    link = Link(manager.rstrip("/"), read_token(token))
    if manager.startswith("https://") is not bool(link.token.pin):
        raise CannotStart("--join: the token is of a link with another beginning: paste it whole")
    return link


# -- an operator and the manager -----------------------------------------------------------------


class InvitationIn(Value, frozen=True, kw_only=True):
    """An invitation as it is asked for; empty is "any name", and "where it asks from"."""

    name: Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,62})?$")] = ""
    host: Annotated[str, Meta(max_length=253)] = ""
    labels: dict[LabelKey, LabelValue] = msgspec.field(default_factory=dict)
    seconds: Annotated[int, Meta(ge=1, le=LONGEST_SECONDS)] = USUAL_SECONDS


class InvitationReport(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """An invitation as it is answered, once: the manager itself keeps no more than a digest."""

    token: str
    name: str
    host: str
    labels: dict[str, str]
    until: datetime

    def __repr__(self) -> str:
        return f"InvitationReport(name={self.name!r}, until={self.until})"


# -- a worker and the manager --------------------------------------------------------------------


class JoinIn(Value, frozen=True, kw_only=True):
    """A worker that asks to join. `request` asks for a certificate (PKCS 10, PEM); "" for none."""

    secret: Annotated[str, Meta(max_length=128)]
    name: Name
    port: Annotated[int, Meta(ge=1, le=65535)]
    request: Annotated[str, Meta(max_length=REQUEST_MOST)] = ""

    def __repr__(self) -> str:
        return f"JoinIn(name={self.name!r}, port={self.port})"


class JoinReport(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What a worker gets that joined: its certificate, whom to trust, and who may speak to it.

    Without TLS all of that is empty.
    """

    name: str
    url: str = msgspec.field(name="URL")
    certificate: str = ""
    ca: str = msgspec.field(name="CA", default="")
    clients: tuple[str, ...] = ()


def decode_invitation(body: bytes) -> InvitationIn:
    """What is asked for, from a request's body. Raises: Malformed, BadField."""
    return _decoded(body, InvitationIn)


def decode_join(body: bytes) -> JoinIn:
    """Who asks to join, from a request's body. Raises: Malformed, BadField."""
    return _decoded(body, JoinIn)


def _decoded(body: bytes, kind: type[_Asked]) -> _Asked:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise BadField(field_words(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not JSON: {error}") from error
