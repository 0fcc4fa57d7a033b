"""A folder of certificates: `ca.pem` and `ca.key`, `NAME.pem` and `NAME.key`.

A key is never readable for others, never there in part, and never overwritten unless a renewal is
asked for; what that replaces is kept as `….old`. `ca.pem` may hold several CAs, the newest first:
all of them are trusted, and the one whose key `ca.key` is signs. `NAME.pem` has its CA behind it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from keelman import certs
from keelman.cert_names import LOOPBACK, alternative_names, checked_name
from keelman.certs import CertsError, Pair

CA_CERT, CA_KEY = "ca.pem", "ca.key"
OLD = ".old"
_FOLDER_MODE, _KEY_MODE, _CERT_MODE = 0o700, 0o600, 0o644
_OTHERS = 0o077


# -- the CA --------------------------------------------------------------------------------------


def init(folder: Path, *, now: datetime, days: int) -> None:
    """A new CA in a folder that is new or empty. Raises: CertsError."""
    with _said(folder):
        _make(folder)
        with _held(folder):
            _refuse_what_is_there(folder)
            pair = certs.new_ca(now=now, days=days)
            _create(folder / CA_KEY, pair.key, _KEY_MODE)
            _create(folder / CA_CERT, pair.cert, _CERT_MODE)


def renew_ca(folder: Path, *, now: datetime, days: int) -> None:
    """A new CA that signs from here on; the old ones are trusted until they expire, or `retire`.

    Raises: CertsError.
    """
    with _said(folder), _held(folder):
        ca_of(folder)  # a machine that only has ca.pem makes no CA of its own
        known = certs.split((folder / CA_CERT).read_bytes())
        pair = certs.new_ca(now=now, days=days)
        trusted = [pair.cert, *(old for old in known if certs.expires(old) > now)]
        _replace(folder / CA_CERT, b"".join(trusted), _CERT_MODE)  # first: ca.key fits still
        _replace(folder / CA_KEY, pair.key, _KEY_MODE)


def retire(folder: Path) -> None:
    """Only the CA that signs is trusted from here on; what is left of others is removed.

    Raises: CertsError, also when a certificate in the folder would be trusted no longer.
    """
    with _said(folder), _held(folder):
        ca = ca_of(folder)
        for path in leaves(folder):
            if not certs.signed_by(path.read_bytes(), ca.cert):
                raise CertsError(f"{path.name} is of another CA: renew it first, or remove it")
        _replace(folder / CA_CERT, ca.cert, _CERT_MODE)
        for name in (CA_CERT, CA_KEY):
            (folder / f"{name}{OLD}").unlink(missing_ok=True)


def ca_of(folder: Path) -> Pair:
    """The CA that signs: the one in `ca.pem` whose key `ca.key` is. Raises: CertsError."""
    if not (folder / CA_CERT).exists():
        raise CertsError(f"{folder} has no {CA_CERT}: make a CA with `keelman certs init`")
    if not (folder / CA_KEY).exists():
        raise CertsError(f"{folder} has no {CA_KEY}: issue certificates where the CA was made")
    for path in (folder, folder / CA_KEY):
        if (words := open_to_others(path)) is not None:
            raise CertsError(words)
    key, known = (folder / CA_KEY).read_bytes(), certs.split((folder / CA_CERT).read_bytes())
    for cert in known:
        if certs.belongs(key, cert):
            return Pair(cert=cert, key=key)
    raise CertsError(f"{folder}: {CA_KEY} is the key of no certificate in {CA_CERT}")


# -- certificates --------------------------------------------------------------------------------


def issue(folder: Path, name: str, *, hosts: Sequence[str], now: datetime, days: int) -> None:
    """A key and a certificate for `name`, which has none here. Raises: BadName, CertsError."""
    names = alternative_names(name, hosts)
    with _said(folder), _held(folder):
        pem, key = paths(folder, name)
        for path in (pem, key):
            if path.exists():
                raise CertsError(f"{path} is there already; --renew replaces it")
        ca, pair = _signed(folder, names, now=now, days=days)
        _create(key, pair.key, _KEY_MODE)
        _create(pem, pair.cert + ca.cert, _CERT_MODE)


def renew(
    folder: Path, name: str, *, hosts: Sequence[str] | None, now: datetime, days: int
) -> None:
    """Another key and certificate for `name`; without `hosts` for those that it had.

    Raises: BadName, CertsError.
    """
    checked_name(name)
    with _said(folder), _held(folder):
        pem, key = paths(folder, name)
        if not pem.exists() and not key.exists():
            raise CertsError(f"{folder} has no {pem.name} to renew: leave out --renew")
        names = alternative_names(name, _hosts_of(pem) if hosts is None else hosts)
        ca, pair = _signed(folder, names, now=now, days=days)
        _replace(key, pair.key, _KEY_MODE)
        _replace(pem, pair.cert + ca.cert, _CERT_MODE)


def paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Where the certificate and the key of `name` are."""
    return folder / f"{name}.pem", folder / f"{name}.key"


def leaves(folder: Path) -> list[Path]:
    """All that may be certificates of managers and workers."""
    return sorted(path for path in folder.glob("*.pem") if path.name != CA_CERT)


def _signed(folder: Path, names: Sequence[str], *, now: datetime, days: int) -> tuple[Pair, Pair]:
    name, *hosts = names
    _refuse_names_of_others(folder, names)
    ca = ca_of(folder)
    return ca, certs.issue(ca, name, hosts=hosts, now=now, days=days)


def _hosts_of(pem: Path) -> list[str]:
    if not pem.exists():
        raise CertsError(f"{pem} is gone, and with it the hosts: name them with --host")
    return [name for name in certs.names_of(pem.read_bytes())[1:] if name not in LOOPBACK]


def _refuse_names_of_others(folder: Path, names: Sequence[str]) -> None:
    """Whoever is let in by a name is told by it: nobody may have another's as a host of his."""
    name = names[0]
    for path in leaves(folder):
        if path.stem == name:
            continue
        if path.stem in names:
            raise CertsError(f"{name} would pass for {path.stem}, which has {path.name}")
        if name in _names_in(path):
            raise CertsError(f"{path.stem} would pass for {name}: see the hosts of {path.name}")


def _names_in(path: Path) -> tuple[str, ...]:
    """Of what is no certificate none; `look` tells of it."""
    with suppress(CertsError):
        return certs.names_of(path.read_bytes())
    return ()


# -- the folder ----------------------------------------------------------------------------------


def open_to_others(path: Path) -> str | None:
    """What is wrong with the mode of a key or of the folder, and what mends it."""
    mode = path.stat().st_mode & 0o777
    if not mode & _OTHERS:
        return None
    right = _FOLDER_MODE if path.is_dir() else _KEY_MODE
    return f"{path} is open to others ({mode:04o}): chmod {right:o} {path}"


def _make(folder: Path) -> None:
    """An empty folder that was there is closed to others; one with other things is left alone."""
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        folder.chmod(_FOLDER_MODE)


def _refuse_what_is_there(folder: Path) -> None:
    if (folder / CA_CERT).exists():
        raise CertsError(f"{folder} has a CA already; --renew makes another that follows it")
    if (folder / CA_KEY).exists():
        raise CertsError(f"{folder} has a {CA_KEY} without {CA_CERT}: remove it if it is of no use")
    if found := sorted(path.name for path in folder.iterdir()):
        raise CertsError(f"{folder} is no folder for certificates, it has {found[0]}: name another")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder, for one writer at a time. Raises: CertsError: there is none."""
    if not folder.exists():
        raise CertsError(f"{folder} is no folder: `keelman certs init` begins there")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """Errors of the system, with the file that they are about."""
    try:
        yield
    except OSError as error:
        about = error.filename2 or error.filename or folder
        raise CertsError(f"{about}: {error.strerror}") from error


def _create(path: Path, content: bytes, mode: int) -> None:
    """The whole file at once, or none; never in place of another."""
    with _beside(path, content, mode) as new:
        os.link(new, path)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """The whole file at once; the one before stays as `….old`."""
    with _beside(path, content, mode) as new:
        if path.exists():
            old = path.with_name(f"{path.name}{OLD}")
            old.unlink(missing_ok=True)
            os.link(path, old)
        new.replace(path)


@contextmanager
def _beside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A new file that is on disk; what a crash left of one like it is in nobody's way."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield new
    finally:
        new.unlink(missing_ok=True)
