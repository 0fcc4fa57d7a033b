"""The worker's door: what it is given, what it refuses to start with, and how it is renewed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives import serialization
from structlog.typing import EventDict

from keelman import tls_expiry
from keelman.access import Verdict
from keelman.certs import names_of
from keelman.door import Door
from keelman.errors import CannotStart, Unauthorized
from keelman.worker import Credentials
from tests.unit.given_credentials import NEW, NOW, OLD, OTHER, Folder, a_ca, secret

DAY = 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "certs")


def opened(
    given: Credentials,
    *,
    later_seconds: float = 0,
    expiring: Callable[[Mapping[str, float]], None] = lambda when: None,
) -> Door:
    return Door(given, lambda: NOW.timestamp() + later_seconds, expiring)


def served_by(folder: Folder, **more: Any) -> Credentials:
    cert, key = folder.issue("node-1")
    return Credentials(tls_cert=cert, tls_key=key, **more)


def verdict(door: Door, token: str) -> Verdict:
    head = {"Authorization": f"Bearer {token}"}
    request = make_mocked_request("GET", "/tasks", headers=head, transport=asyncio.Transport())
    return door.judge(request)


@pytest.mark.parametrize(
    ("certificate", "caller"),
    [
        (None, "nobody"),
        ({}, "nobody"),
        ({"subject": ((("commonName", "m"),),)}, "tls:"),
        ({"subjectAltName": (("DNS", "m"), ("IP Address", "127.0.0.1"))}, "tls:m"),
        ({"subjectAltName": (("email", "m"), ("URI", "m"), ("DirName", "m"))}, "tls:"),
        ({"subjectAltName": (("IP Address", "m"), ("DNS", "x"))}, "tls:x"),
    ],
)
def test_the_name_of_a_certificate_is_its_dns_name_and_nothing_else(
    folder: Folder, certificate: dict[str, object] | None, caller: str
) -> None:
    """Of what TLS has verified, in the form in which Python tells it."""
    door = opened(served_by(folder, tls_ca=folder.ca, allow_client=("m",)))
    transport = asyncio.Transport({"peercert": certificate})
    verdict = door.judge(make_mocked_request("GET", "/tasks", transport=transport))
    assert verdict.caller == caller
    assert (verdict.refusal is None) == (caller == "tls:m")


# -- what belongs together -----------------------------------------------------------------------

FILE = Path("file.pem")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Credentials(tls_cert=FILE), "--tls-cert and --tls-key"),
        (Credentials(tls_key=FILE), "--tls-cert and --tls-key"),
        (Credentials(tls_cert=FILE, tls_key=FILE, tls_ca=FILE), "--tls-ca and --allow-client"),
        (Credentials(tls_cert=FILE, tls_key=FILE, allow_client=("a",)), "--tls-ca and"),
        (Credentials(tls_ca=FILE, allow_client=("a",)), "--tls-ca needs --tls-cert"),
        *(
            (
                Credentials(tls_cert=FILE, tls_key=FILE, tls_ca=FILE, allow_client=("a", name)),
                "the name of no one client",
            )
            for name in ("", "localhost", "127.0.0.1", "::1")
        ),
    ],
)
def test_half_of_a_set_is_refused(given: Credentials, words: str) -> None:
    with pytest.raises(CannotStart, match=words):
        opened(given)


@pytest.mark.parametrize("name", ["*.example.com", "a b", "a.", "https://a", "m,n", "a:1"])
def test_what_is_no_name_of_a_client_is_refused(name: str) -> None:
    """It would let in nobody, and its operator believe that it does."""
    given = Credentials(tls_cert=FILE, tls_key=FILE, tls_ca=FILE, allow_client=("m", name))
    with pytest.raises(CannotStart, match=r"is no name such as manager-1") as refused:
        given.check()
    assert repr(name) in refused.value.message
    Credentials(tls_cert=FILE, tls_key=FILE, tls_ca=FILE, allow_client=("m-1.Example.com",)).check()


def test_what_stands_in_every_certificate_is_nobodys_name(folder: Folder) -> None:
    """Or one certificate of the CA would be as good as another."""
    cert, _ = folder.issue("node-1")
    own, *shared = names_of(cert.read_bytes())
    assert own == "node-1"
    for name in shared:
        with pytest.raises(CannotStart, match="the name of no one client"):
            opened(served_by(folder, tls_ca=folder.ca, allow_client=(name,)))


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o604, 0o640 | 0o020, 0o602, 0o644, 0o666])
@pytest.mark.parametrize("which", ["token", "key"])
def test_a_secret_that_others_may_read_is_refused(folder: Folder, which: str, mode: int) -> None:
    tokens = secret(folder.path / "tokens", f"a {OLD}")
    given = served_by(folder, token_file=tokens)
    opened(given)
    (tokens if which == "token" else folder.key("node-1")).chmod(mode)
    with pytest.raises(CannotStart, match="chmod 600"):
        opened(given)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_its_group_may_read_a_secret(tmp_path: Path, mode: int) -> None:
    """As systemd hands out credentials."""
    tokens = secret(tmp_path / "tokens", f"a {OLD}")
    tokens.chmod(mode)
    assert verdict(opened(Credentials(token_file=tokens)), OLD) == Verdict("token:a")


def _locked(key: Path) -> None:
    """The same key, under a password."""
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    form = serialization.PrivateFormat.PKCS8
    lock = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, lock))


def _replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BREAK: dict[str, Callable[[Folder], object]] = {
    "no certificate": lambda folder: folder.cert("node-1").unlink(),
    "no key": lambda folder: folder.key("node-1").unlink(),
    "no CA": lambda folder: folder.ca.unlink(),
    "no tokens": lambda folder: (folder.path / "tokens").unlink(),
    "empty certificate": lambda folder: folder.cert("node-1").write_text(""),
    "empty CA": lambda folder: folder.ca.write_text(""),
    "empty tokens": lambda folder: (folder.path / "tokens").write_text(""),
    "tokens in no UTF-8": lambda folder: (folder.path / "tokens").write_bytes(b"a \xff\xff" * 9),
    "a folder for tokens": lambda folder: _replaced_by_a_folder(folder.path / "tokens"),
    "rubbish for a key": lambda folder: folder.key("node-1").write_text("rubbish"),
    "another's key": lambda folder: folder.key("node-1").write_bytes(
        folder.issue("node-2")[1].read_bytes()
    ),
    "a key with a password": lambda folder: _locked(folder.key("node-1")),
    "expired": lambda folder: folder.issue("node-1", now=NOW - timedelta(days=9), days=8),
    "not yet valid": lambda folder: folder.issue("node-1", now=NOW + timedelta(days=1)),
    "expired CA": lambda folder: folder.ca.write_bytes(a_ca(days=-1).cert),
}


@pytest.mark.parametrize("what", BREAK)
def test_it_does_not_start_with_a_broken_file(folder: Folder, what: str) -> None:
    """And says in one line which one."""
    tokens = secret(folder.path / "tokens", f"a {OLD}")
    given = served_by(folder, tls_ca=folder.ca, allow_client=("m",), token_file=tokens)
    opened(given)
    BREAK[what](folder)
    with pytest.raises(CannotStart) as refused:
        opened(given)
    assert str(folder.path) in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("what", BREAK)
def test_with_a_broken_file_nothing_is_renewed(folder: Folder, what: str) -> None:
    """The old ones stay, all of them, and the log tells."""
    tokens = secret(folder.path / "tokens", f"a {OLD}")
    door = opened(served_by(folder, tls_ca=folder.ca, allow_client=("m",), token_file=tokens))
    before = door._held
    tokens.write_text(f"a {NEW}")
    BREAK[what](folder)
    with structlog.testing.capture_logs() as lines:
        door.reload()
    assert door._held is before
    assert events(lines) == [("error", "credentials not read anew; the old ones stay")]
    assert "0123456789abcdef" not in repr(lines)


def events(lines: list[EventDict]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in lines]


def test_a_token_file_is_read_anew(tmp_path: Path) -> None:
    """Old and new side by side, then the new one alone."""
    tokens = secret(tmp_path / "tokens", f"a {OLD}")
    door = opened(Credentials(token_file=tokens))
    for text, good in ((f"a {OLD}\na {NEW}", {OLD, NEW}), (f"a {NEW}", {NEW})):
        tokens.write_text(text)
        with structlog.testing.capture_logs() as lines:
            door.reload()
        assert events(lines) == [("info", "credentials read anew")]
        for token in (OLD, NEW, OTHER):
            right = Verdict("token:a") if token in good else Verdict("nobody", Unauthorized)
            assert verdict(door, token) == right


def test_without_anything_given_there_is_nothing_to_read_anew() -> None:
    door = opened(Credentials())
    door.reload()
    assert (door.tls, verdict(door, "")) == (None, Verdict("loopback"))


# -- how it speaks -------------------------------------------------------------------------------


def test_it_speaks_tls_13_alone_and_resumes_no_session(folder: Folder) -> None:
    door = opened(served_by(folder))
    assert door.tls is not None
    assert door.tls.minimum_version is ssl.TLSVersion.TLSv1_3
    assert door.tls.num_tickets == 0
    assert door.tls.verify_mode is ssl.CERT_NONE


def test_with_a_ca_certificates_are_asked_for_and_no_other_ca_is_trusted(folder: Folder) -> None:
    door = opened(served_by(folder, tls_ca=folder.ca, allow_client=("m",)))
    assert door.tls is not None
    assert door.tls.verify_mode is ssl.CERT_OPTIONAL
    assert door.tls.cert_store_stats()["x509"] == 1


# -- how long it lasts ---------------------------------------------------------------------------


def test_it_tells_when_its_certificates_expire(folder: Folder) -> None:
    told: dict[str, float] = {}
    given = served_by(folder, tls_ca=folder.ca, allow_client=("m",))
    opened(given, expiring=told.update)
    days = {which: round((at - NOW.timestamp()) / DAY) for which, at in told.items()}
    assert days == {"cert": 20, "ca": 30}


def test_the_first_to_expire_of_a_chain_counts_and_of_cas_the_first_still_good(
    folder: Folder,
) -> None:
    cert, _ = folder.issue("node-1", days=5)
    long, _ = folder.issue("node-2", days=9)
    chain = folder.path / "chain.pem"
    chain.write_bytes(long.read_bytes() + cert.read_bytes())
    assert round((tls_expiry.expiry(chain, NOW.timestamp()) - NOW.timestamp()) / DAY) == 5
    folder.trust(a_ca(days=7), a_ca(days=-1), a_ca(days=99))
    assert round((tls_expiry.trust_expiry(folder.ca, NOW.timestamp()) - NOW.timestamp()) / DAY) == 7


@pytest.mark.parametrize(("days", "warned"), [(5, True), (7, False)])
def test_a_certificate_that_expires_within_14_days_is_warned_of(
    folder: Folder, days: int, warned: bool
) -> None:
    """It lasts 20 days; at the start and at each reading."""
    given = served_by(folder)
    with structlog.testing.capture_logs() as lines:
        door = opened(given, later_seconds=(20 - 14) * DAY + (60 if warned else -60))
    warning = ("warning", "certificate expires soon")
    assert events(lines) == [warning] * warned
    with structlog.testing.capture_logs() as lines:
        door.reload()
    assert events(lines) == [("info", "credentials read anew"), *[warning] * warned]


# -- where it stands -----------------------------------------------------------------------------


def test_on_loopback_nobody_need_be_named_and_a_warning_tells() -> None:
    door = opened(Credentials())
    with structlog.testing.capture_logs() as lines:
        door.check("127.0.0.1", on_loopback=True)
    assert events(lines) == [("warning", "every user of this machine can start containers as root")]


def test_who_names_somebody_is_not_warned(tmp_path: Path) -> None:
    door = opened(Credentials(token_file=secret(tmp_path / "tokens", f"a {OLD}")))
    with structlog.testing.capture_logs() as lines:
        door.check("127.0.0.1", on_loopback=True)
    assert lines == []


def test_off_loopback_a_certificate_alone_does_not_do(folder: Folder) -> None:
    tokens = secret(folder.path / "tokens", f"a {OLD}")
    for given in (Credentials(), served_by(folder), Credentials(token_file=tokens)):
        with pytest.raises(CannotStart, match="as root"):
            opened(given).check("127.0.0.1", on_loopback=False)
    for given in (
        served_by(folder, token_file=tokens),
        served_by(folder, tls_ca=folder.ca, allow_client=("m",)),
    ):
        opened(given).check("127.0.0.1", on_loopback=False)


def test_an_address_that_the_certificate_is_not_for_is_told(folder: Folder) -> None:
    """Of the files that are read, at the start and at each reading: who asks there hangs up."""
    tokens = secret(folder.path / "tokens", f"a {OLD}")
    folder.issue("node-1", "10.99.5.2")
    given = Credentials(
        tls_cert=folder.cert("node-1"), tls_key=folder.key("node-1"), token_file=tokens
    )
    door = opened(given)
    warning = ("warning", "certificate is not for this address")
    with structlog.testing.capture_logs() as lines:
        door.check("10.99.5.1", on_loopback=False)
        door.reload()
    assert events(lines) == [warning, ("info", "credentials read anew"), warning]
    assert (lines[0]["address"], "10.99.5.2" in lines[0]["names"]) == ("10.99.5.1", True)
    folder.issue("node-1", "10.99.5.1")
    with structlog.testing.capture_logs() as lines:
        door.reload()
    assert events(lines) == [("info", "credentials read anew")]


def test_without_a_certificate_there_is_none_for_another_address(tmp_path: Path) -> None:
    door = opened(Credentials(token_file=secret(tmp_path / "tokens", f"a {OLD}")))
    with structlog.testing.capture_logs() as lines:
        door.check("127.0.0.1", on_loopback=True)
    assert lines == []


# -- what is told of it --------------------------------------------------------------------------


def test_what_was_read_is_told_without_a_secret(folder: Folder) -> None:
    """So that who sees the log sees whose files these are."""
    tokens = secret(folder.path / "tokens", f"a {OLD}\nb {NEW}")
    door = opened(served_by(folder, tls_ca=folder.ca, allow_client=("m",), token_file=tokens))
    assert door.told == {
        "cert": str(folder.cert("node-1")),
        "names": ["node-1", "localhost", "127.0.0.1", "::1"],
        "until": f"{NOW + timedelta(days=20):%Y-%m-%d}",
        "ca": str(folder.ca),
        "clients": ["m"],
        "token_file": str(tokens),
        "tokens": 2,
    }
    assert opened(Credentials()).told == {}


def test_what_was_read_anew_is_told_again(folder: Folder) -> None:
    door = opened(served_by(folder))
    folder.issue("node-1", "10.99.5.1")
    with structlog.testing.capture_logs() as lines:
        door.reload()
    assert lines == [{"log_level": "info", "event": "credentials read anew", **door.told}]
    assert "10.99.5.1" in lines[0]["names"]
