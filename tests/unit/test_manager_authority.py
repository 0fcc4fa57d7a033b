"""The CA that a manager signs with: its files fit each other, or it does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelman import certs
from keelman.door import Credentials
from keelman.errors import BadField, CannotStart
from keelman.manager import ManagerOptions, NodeCredentials, authority
from keelman.manager.authority import Authority
from keelman.manager.serve import how_to_join
from tests.unit.given_credentials import NOW, Folder, a_ca, secret

SECRET = bytes(16)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    one = Folder(tmp_path / "certs")
    secret(one.path / "ca.key", one.pair.key.decode())
    one.issue("manager-1", "192.0.2.1")
    return one


def read(folder: Folder, served: str = "manager-1", shown: str = "manager-1") -> Authority:
    return authority.read(
        folder.ca, folder.key("ca"), served=folder.cert(served), shown=folder.cert(shown)
    )


def options(folder: Folder, **changes: Path | None) -> ManagerOptions:
    cert, key = folder.cert("manager-1"), folder.key("manager-1")
    served = {"tls_cert": cert, "tls_key": key, "tls_ca": folder.ca}
    nodes = {"ca": folder.ca, "cert": cert, "key": key, "ca_key": folder.key("ca")}
    kept = {name: changes.get(name, path) for name, path in served.items()}
    return ManagerOptions(
        data_dir=folder.path,
        credentials=Credentials(**kept, allow_client=("admin",)),
        node_credentials=NodeCredentials(
            **{name: changes.get(name, path) for name, path in nodes.items()}
        ),
    )


def test_it_knows_the_managers_names_and_signs(folder: Folder) -> None:
    """Loopback is nobody's own."""
    one, request = read(folder), certs.new_request()
    assert one.clients == ("manager-1",)
    assert one.names == {"manager-1", "192.0.2.1"}
    assert one.pin == bytes.fromhex(certs.fingerprint(folder.pair.cert))
    chain = certs.split(one.sign(request.cert.decode(), "n", "h", NOW.timestamp()).encode())
    assert certs.belongs(request.key, chain[0])
    assert chain[1] == folder.pair.cert


def test_of_several_cas_the_one_signs_whose_key_it_is(folder: Folder) -> None:
    """And all are trusted, while one takes over."""
    old, new = folder.pair, a_ca()
    folder.trust(new, old)
    assert read(folder).cert == old.cert.decode()
    assert len(certs.split(read(folder).trusted.encode())) == 2


def test_what_is_no_request_is_a_wrong_field(folder: Folder) -> None:
    one = read(folder)
    with pytest.raises(BadField, match="Request: "):
        one.key_of("x")
    with pytest.raises(BadField, match="Request: "):
        one.sign("x", "n", "h", NOW.timestamp())


def test_a_key_of_another_ca_is_refused(folder: Folder) -> None:
    secret(folder.key("ca"), a_ca().key.decode())
    with pytest.raises(CannotStart, match="the key of no CA in"):
        read(folder)
    secret(folder.key("ca"), "nonsense")
    with pytest.raises(CannotStart, match="no private key"):
        read(folder)


def test_a_key_that_others_may_read_is_refused(folder: Folder) -> None:
    folder.key("ca").chmod(0o644)
    with pytest.raises(CannotStart, match="chmod 600"):
        read(folder)


def test_the_managers_own_certificate_is_of_that_ca(folder: Folder, tmp_path: Path) -> None:
    """Who joins knows it by nothing else."""
    other = Folder(tmp_path / "other", a_ca())
    other.issue("manager-1")
    cert = other.cert("manager-1")
    with pytest.raises(CannotStart, match="another CA"):
        authority.read(folder.ca, folder.key("ca"), served=cert, shown=cert)


def test_a_certificate_without_a_name_is_no_clients(folder: Folder) -> None:
    """Nobody could let it in."""
    folder.cert("none").write_bytes(folder.pair.cert)
    with pytest.raises(CannotStart, match="no name"):
        read(folder, shown="none")


@pytest.mark.parametrize("left_out", ["ca", "cert", "tls_cert"])
def test_the_cas_key_needs_what_it_is_for(folder: Folder, left_out: str) -> None:
    with pytest.raises(CannotStart, match="--node-ca-key needs"):
        how_to_join(options(folder, **{left_out: None}), lambda: SECRET)


def test_names_of_clients_are_nobody_elses(folder: Folder) -> None:
    """As those of the manager are not."""
    joining = how_to_join(options(folder), lambda: SECRET)
    assert joining.names == {"admin", "manager-1", "192.0.2.1"}
    assert joining.encrypted
    without = how_to_join(options(folder, ca_key=None), lambda: SECRET)
    assert (without.encrypted, without.authority) == (True, None)
    assert without.names == {"admin"}
