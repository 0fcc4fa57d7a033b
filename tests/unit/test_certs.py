"""Certificates: what stands in them, and that Python's own TLS takes them and no others."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from keelman import certs
from keelman.cert_names import BadName
from keelman.certs import CertsError, Pair
from tests.unit.given_certs import ca_at, end, handshake, issued, put

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def parsed(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert)


@pytest.fixture(scope="module")
def ca() -> Pair:
    return ca_at()


# -- what stands in them -------------------------------------------------------------------------


def test_a_ca_signs_certificates_and_no_further_cas() -> None:
    of_ca = parsed(ca_at()).extensions
    limits = of_ca.get_extension_for_class(x509.BasicConstraints)
    usage = of_ca.get_extension_for_class(x509.KeyUsage)
    assert (limits.value.ca, limits.value.path_length, limits.critical) == (True, 0, True)
    assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.critical) == (True, True, True)
    assert not usage.value.digital_signature


def test_a_certificate_is_good_for_both_ends_and_signs_nothing(ca: Pair) -> None:
    of_leaf = parsed(issued(ca)).extensions
    limits = of_leaf.get_extension_for_class(x509.BasicConstraints)
    usage = of_leaf.get_extension_for_class(x509.KeyUsage)
    ends = of_leaf.get_extension_for_class(x509.ExtendedKeyUsage)
    assert (limits.value.ca, limits.critical) == (False, True)
    assert (usage.value.digital_signature, usage.value.key_cert_sign) == (True, False)
    assert set(ends.value) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_certificate_names_the_key_of_its_ca(ca: Pair) -> None:
    """So that of two CAs the right one is found."""
    authority = parsed(issued(ca)).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    own = parsed(ca).extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert authority.value.key_identifier == own.value.digest


def test_no_two_cas_have_the_same_name_or_key() -> None:
    one, two = ca_at(), ca_at()
    assert certs.subject_of(one.cert) != certs.subject_of(two.cert)
    assert one.key != two.key


def test_serials_are_not_guessed(ca: Pair) -> None:
    serials = {parsed(issued(ca)).serial_number for _ in range(20)}
    assert len(serials) == 20
    assert min(serials) > 2**64


def test_keys_are_p_256(ca: Pair) -> None:
    for pair in (ca, issued(ca)):
        key = parsed(pair).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, ec.SECP256R1)


def test_it_is_valid_from_a_little_earlier_for_so_many_days() -> None:
    ca = certs.new_ca(now=NOW, days=10)
    leaf = certs.issue(ca, "node-1", now=NOW + DAY, days=5)
    assert certs.begins(ca.cert) == NOW - certs.EARLIER
    assert certs.expires(ca.cert) == NOW + 10 * DAY
    assert certs.begins(leaf.cert) == NOW + DAY - certs.EARLIER
    assert certs.expires(leaf.cert) == NOW + 6 * DAY


def test_nothing_outlives_its_ca_or_is_older() -> None:
    ca = certs.new_ca(now=NOW, days=10)
    leaf = certs.issue(ca, "node-1", now=NOW - certs.EARLIER, days=365)
    assert certs.expires(leaf.cert) == certs.expires(ca.cert)
    assert certs.begins(leaf.cert) == certs.begins(ca.cert)


def test_an_expired_ca_signs_nothing() -> None:
    ca = certs.new_ca(now=NOW, days=10)
    with pytest.raises(CertsError, match="expired on 2026-02-10"):
        certs.issue(ca, "node-1", now=NOW + 10 * DAY, days=1)


def test_the_key_of_another_ca_signs_nothing(ca: Pair) -> None:
    with pytest.raises(CertsError, match="not that of its certificate"):
        issued(Pair(cert=ca.cert, key=ca_at().key))


@pytest.mark.parametrize(("name", "host"), [("Node_1", "h"), ("node-1", "*"), ("ca", "h")])
def test_a_wrong_name_is_not_issued(name: str, host: str, ca: Pair) -> None:
    with pytest.raises(BadName):
        issued(ca, name, host)


def test_a_key_is_in_no_repr(ca: Pair) -> None:
    assert "PRIVATE" not in repr(ca)


# -- reading -------------------------------------------------------------------------------------


def test_what_was_asked_for_is_read_back(ca: Pair) -> None:
    leaf = issued(ca, "node-1", "192.0.2.7", "2001:db8::7", "Node-1.Example.com")
    asked = ("node-1", "192.0.2.7", "2001:db8::7", "node-1.example.com")
    assert certs.names_of(leaf.cert) == (*asked, "localhost", "127.0.0.1", "::1")
    assert certs.subject_of(leaf.cert) == "node-1"
    assert certs.issuer_of(leaf.cert) == certs.subject_of(ca.cert)
    assert certs.names_of(ca.cert) == ()


def test_a_fingerprint_is_the_sha256_that_others_tell(ca: Pair) -> None:
    der = ssl.PEM_cert_to_DER_cert(ca.cert.decode())
    assert certs.fingerprint(ca.cert) == hashlib.sha256(der).hexdigest()


def test_who_signed_is_not_who_is_named() -> None:
    """Two CAs may be called the same; the signature tells them apart."""
    ca, other = ca_at(), ca_at()
    leaf = issued(ca)
    assert certs.signed_by(leaf.cert, ca.cert)
    assert certs.signed_by(ca.cert, ca.cert)
    assert not certs.signed_by(leaf.cert, other.cert)
    assert not certs.signed_by(leaf.cert, leaf.cert)


def test_a_signature_that_was_tampered_with_is_seen(ca: Pair) -> None:
    """The name is right, the content is another."""
    der = ssl.PEM_cert_to_DER_cert(issued(ca).cert.decode())
    forged = ssl.DER_cert_to_PEM_cert(der.replace(b"\x82\x06node-1", b"\x82\x06node-2"))
    assert "node-2" in certs.names_of(forged.encode())
    assert not certs.signed_by(forged.encode(), ca.cert)


def test_a_key_belongs_to_its_certificate_only(ca: Pair) -> None:
    leaf = issued(ca)
    assert certs.belongs(leaf.key, leaf.cert)
    assert not certs.belongs(ca.key, leaf.cert)


def test_a_bundle_is_taken_apart_and_its_first_counts(ca: Pair) -> None:
    leaf = issued(ca)
    assert certs.split(leaf.cert + ca.cert) == (leaf.cert, ca.cert)
    assert certs.subject_of(leaf.cert + ca.cert) == "node-1"


@pytest.mark.parametrize("rubbish", [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_refused(rubbish: bytes) -> None:
    for read in (certs.split, certs.names_of, certs.expires, certs.fingerprint):
        with pytest.raises(CertsError, match="no certificate"):
            read(rubbish)


def test_what_is_no_key_is_refused(ca: Pair) -> None:
    for rubbish in (b"", ca.cert):
        with pytest.raises(CertsError, match="no private key"):
            certs.belongs(rubbish, ca.cert)


# -- in a handshake ------------------------------------------------------------------------------


class Ends:
    """A worker and a manager with files of their own, each trusting a CA."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def server(self, own: Pair, trusted: bytes) -> ssl.SSLContext:
        return end(ssl.PROTOCOL_TLS_SERVER, put(own, self._folder, "server"), trusted)

    def client(self, own: Pair, trusted: bytes) -> ssl.SSLContext:
        return end(ssl.PROTOCOL_TLS_CLIENT, put(own, self._folder, "client"), trusted)


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return Ends(tmp_path)


@pytest.mark.parametrize(
    "host",
    ["node-1", "node-1.example.com", "192.0.2.7", "2001:db8::7", "localhost", "127.0.0.1", "::1"],
)
def test_worker_and_manager_know_each_other(host: str, ca: Pair, ends: Ends) -> None:
    """By each of the worker's names, in TLS 1.3; the worker learns the manager's name."""
    worker = issued(ca, "node-1", "node-1.example.com", "192.0.2.7", "2001:db8::7")
    server = ends.server(worker, ca.cert)
    client, seen_from_server = handshake(
        server, ends.client(issued(ca, "manager-1"), ca.cert), host
    )
    told = seen_from_server.getpeercert()
    assert client.version() == "TLSv1.3"
    assert told is not None
    assert ("DNS", "manager-1") in told["subjectAltName"]


def test_another_host_is_refused(ca: Pair, ends: Ends) -> None:
    server, client = ends.server(issued(ca), ca.cert), ends.client(issued(ca), ca.cert)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client, "node-2")


def test_a_client_of_a_foreign_ca_is_refused(ca: Pair, ends: Ends) -> None:
    stranger = issued(ca_at(), "manager-1")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ends.server(issued(ca), ca.cert), ends.client(stranger, ca.cert), "node-1")


def test_a_worker_of_a_foreign_ca_is_refused(ca: Pair, ends: Ends) -> None:
    server, client = ends.server(issued(ca_at()), ca.cert), ends.client(issued(ca), ca.cert)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "node-1")


def test_a_certificate_signs_no_other(ca: Pair, ends: Ends) -> None:
    """Whoever has a worker's key cannot make a manager of it."""
    worker = issued(ca)
    forged = issued(worker, "manager-1")
    client = Pair(cert=forged.cert + worker.cert + ca.cert, key=forged.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ends.server(issued(ca), ca.cert), ends.client(client, ca.cert), "node-1")


def test_two_cas_are_trusted_while_one_follows_the_other(ends: Ends) -> None:
    """Old and new certificates know each other, in all four ways."""
    old, new = ca_at(), ca_at()
    both = new.cert + old.cert
    for one in (old, new):
        for other in (old, new):
            server = ends.server(issued(one), both)
            handshake(server, ends.client(issued(other), both), "node-1")


def test_who_trusts_only_the_new_ca_refuses_the_old(ends: Ends) -> None:
    """What the change is for."""
    old, new = ca_at(), ca_at()
    server = ends.server(issued(new), new.cert)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, ends.client(issued(old), new.cert), "node-1")
