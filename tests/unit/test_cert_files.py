"""The folder of certificates: whole files, keys for nobody else, nothing overwritten unasked."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keelman import cert_files, certs
from keelman.cert_names import BadName
from keelman.certs import CertsError, Pair

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a CA."""
    made = tmp_path / "certs"
    cert_files.init(made, now=NOW, days=3650)
    return made


def issue(folder: Path, name: str = "node-1", *hosts: str) -> None:
    cert_files.issue(folder, name, hosts=hosts, now=NOW, days=365)


def renew(folder: Path, name: str = "node-1", *, hosts: list[str] | None = None) -> None:
    cert_files.renew(folder, name, hosts=hosts, now=NOW + DAY, days=365)


def renew_ca(folder: Path, now: datetime = NOW + DAY) -> None:
    cert_files.renew_ca(folder, now=now, days=3650)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# -- what is there -------------------------------------------------------------------------------


def test_a_ca_and_certificates_are_files_with_their_keys(folder: Path) -> None:
    issue(folder)
    files = content(folder)
    assert set(files) == {"ca.pem", "ca.key", "node-1.pem", "node-1.key"}
    assert certs.belongs(files["ca.key"], files["ca.pem"])
    assert certs.belongs(files["node-1.key"], files["node-1.pem"])
    assert certs.split(files["node-1.pem"])[1:] == certs.split(files["ca.pem"])


def test_keys_are_for_nobody_else_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cert_files.init(tmp_path / "a/b", now=NOW, days=10)
        issue(tmp_path / "a/b")
        renew(tmp_path / "a/b")
        renew_ca(tmp_path / "a/b")
    finally:
        os.umask(before)
    keys = sorted((tmp_path / "a/b").glob("*.key*"))
    assert len(keys) == 4
    assert {mode(path) for path in keys} == {0o600}
    assert mode(tmp_path / "a/b") == 0o700


def test_a_key_is_never_there_in_part_nor_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every sync to disk, a key that is there has all its lines, and no file has wider modes."""
    seen: list[set[str]] = []
    real = os.fsync

    def watching(descriptor: int) -> None:
        keys = [path for path in folder.iterdir() if ".key" in path.name]
        assert all(mode(path) == 0o600 for path in keys)
        whole = {
            path.name for path in folder.glob("*.key") if b"-END PRIVATE KEY-" in path.read_bytes()
        }
        assert whole == {path.name for path in folder.glob("*.key")}
        seen.append(whole)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watching)
    issue(folder)
    assert seen == [{"ca.key"}, {"ca.key", "node-1.key"}, {"ca.key", "node-1.key"}]


@pytest.mark.parametrize("at", [1, 2])
def test_a_disk_that_fails_leaves_what_was_there(
    at: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that breaks off leaves no half file; asked for again, it goes through."""
    issue(folder, "node-1", "192.0.2.7")
    before, real, calls = content(folder), os.fsync, iter(range(1, 9))

    def failing(descriptor: int) -> None:
        if next(calls) == at:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(CertsError, match="No space left on device"):
        renew(folder)
    after = content(folder)
    assert after["node-1.pem"] == before["node-1.pem"]
    assert after["node-1.key" if at == 1 else "node-1.key.old"] == before["node-1.key"]
    assert not any(name.endswith(".new") for name in after)
    renew(folder)
    assert "192.0.2.7" in certs.names_of((folder / "node-1.pem").read_bytes())


def test_what_a_crash_left_is_in_nobodys_way(folder: Path) -> None:
    (folder / ".node-1.key.new").write_text("half a k")
    issue(folder)
    assert set(content(folder)) == {"ca.pem", "ca.key", "node-1.pem", "node-1.key"}


def test_a_link_that_lies_in_wait_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    (folder / ".node-1.key.new").symlink_to(tmp_path / "elsewhere")
    issue(folder)
    assert not (tmp_path / "elsewhere").exists()
    assert not (folder / "node-1.key").is_symlink()


def test_a_link_that_comes_between_is_not_written_through(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After what was in the way is removed, and before the new file is made."""
    (folder / ".node-1.key.new").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)
    with pytest.raises(CertsError, match="File exists"):
        issue(folder)
    assert not (tmp_path / "elsewhere").exists()


# -- nothing is overwritten ----------------------------------------------------------------------


def test_a_ca_is_not_made_twice(folder: Path) -> None:
    before = content(folder)
    with pytest.raises(CertsError, match="has a CA already; --renew"):
        cert_files.init(folder, now=NOW, days=10)
    assert content(folder) == before


@pytest.mark.parametrize("left", ["node-1.pem", "node-1.key"])
def test_a_certificate_is_not_issued_twice(left: str, folder: Path) -> None:
    """Nor where only one of its files is left."""
    issue(folder)
    for name in {"node-1.pem", "node-1.key"} - {left}:
        (folder / name).unlink()
    before = content(folder)
    with pytest.raises(CertsError, match=f"{left} is there already; --renew replaces it"):
        issue(folder)
    assert content(folder) == before


def test_a_key_without_its_ca_is_not_overwritten(tmp_path: Path) -> None:
    """It may be all that is left of a CA."""
    (tmp_path / "ca.key").write_text("precious")
    with pytest.raises(CertsError, match=r"ca\.key without ca\.pem"):
        cert_files.init(tmp_path, now=NOW, days=10)
    assert content(tmp_path) == {"ca.key": b"precious"}


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Something that happens while a certificate is made."""
    real = certs.issue

    def made(*args: Any, **kwargs: Any) -> Pair:
        happens()
        return real(*args, **kwargs)

    monkeypatch.setattr(certs, "issue", made)


def put_precious(folder: Path) -> None:
    (folder / "node-1.key").write_text("precious")


def test_a_key_that_came_meanwhile_is_not_overwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: put_precious(folder))
    with pytest.raises(CertsError, match=r"/node-1\.key: File exists"):
        issue(folder)
    assert (folder / "node-1.key").read_text() == "precious"
    assert not (folder / "node-1.pem").exists()


def test_a_second_writer_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the key of one would stand beside the certificate of the other."""
    tried: list[str] = []

    def try_it() -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tried.append("must wait")
        finally:
            os.close(descriptor)

    meanwhile(monkeypatch, try_it)
    issue(folder)
    renew(folder)
    assert tried == ["must wait", "must wait"]


def test_of_two_at_once_one_is_issued(folder: Path) -> None:
    """And the files that are left belong to each other."""
    refused: list[str] = []

    def one() -> None:
        try:
            issue(folder)
        except CertsError as error:
            refused.append(error.message)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = content(folder)
    assert len(refused) == 3
    assert certs.belongs(files["node-1.key"], files["node-1.pem"])


# -- renewals ------------------------------------------------------------------------------------


def test_a_renewal_has_another_key_and_keeps_the_one_before(folder: Path) -> None:
    issue(folder)
    before = content(folder)
    renew(folder)
    after = content(folder)
    assert after["node-1.key.old"] == before["node-1.key"] != after["node-1.key"]
    assert after["node-1.pem.old"] == before["node-1.pem"] != after["node-1.pem"]
    assert certs.belongs(after["node-1.key"], after["node-1.pem"])
    assert certs.expires(after["node-1.pem"]) == NOW + 366 * DAY


@pytest.mark.parametrize(
    ("told", "hosts"),
    [(None, {"192.0.2.7", "a.example"}), ([], set()), (["b.example"], {"b.example"})],
    ids=["not told", "none", "others"],
)
def test_a_renewal_keeps_the_hosts_unless_told(
    told: list[str] | None, hosts: set[str], folder: Path
) -> None:
    issue(folder, "node-1", "192.0.2.7", "a.example")
    renew(folder, hosts=told)
    names = set(certs.names_of((folder / "node-1.pem").read_bytes()))
    assert names - {"localhost", "127.0.0.1", "::1"} == {"node-1"} | hosts


def test_only_what_is_there_is_renewed(folder: Path) -> None:
    """A name that was mistyped makes no new certificate."""
    issue(folder)
    with pytest.raises(CertsError, match=r"no node-2\.pem to renew"):
        renew(folder, "node-2")
    assert not (folder / "node-2.key").exists()


def test_without_the_certificate_its_hosts_must_be_told(folder: Path) -> None:
    issue(folder, "node-1", "192.0.2.7")
    (folder / "node-1.pem").unlink()
    with pytest.raises(CertsError, match="name them with --host"):
        renew(folder)
    renew(folder, hosts=["192.0.2.7"])
    assert (folder / "node-1.pem").exists()


# -- another CA ----------------------------------------------------------------------------------


def test_a_new_ca_signs_and_the_old_one_is_still_trusted(folder: Path) -> None:
    issue(folder, "before")
    (old,) = certs.split((folder / "ca.pem").read_bytes())
    renew_ca(folder)
    issue(folder, "after")
    new, still = certs.split((folder / "ca.pem").read_bytes())
    assert still == old
    assert certs.signed_by((folder / "before.pem").read_bytes(), old)
    assert certs.signed_by((folder / "after.pem").read_bytes(), new)
    assert certs.split((folder / "after.pem").read_bytes())[1] == new


def test_an_expired_ca_is_not_taken_along(tmp_path: Path) -> None:
    cert_files.init(tmp_path / "certs", now=NOW, days=10)
    renew_ca(tmp_path / "certs", NOW + 10 * DAY)
    assert len(certs.split((tmp_path / "certs/ca.pem").read_bytes())) == 1


def test_a_change_of_ca_that_broke_off_leaves_the_old_one_at_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ca.pem is new, ca.key is not yet: what it signs is trusted everywhere."""
    (old,) = certs.split((folder / "ca.pem").read_bytes())
    real, calls = os.fsync, iter(range(1, 9))

    def failing(descriptor: int) -> None:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(CertsError):
        renew_ca(folder)
    issue(folder)
    assert len(certs.split((folder / "ca.pem").read_bytes())) == 2
    assert certs.signed_by((folder / "node-1.pem").read_bytes(), old)


def test_the_old_ca_is_retired_when_nothing_needs_it(folder: Path) -> None:
    issue(folder)
    renew_ca(folder)
    with pytest.raises(CertsError, match=r"node-1\.pem is of another CA"):
        cert_files.retire(folder)
    renew(folder)
    cert_files.retire(folder)
    (left,) = certs.split((folder / "ca.pem").read_bytes())
    assert certs.belongs((folder / "ca.key").read_bytes(), left)
    assert not list(folder.glob("ca.*.old"))


def test_a_machine_without_the_cas_key_makes_no_ca(folder: Path) -> None:
    """It has ca.pem to trust; another CA there would be trusted by nobody."""
    (folder / "ca.key").unlink()
    for verb in (renew_ca, issue, cert_files.retire):
        with pytest.raises(CertsError, match=r"has no ca\.key"):
            verb(folder)


def test_a_key_of_another_ca_signs_nothing(folder: Path, tmp_path: Path) -> None:
    cert_files.init(tmp_path / "other", now=NOW, days=10)
    (folder / "ca.key").write_bytes((tmp_path / "other/ca.key").read_bytes())
    with pytest.raises(CertsError, match="key of no certificate"):
        issue(folder)


# -- names of others -----------------------------------------------------------------------------


def test_nobody_has_anothers_name_as_a_host(folder: Path) -> None:
    """A worker's certificate with the host manager-1 would be let in as the manager."""
    issue(folder, "manager-1")
    with pytest.raises(CertsError, match="node-1 would pass for manager-1"):
        issue(folder, "node-1", "manager-1")
    assert not (folder / "node-1.key").exists()


def test_nobody_is_named_as_a_host_of_another(folder: Path) -> None:
    """The same, the other way round."""
    issue(folder, "node-1", "manager-1")
    with pytest.raises(CertsError, match="node-1 would pass for manager-1"):
        issue(folder, "manager-1")


# -- folders that are none -----------------------------------------------------------------------


def test_an_empty_folder_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    cert_files.init(tmp_path, now=NOW, days=10)
    assert mode(tmp_path) == 0o700


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(CertsError, match="it has passwd: name another"):
        cert_files.init(tmp_path, now=NOW, days=10)
    assert (mode(tmp_path), set(content(tmp_path))) == (0o755, {"passwd"})


@pytest.mark.parametrize("verb", [issue, renew_ca, cert_files.retire])
def test_a_folder_without_a_ca_is_told_of(verb: object, tmp_path: Path) -> None:
    assert callable(verb)
    with pytest.raises(CertsError, match="nowhere is no folder: `keelman certs init` begins there"):
        verb(tmp_path / "nowhere")
    with pytest.raises(CertsError, match=r"has no ca\.pem: make a CA with"):
        verb(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for verb in (issue, lambda path: cert_files.init(path, now=NOW, days=10)):
        with pytest.raises(CertsError, match="file: "):
            verb(tmp_path / "file")


def test_with_a_key_that_others_can_read_nothing_is_signed(folder: Path) -> None:
    (folder / "ca.key").chmod(0o640)
    with pytest.raises(CertsError, match=r"ca\.key is open to others \(0640\): chmod 600"):
        issue(folder)


def test_in_a_folder_that_others_can_enter_nothing_is_signed(folder: Path) -> None:
    folder.chmod(0o755)
    with pytest.raises(CertsError, match=r"open to others \(0755\): chmod 700"):
        issue(folder)


def test_a_wrong_name_leads_out_of_no_folder(folder: Path) -> None:
    for verb in (issue, renew):
        with pytest.raises(BadName):
            verb(folder, "../node-1")
