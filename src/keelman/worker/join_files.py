"""What a worker keeps of having joined, in its data directory, for nobody else to read.

`joining.json` has its key before anybody is asked, so that who asks again after a lost answer is
the same. `joined.json` is written whole when the answer is there; from it alone the files are made
that TLS reads, at each start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from keelman.door import Credentials
from keelman.errors import CannotStart
from keelman.invitation import JoinReport
from keelman.values import Value

_Kept = TypeVar("_Kept")

JOINING, JOINED = "joining.json", "joined.json"
CERT, KEY, CA = "joined.pem", "joined.key", "joined.ca.pem"


class Asking(Value, frozen=True, kw_only=True):
    """Who asks to join: by which invitation (the digest of its secret), and with which key."""

    invitation: str
    key: str = ""
    request: str = ""

    def __repr__(self) -> str:
        return "Asking(***)"


class Joined(Value, frozen=True, kw_only=True):
    """What came of it."""

    asking: Asking
    manager: str
    answer: JoinReport


class JoinFiles:
    """Those files in a data directory. All of it raises CannotStart."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def joined(self) -> Joined | None:
        """What came of the last time that it joined."""
        return _read(self._directory / JOINED, Joined)

    def asking(self) -> Asking | None:
        """Who asked last, and got no answer yet."""
        return _read(self._directory / JOINING, Asking)

    def begin(self, asking: Asking) -> None:
        """Keep who asks, before it does."""
        _write(self._directory / JOINING, msgspec.json.encode(asking))

    def end(self, joined: Joined) -> None:
        """Keep what came of it."""
        _write(self._directory / JOINED, msgspec.json.encode(joined))
        (self._directory / JOINING).unlink(missing_ok=True)

    def credentials(self, joined: Joined, given: Credentials) -> Credentials:
        """Those that were given, and those that it got; as files, which is what TLS reads."""
        answer = joined.answer
        if not answer.certificate:
            return given
        cert, key, ca = (self._directory / name for name in (CERT, KEY, CA))
        _write(key, joined.asking.key.encode())
        _write(cert, answer.certificate.encode())
        _write(ca, answer.ca.encode())
        return Credentials(
            tls_cert=cert,
            tls_key=key,
            tls_ca=ca,
            allow_client=tuple(dict.fromkeys((*answer.clients, *given.allow_client))),
            token_file=given.token_file,
        )


def _read(path: Path, kind: type[_Kept]) -> _Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from error
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
    ) as error:  # its words may quote what stands there
        words = "is not as it was written: remove it, and join by another invitation"
        raise CannotStart(f"{path} {words}") from error


def _write(path: Path, content: bytes) -> None:
    """The whole file at once, on disk, and for its owner alone."""
    new = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from error


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
