"""A small certificate authority: its certificate, those that it signs, and what stands in them.

PEM in, PEM out: files are `cert_files`' business, and nobody here asks the clock. All keys are
P-256, which every TLS takes. There is one kind of certificate for managers and workers alike, good
for serving and for asking: a manager does both, and a worker can be asked through the same machine.
Who may do what is not decided by the kind but by the name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import (
    PrivateKeyTypes,
    PublicKeyTypes,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keelman.cert_names import alternative_names, checked_host
from keelman.errors import KeelmanError

EARLIER = timedelta(minutes=5)  # valid since then: clocks differ


class CertsError(KeelmanError):
    """Certificates are not as they must be."""

    code = "certs"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its private key, as PEM; the key is in no repr, and so in no traceback."""

    cert: bytes
    key: bytes = field(repr=False)


# -- making --------------------------------------------------------------------------------------


def new_ca(*, now: datetime, days: int) -> Pair:
    """A certificate authority that signs itself; no two of them have the same name."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    subject = _subject(f"Keelman CA {serial % 2**32:08x}")
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _begun(subject, subject, key.public_key(), serial)
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Pair(cert=_pem(builder.sign(key, hashes.SHA256())), key=_key_pem(key))


def issue(ca: Pair, name: str, *, hosts: Sequence[str] = (), now: datetime, days: int) -> Pair:
    """A new key and its certificate, for `name`, `hosts` (names or IPs) and loopback.

    It does not outlive its CA. Raises: BadName, CertsError when `ca` has expired or does not fit.
    """
    key, names = ec.generate_private_key(ec.SECP256R1()), alternative_names(name, hosts)
    builder = _leaf(ca, name, names, key.public_key(), now=now, days=days)
    cert = builder.add_extension(_BOTH_ENDS, critical=False).sign(_ca_key(ca), hashes.SHA256())
    return Pair(cert=_pem(cert), key=_key_pem(key))


def new_request() -> Pair:
    """A new key, and a request (PKCS 10) of a certificate for it, in the place of one."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Pair(cert=request, key=_key_pem(key))


def sign(ca: Pair, request: bytes, name: str, *, host: str, now: datetime, days: int) -> bytes:
    """A certificate for the key of a request: for serving at `host`, and for nothing else.

    What the request says beside its key is not looked at. Raises: as `issue`; CertsError also for
    a request that is none.
    """
    builder = _leaf(ca, name, (checked_host(host),), _requested(request), now=now, days=days)
    serving = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return _pem(builder.add_extension(serving, critical=False).sign(_ca_key(ca), hashes.SHA256()))


def key_of_request(request: bytes) -> str:
    """The sha256 of the public key that a request is for, in hex. Raises: CertsError."""
    return sha256(_spki(_requested(request))).hexdigest()


def _requested(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        asked = x509.load_pem_x509_csr(request)
        key, sound = asked.public_key(), asked.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertsError("it is no request of a certificate in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertsError("a request must be for a key of P-256")
    if not sound:
        raise CertsError("the request is not signed with its own key")
    return key


def _leaf(
    ca: Pair,
    name: str,
    names: Sequence[str],
    key: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    """All of a certificate but what it may be used for, and its signature."""
    issuer = _parsed(ca.cert)
    if now >= issuer.not_valid_after_utc:
        raise CertsError(f"the CA expired on {issuer.not_valid_after_utc:%Y-%m-%d}")
    return (
        _begun(_subject(name), issuer.subject, key, x509.random_serial_number())
        .not_valid_before(max(now - EARLIER, issuer.not_valid_before_utc))
        .not_valid_after(min(now + timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.SubjectAlternativeName(map(_general, names)), critical=False)
        .add_extension(_authority(issuer), critical=False)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


_BOTH_ENDS = x509.ExtendedKeyUsage(
    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known.value)


def _ca_key(ca: Pair) -> ec.EllipticCurvePrivateKey:
    if not belongs(ca.key, ca.cert):
        raise CertsError("the CA's key is not that of its certificate")
    key = _private(ca.key)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertsError("the CA's key is no key of an elliptic curve")
    return key


# -- reading -------------------------------------------------------------------------------------


def split(bundle: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM file, each as a PEM of its own. Raises: CertsError: none."""
    try:
        return tuple(_pem(cert) for cert in x509.load_pem_x509_certificates(bundle))
    except ValueError as error:
        raise CertsError("it holds no certificate in PEM") from error


def names_of(cert: bytes) -> tuple[str, ...]:
    """All whom a certificate is for, as `alternative_names` had them; of a CA none.

    Of a PEM with a chain, the first certificate counts; so it is everywhere here.
    """
    try:
        extension = _parsed(cert).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in extension.value)


def subject_of(cert: bytes) -> str:
    """The common name: NAME, or what a CA is called."""
    return _common_name(_parsed(cert).subject)


def issuer_of(cert: bytes) -> str:
    """What the CA is called that is said to have signed it; `signed_by` tells whether it did."""
    return _common_name(_parsed(cert).issuer)


def _common_name(name: x509.Name) -> str:
    return ", ".join(str(one.value) for one in name.get_attributes_for_oid(NameOID.COMMON_NAME))


def begins(cert: bytes) -> datetime:
    """Since when it is valid."""
    return _parsed(cert).not_valid_before_utc


def expires(cert: bytes) -> datetime:
    """Until when it is valid."""
    return _parsed(cert).not_valid_after_utc


def fingerprint(cert: bytes) -> str:
    """Its sha256, in hex."""
    return _parsed(cert).fingerprint(hashes.SHA256()).hex()


def signed_by(cert: bytes, ca: bytes) -> bool:
    """Whether the CA's key signed it."""
    try:
        _parsed(cert).verify_directly_issued_by(_parsed(ca))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def belongs(key: bytes, cert: bytes) -> bool:
    """Whether a private key is that of a certificate. Raises: CertsError: it is no key."""
    return _spki(_private(key).public_key()) == _spki(_parsed(cert).public_key())


def _spki(key: PublicKeyTypes) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)


# -- PEM -----------------------------------------------------------------------------------------


def _parsed(cert: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(cert)
    except ValueError as error:
        raise CertsError("it holds no certificate in PEM") from error


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _private(key: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise CertsError("it holds no private key in PEM without a password") from error


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
