"""Who may speak: whom the operator lets in, and what that makes of one who asks. PURE.

A client is known by its certificate, by a name that stands in it, or by a token. Either is enough.
Where the operator named nobody, everybody who reaches the worker is let in, and `unsafe` tells
where that may not be. Tokens are kept as digests only: nothing here can tell one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from msgspec import Struct

from keelman.errors import (
    CannotStart,
    ForbiddenClient,
    ForbiddenPage,
    KeelmanError,
    Unauthorized,
)

NOBODY, ANYBODY = "nobody", "loopback"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,1024}")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


class Token(Struct, frozen=True):
    """One that is let in: its name, and the sha256 of what it must show."""

    name: str
    digest: bytes


class Admitted(Struct, frozen=True, kw_only=True):
    """Whom the operator lets in: certificates with one of these names, and these tokens."""

    clients: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()

    @property
    def named(self) -> bool:
        """Whether anybody was named at all."""
        return bool(self.clients or self.tokens)


class Shown(Struct, frozen=True, kw_only=True):
    """What a request shows of who asks.

    `names` are the DNS names of a certificate that TLS has verified, None without one. `origin` is
    what a browser tells of the page that asks, with all that could change something.
    """

    token: str = ""
    names: tuple[str, ...] | None = None
    origin: str | None = None


class Verdict(Struct, frozen=True):
    """Who it is, as far as that is known, and the refusal, None for one who may speak."""

    caller: str
    refusal: type[KeelmanError] | None = None


def judge(admitted: Admitted, shown: Shown) -> Verdict:
    """Who asks, and whether he may. What is wrong with a token does not show in the time.

    Anybody on this machine is not any page that its browser shows: a page's author can have its
    name lead here, and would be root. Where tokens are asked for, a page has none.
    """
    if not admitted.named:
        return Verdict(ANYBODY, None if shown.origin is None else ForbiddenPage)
    holder = _holder(admitted.tokens, shown.token)
    known = [name for name in shown.names or () if name in admitted.clients]
    if known:
        return Verdict(f"tls:{known[0]}")
    if holder:
        return Verdict(f"token:{holder}")
    if shown.names is not None:
        return Verdict(f"tls:{', '.join(shown.names[:1])}", ForbiddenClient)
    return Verdict(NOBODY, Unauthorized)


def _holder(tokens: Iterable[Token], shown: str) -> str:
    """The name of a token; all are compared, each in constant time."""
    digest = _digest(shown)
    found = ""
    for token in tokens:
        found = token.name if compare_digest(token.digest, digest) else found
    return found


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def bearer(header: str | None) -> str:
    """The token in an Authorization header; nothing where there is none."""
    found = _BEARER.fullmatch(header or "")
    return found[1] if found else ""


# -- files of tokens -----------------------------------------------------------------------------


def read_tokens(text: str) -> tuple[Token, ...]:
    """Those of a file: a line each, NAME TOKEN; a name may have several, while one takes over.

    Blank lines and those that begin with # are passed over. No error tells what stands in a line.
    Raises: CannotStart.
    """
    tokens = tuple(
        _token(number, line.split())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    if not tokens:
        raise CannotStart("it holds no token; a line is NAME TOKEN")
    if len({token.digest for token in tokens}) < len(tokens):
        raise CannotStart("it holds a token twice")
    return tokens


def _token(number: int, words: list[str]) -> Token:
    if len(words) != 2:
        raise CannotStart(f"line {number} is not NAME TOKEN")
    name, token = words
    if not _NAME.fullmatch(name):
        raise CannotStart(f"line {number}: its name must be letters, digits, _ . - (at most 63)")
    return Token(name, _digest(checked_token(token, f"line {number}: ")))


def own_token(text: str) -> str:
    """A client's own, from a file of one line: TOKEN, or NAME TOKEN. Raises: CannotStart."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    lines = [words for words in lines if not words[0].startswith("#")]
    if len(lines) != 1 or len(lines[0]) > 2:
        raise CannotStart("it must hold one line: TOKEN, or NAME TOKEN")
    return checked_token(lines[0][-1])


def checked_token(token: str, where: str = "") -> str:
    """A token, if it can be one. Raises: CannotStart, which does not tell what it was."""
    if not _TOKEN.fullmatch(token):
        words = "a token must have at least 16 letters, digits and - . _ ~ + / ="
        raise CannotStart(f"{where}{words}")
    return token


# -- where it may not be -------------------------------------------------------------------------

WAYS = (
    "with --tls-cert and --tls-key, and then either --tls-ca and --allow-client (mutual TLS) or"
    " --token-file; `keelman certs` makes the certificates. On 127.0.0.1 it needs neither"
)


def unsafe(admitted: Admitted, *, encrypted: bool) -> str:
    """What is wrong with an address that other machines reach, "" when nothing is."""
    danger = "whoever speaks to it can start containers as root"
    if not admitted.named:
        return f"other machines reach this address, and {danger}: let in only whom you know, {WAYS}"
    if not encrypted:
        return f"a token over plain HTTP is read by whoever is on the way, and {danger}: go {WAYS}"
    return ""
