"""Certificates on request: for the key that asks, one host, for serving, and nothing else."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from keelman import certs, tls
from keelman.cert_names import BadName
from keelman.certs import CertsError, Pair
from tests.unit.given_certs import TODAY, ca_at, handshake, issued, put

HOST = "192.0.2.7"


@pytest.fixture(scope="module")
def ca() -> Pair:
    return ca_at()


def signed(ca: Pair, request: Pair, host: str = HOST, days: int = 365) -> Pair:
    cert = certs.sign(ca, request.cert, "node-4", host=host, now=TODAY, days=days)
    return Pair(cert=cert, key=request.key)


def request_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *names: str) -> bytes:
    """One that asks for more than it gets."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    asked = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    ca = x509.BasicConstraints(ca=True, path_length=None)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(asked, critical=False).add_extension(ca, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_certificate_is_for_the_key_that_asked_and_one_host(ca: Pair) -> None:
    """Not for loopback, and not for its own name."""
    one = signed(ca, certs.new_request())
    assert certs.belongs(one.key, one.cert)
    assert certs.signed_by(one.cert, ca.cert)
    assert (certs.subject_of(one.cert), certs.names_of(one.cert)) == ("node-4", (HOST,))
    assert certs.names_of(signed(ca, certs.new_request(), "Node-4.example").cert) == (
        "node-4.example",
    )


def test_what_a_request_says_beside_its_key_is_not_looked_at(ca: Pair) -> None:
    """Another name, and to be a CA."""
    request = request_of(ec.generate_private_key(ec.SECP256R1()), "manager-1", "admin")
    cert = certs.sign(ca, request, "node-4", host=HOST, now=TODAY, days=1)
    assert (certs.subject_of(cert), certs.names_of(cert)) == ("node-4", (HOST,))
    limits = x509.load_pem_x509_certificate(cert).extensions
    assert not limits.get_extension_for_class(x509.BasicConstraints).value.ca


def test_it_does_not_outlive_its_ca(ca: Pair) -> None:
    one = signed(ca_at(days=2), certs.new_request())
    assert certs.expires(one.cert) <= TODAY + timedelta(days=2)
    with pytest.raises(CertsError, match="expired"):
        signed(ca_at(now=TODAY - timedelta(days=9), days=2), certs.new_request())


def test_it_serves_and_is_no_client(ca: Pair, tmp_path: Path) -> None:
    """Whoever has it speaks to no worker and no manager with it, whatever its names are."""
    joined = put(signed(ca, certs.new_request(), "node-4.example"), tmp_path, "node-4")
    other = put(issued(ca, "manager-1"), tmp_path, "manager-1")
    for _, key in (joined, other):
        key.chmod(0o600)
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(ca.cert)
    serving = tls.listener(*joined, trusted)
    handshake(serving, tls.caller(trusted, *other), "node-4.example")
    with pytest.raises(ssl.SSLError):
        handshake(tls.listener(*other, trusted), tls.caller(trusted, *joined), "manager-1")


@pytest.mark.parametrize("host", ["*.example", "a b", "fe80::1%eth0", ""])
def test_only_for_a_host(ca: Pair, host: str) -> None:
    with pytest.raises(BadName):
        signed(ca, certs.new_request(), host)


def test_a_request_must_be_one(ca: Pair) -> None:
    """In PEM, of P-256, and signed by the key that it is for."""
    sound = certs.new_request().cert
    with pytest.raises(CertsError, match="no request"):
        certs.key_of_request(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n")
    with pytest.raises(CertsError, match="no request"):
        certs.key_of_request(ca.cert)
    with pytest.raises(CertsError, match="P-256"):
        certs.key_of_request(request_of(rsa.generate_private_key(65537, 2048), "a"))
    with pytest.raises(CertsError, match="P-256"):
        certs.key_of_request(request_of(ec.generate_private_key(ec.SECP384R1()), "a"))
    with pytest.raises(CertsError, match="own key"):
        certs.key_of_request(forged(sound))


def forged(request: bytes) -> bytes:
    """The same with another signature."""
    asked = x509.load_pem_x509_csr(request)
    told = bytearray(asked.public_bytes(serialization.Encoding.DER))
    told[-1] ^= 1
    pem = x509.load_der_x509_csr(bytes(told)).public_bytes(serialization.Encoding.PEM)
    assert pem != request
    return pem


def test_a_key_is_known_again_by_its_request() -> None:
    """Each has its own."""
    one, other = certs.new_request(), certs.new_request()
    assert certs.key_of_request(one.cert) == certs.key_of_request(one.cert)
    assert certs.key_of_request(one.cert) != certs.key_of_request(other.cert)
