"""TLS contexts from files in PEM: the listener's, and those of who calls it.

A listener asks for the client's certificate and does not insist, so that who has none can be told
so over HTTP. Nothing here logs, and no error tells what stands in a file.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from keelman.errors import CannotStart

_EXPOSED = 0o027  # others may do something with it, or its group may write to it


def listener(cert: Path, key: Path, ca: Path | None) -> ssl.SSLContext:
    """TLS 1.3 as a server; with `ca`, certificates of clients are verified by it alone.

    No session is ever resumed: it would carry a client's certificate past a change of the CA.
    Raises: CannotStart.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    _load(context, cert, key)
    if ca is not None:
        _trust(context, ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def caller(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """As a client, who trusts `ca` alone (None: whom the system trusts). Raises: CannotStart."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    else:
        _trust(context, ca)
    if cert is not None and key is not None:
        _load(context, cert, key)
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as error:
        raise CannotStart(f"{ca}: {_words(error)}") from error


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    read_secret(key)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:
        words = _words(error) if isinstance(error, OSError) else str(error)
        raise CannotStart(f"{cert} with {key}: {words}") from error


def _no_password() -> str:
    """Instead of asking on the terminal, where nobody sits."""
    raise ValueError("a key with a password is not supported")


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no certificate or key in PEM").replace("_", " ").lower()
    return error.strerror or str(error)


# -- files ---------------------------------------------------------------------------------------


def read(path: Path) -> bytes:
    """What a file holds. Raises: CannotStart."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from error


def read_secret(path: Path) -> bytes:
    """What a file holds that nobody else may read. Raises: CannotStart."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from error
    if mode & _EXPOSED:
        raise CannotStart(f"{path}: others may read it, or write to it: chmod 600 {path}")
    return text
