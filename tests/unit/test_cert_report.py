"""What is told of a folder of certificates, and what is called wrong there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keelman import cert_files, certs
from keelman.cert_report import look
from keelman.certs import CertsError

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CA for ten years, and a certificate for one."""
    made = tmp_path / "certs"
    cert_files.init(made, now=NOW, days=3650)
    cert_files.issue(made, "node-1", hosts=["192.0.2.7"], now=NOW, days=365)
    return made


def warnings(folder: Path, now: datetime = NOW) -> tuple[str, ...]:
    return look(folder, now=now).warnings


def test_all_is_told_and_nothing_is_wrong(folder: Path) -> None:
    told = look(folder, now=NOW)
    ca, leaf = told.certificates
    assert (told.dir, told.warnings) == (str(folder), ())
    assert (ca.file, ca.names, ca.days_left, ca.signed_by) == ("ca.pem", (), 3650, ca.name)
    assert (leaf.file, leaf.name, leaf.days_left) == ("node-1.pem", "node-1", 365)
    assert leaf.names[:2] == ("node-1", "192.0.2.7")
    assert (leaf.not_after, leaf.signed_by) == (NOW + 365 * DAY, ca.name)
    assert leaf.fingerprint == certs.fingerprint((folder / "node-1.pem").read_bytes())


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (335, None),
        (336, "node-1.pem (node-1) expires in 29 days, on 2027-01-31"),
        (364.5, "node-1.pem (node-1) expires in 0 days, on 2027-01-31"),
        (365, "node-1.pem (node-1) expired on 2027-01-31"),
        (400, "node-1.pem (node-1) expired on 2027-01-31"),
    ],
)
def test_what_expires_within_30_days_is_warned_of(
    days: float, said: str | None, folder: Path
) -> None:
    assert warnings(folder, NOW + days * DAY) == (() if said is None else (said,))


def test_a_ca_that_expires_is_warned_of_as_well(folder: Path) -> None:
    words = warnings(folder, NOW + 3640 * DAY)
    assert any(word.startswith("ca.pem (Keelman CA") and "in 10 days" in word for word in words)


def test_a_clock_that_is_behind_is_noticed(folder: Path) -> None:
    assert "node-1.pem (node-1) is not valid before 2026-01-31 07:55 UTC" in warnings(
        folder, NOW - DAY
    )


def test_during_a_change_of_ca_both_are_told_and_nothing_is_wrong(folder: Path) -> None:
    cert_files.renew_ca(folder, now=NOW, days=3650)
    told = look(folder, now=NOW)
    new, old, leaf = told.certificates
    assert [new.file, old.file] == ["ca.pem", "ca.pem"]
    assert leaf.signed_by == old.name != new.name
    assert told.warnings == ()


def test_a_certificate_that_nobody_trusts_is_told_of(folder: Path, tmp_path: Path) -> None:
    cert_files.init(tmp_path / "other", now=NOW, days=3650)
    (folder / "ca.pem").write_bytes((tmp_path / "other/ca.pem").read_bytes())
    (folder / "ca.key").unlink()
    (word,) = warnings(folder)
    assert word.startswith("node-1.pem is signed by no CA of ca.pem: Keelman CA")


def test_a_worker_has_no_key_of_the_ca_and_that_is_right(folder: Path) -> None:
    (folder / "ca.key").unlink()
    assert warnings(folder) == ()


def test_a_machine_without_ca_pem_trusts_nobody(folder: Path) -> None:
    for name in ("ca.pem", "ca.key"):
        (folder / name).unlink()
    assert warnings(folder) == ("there is no ca.pem: nobody is trusted",)


@pytest.mark.parametrize("name", ["ca.key", "node-1.key", "node-1.key.old"])
def test_a_key_that_others_can_read_is_told_of(name: str, folder: Path) -> None:
    """Also one that was replaced: it is valid all the same."""
    cert_files.renew(folder, "node-1", hosts=None, now=NOW, days=365)
    (folder / name).chmod(0o644)
    path = folder / name
    assert warnings(folder) == (f"{path} is open to others (0644): chmod 600 {path}",)


def test_a_folder_that_others_can_enter_is_told_of(folder: Path) -> None:
    folder.chmod(0o711)
    assert warnings(folder) == (f"{folder} is open to others (0711): chmod 700 {folder}",)


@pytest.mark.parametrize("name", ["ca", "node-1"])
def test_a_key_that_does_not_fit_is_told_of(name: str, folder: Path, tmp_path: Path) -> None:
    """As a copy of half the files leaves it; or no key at all."""
    cert_files.init(tmp_path / "other", now=NOW, days=10)
    said = (f"{name}.key is the key of no certificate in {name}.pem",)
    for other in ((tmp_path / "other/ca.key").read_bytes(), b"no key"):
        (folder / f"{name}.key").write_bytes(other)
        assert warnings(folder) == said


def test_a_key_of_the_old_ca_is_not_the_key_of_a_certificate(folder: Path) -> None:
    """A file's first certificate counts, not the CA behind it."""
    (folder / "node-1.key").write_bytes((folder / "ca.key").read_bytes())
    assert warnings(folder) == ("node-1.key is the key of no certificate in node-1.pem",)


def test_a_key_alone_is_told_of(folder: Path) -> None:
    (folder / "node-1.pem").unlink()
    assert warnings(folder) == ("node-1.key is there without node-1.pem",)


def test_what_is_no_certificate_is_named(folder: Path) -> None:
    (folder / "node-2.pem").write_text("none")
    with pytest.raises(CertsError, match=r"node-2\.pem: it holds no certificate in PEM"):
        look(folder, now=NOW)


def test_a_folder_without_certificates_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(CertsError, match="has no certificates: `keelman certs init`"):
        look(tmp_path, now=NOW)
    with pytest.raises(CertsError, match="nowhere is no folder"):
        look(tmp_path / "nowhere", now=NOW)


def test_a_folder_in_place_of_a_file_is_named(folder: Path) -> None:
    (folder / "node-2.pem").mkdir()
    with pytest.raises(CertsError, match=r"node-2\.pem: Is a directory"):
        look(folder, now=NOW)
