"""What a worker's answers come to for a client: what they hold, and what is wrong where they fail.

Errors of HTTP and of the network become ours here, once, where they enter, by their status or their
type. Nothing is asked and nothing is sent.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from keelman.errors import KeelmanError
from keelman.wire import ErrorReport

_Answer = TypeVar("_Answer")
_NOT_UNDERSTOOD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CLOSED = (errno.ECONNRESET, errno.EPIPE)
_OTHER_HOST = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_SSL_ERRORS = (ssl.SSLError, aiohttp.ClientSSLError)

# A server that does not like a certificate ends the connection, and so does one that restarts.
_HUNG_UP = (
    "hung up without an answer: it does so when it is restarted, and when it does not take the"
    " client's certificate (of a CA that it does not trust, or expired)"
)
_HUNG_UP_AT_HTTP = (
    "hung up at plain HTTP without an answer: if it speaks TLS, its address begins with https://;"
    " else it may have been restarted"
)


class ClientError(KeelmanError):
    """The worker's refusal: its HTTP status, its code and its words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Unreachable(KeelmanError):
    """No answer from the address, or the answer broke off."""

    code, retriable = "unreachable", True


class NotTrusted(KeelmanError):
    """One of the two does not take the other's certificate, or does not speak TLS at all."""

    code = "not_trusted"


class OtherHost(NotTrusted):
    """The worker's certificate is good, and for other addresses than the one that was asked."""


class BadAddress(KeelmanError):
    """What was given is no address of a worker, or not one for what would be sent there."""

    code = "bad_address"


class BadToken(KeelmanError):
    """What was given is no token. Its words do not tell what it was."""

    code = "bad_token"


def url(address: str) -> URL:
    """An address as a URL. Raises: BadAddress."""
    wrong = BadAddress(f"{address!r} is no address such as http://127.0.0.1:5556")
    try:
        found = URL(address if "://" in address else f"http://{address}")
    except ValueError as error:
        raise wrong from error
    if found.scheme not in ("http", "https") or not found.host or not found.port:
        raise wrong
    return found


def keeps_secrets(address: URL) -> bool:
    """Whether what is sent there is read by nobody on the way."""
    return address.scheme == "https" or is_loopback(address)


def is_loopback(address: URL) -> bool:
    """Whether it is on this machine alone."""
    if address.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host or "").is_loopback
    except ValueError:
        return False


def decoded(text: bytes, kind: type[_Answer]) -> _Answer:
    """An answer's body. Raises: ClientError."""
    try:
        return msgspec.json.decode(text, type=kind)
    except _NOT_UNDERSTOOD as error:
        words = f"the worker's answer is not understood: {error}"
        raise ClientError(HTTPStatus.BAD_GATEWAY, "not_understood", words) from error


def refusal(status: int, text: bytes) -> ClientError:
    """What an answer of this status says."""
    try:
        told = msgspec.json.decode(text, type=ErrorReport)
    except _NOT_UNDERSTOOD:
        words = text[:200].decode("utf-8", "replace").strip() or "no further words"
        return ClientError(status, "http_error", f"HTTP status {status}: {words}")
    return ClientError(status, told.code, told.message)


@contextmanager
def translated(address: URL) -> Iterator[None]:
    """aiohttp's errors as ours, once, where they enter."""
    try:
        yield
    except TimeoutError as error:
        raise Unreachable(f"no worker answers at {address}: timed out") from error
    except aiohttp.ClientError as error:
        raise _ours(address, error) from error


def _ours(address: URL, error: aiohttp.ClientError) -> KeelmanError:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _not_trusted(address, error.certificate_error)
        case _ if (why := _tls_trouble(error)) is not None:
            return NotTrusted(f"the worker at {address} and TLS do not come together: {why}")
        case aiohttp.ClientConnectionError() if address.scheme == "https" and _hung_up(error):
            return Unreachable(f"the worker at {address} {_HUNG_UP}")
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno or 0
            why = os.strerror(number) if number > 0 else str(error.os_error)
            return Unreachable(f"no worker answers at {address}: {why}")
        case aiohttp.ServerDisconnectedError():
            return Unreachable(f"the worker at {address} {_HUNG_UP_AT_HTTP}")
        case aiohttp.ClientPayloadError():
            return Unreachable(f"the worker at {address} went away in the middle of an answer")
        case _:
            return Unreachable(f"the connection to {address} broke off: {error}")


def _not_trusted(address: URL, error: Exception) -> NotTrusted:
    if getattr(error, "verify_code", 0) in _OTHER_HOST:
        words = f"is for other hosts than {address.host}: issue it with --host {address.host}"
        return OtherHost(f"the certificate of the worker at {address} {words}")
    words = (getattr(error, "verify_message", "") or "a wrong one").rstrip(".")
    return NotTrusted(f"the certificate of the worker at {address} is not trusted: {words}")


def _hung_up(error: aiohttp.ClientConnectionError) -> bool:
    """Whether the other end closed the connection, with or without what it was sent unread."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    closed = ConnectionResetError | BrokenPipeError | aiohttp.ServerDisconnectedError
    return isinstance(cause, closed) or getattr(cause, "errno", None) in _CLOSED


def _tls_trouble(error: BaseException | None) -> str | None:
    """What TLS has against it, if it is that: an error of TLS may be the cause of another one."""
    while error is not None:
        if isinstance(error, _SSL_ERRORS):
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
            return str(reason or "no TLS").replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return None
