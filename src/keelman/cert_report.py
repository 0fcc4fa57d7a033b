"""What a folder of certificates has, until when each is good, and what is wrong there.

It reads and changes nothing, and does so on a machine that has only some of the files, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from keelman import certs
from keelman.cert_files import CA_CERT, CA_KEY, leaves, open_to_others
from keelman.certs import CertsError
from keelman.values import Value

SOON = timedelta(days=30)


class Certificate(Value, frozen=True, kw_only=True):
    """One certificate; of a file with a chain the first."""

    file: str
    name: str
    names: tuple[str, ...]
    not_after: datetime
    days_left: int
    signed_by: str
    fingerprint: str


class Report(Value, frozen=True, kw_only=True):
    """All of them, the CAs first, and a sentence for each thing that needs a hand."""

    dir: str
    certificates: tuple[Certificate, ...]
    warnings: tuple[str, ...]


def look(folder: Path, *, now: datetime) -> Report:
    """What is there at `now`. Raises: CertsError when it is no folder of certificates."""
    try:
        found = _read(folder)
        warnings = (*_open(folder), *_expiring(found, now), *_untrusted(found), *_keys(folder))
        return Report(
            dir=str(folder),
            certificates=tuple(_described(file, cert, now) for file, cert in found),
            warnings=warnings,
        )
    except OSError as error:
        raise CertsError(f"{error.filename or folder}: {error.strerror}") from error


_Found = list[tuple[str, bytes]]  # a file's name, and a certificate of it


def _read(folder: Path) -> _Found:
    """Every CA that is trusted, and every certificate."""
    others = leaves(folder)
    with_ca = (folder / CA_CERT).exists()
    if not with_ca and not others:
        missing = "has no certificates" if folder.is_dir() else "is no folder"
        raise CertsError(f"{folder} {missing}: `keelman certs init` begins there")
    cas = [(CA_CERT, cert) for cert in _certs_in(folder / CA_CERT)] if with_ca else []
    return cas + [(path.name, _certs_in(path)[0]) for path in others]


def _certs_in(path: Path) -> tuple[bytes, ...]:
    try:
        return certs.split(path.read_bytes())
    except CertsError as error:
        raise CertsError(f"{path}: {error}") from error


def _described(file: str, cert: bytes, now: datetime) -> Certificate:
    until = certs.expires(cert)
    return Certificate(
        file=file,
        name=certs.subject_of(cert),
        names=certs.names_of(cert),
        not_after=until,
        days_left=(until - now).days,
        signed_by=certs.issuer_of(cert),
        fingerprint=certs.fingerprint(cert),
    )


# -- what is wrong -------------------------------------------------------------------------------


def _expiring(found: _Found, now: datetime) -> Iterator[str]:
    for file, cert in found:
        until, what = certs.expires(cert), f"{file} ({certs.subject_of(cert)})"
        if until <= now:
            yield f"{what} expired on {until:%Y-%m-%d}"
        elif until - now < SOON:
            yield f"{what} expires in {(until - now).days} days, on {until:%Y-%m-%d}"
        if certs.begins(cert) > now:
            yield f"{what} is not valid before {certs.begins(cert):%Y-%m-%d %H:%M} UTC"


def _untrusted(found: _Found) -> Iterator[str]:
    cas = [cert for file, cert in found if file == CA_CERT]
    if not cas:
        yield f"there is no {CA_CERT}: nobody is trusted"
        return
    for file, cert in found:
        if file != CA_CERT and not any(certs.signed_by(cert, ca) for ca in cas):
            yield f"{file} is signed by no CA of {CA_CERT}: {certs.issuer_of(cert)} is not trusted"


def _open(folder: Path) -> Iterator[str]:
    """The folder, and whatever may be a key, also one that was replaced."""
    for path in (folder, *sorted(folder.glob("*.key*"))):
        if (words := open_to_others(path)) is not None:
            yield words


def _keys(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.key")):
        beside = path.with_suffix(".pem")
        if not beside.exists():
            yield f"{path.name} is there without {beside.name}"
        elif not _fits(path, beside):
            yield f"{path.name} is the key of no certificate in {beside.name}"


def _fits(key: Path, beside: Path) -> bool:
    """Of ca.pem any may be meant, of others only the first."""
    known = _certs_in(beside)
    known = known if key.name == CA_KEY else known[:1]
    try:
        return any(certs.belongs(key.read_bytes(), cert) for cert in known)
    except CertsError:
        return False
