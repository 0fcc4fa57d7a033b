"""`keelman certs` as a program: what it prints, and its statuses."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from keelman import cert_files, certs
from keelman.cert_report import look
from keelman.cli.certs import folder_of, table
from tests.unit.test_cli_status import Keelman, keelman, one_line

__all__ = ["keelman"]  # a fixture


@pytest.fixture
async def folder(tmp_path: Path, keelman: Keelman) -> Path:
    """With a CA and a certificate, as the command line makes them."""
    made = tmp_path / "certs"
    for words in (("init",), ("issue", "node-1", "--host", "192.0.2.7", "--host", "a.example")):
        assert (await keelman("certs", *words, "--dir", str(made))).status == 0
    return made


async def test_init_and_issue_tell_what_they_made(tmp_path: Path, keelman: Keelman) -> None:
    made = await keelman("certs", "init", "--dir", str(tmp_path / "certs"))
    issued = await keelman("certs", "issue", "node-1", "--dir", str(tmp_path / "certs"))
    paths = [tmp_path / "certs" / name for name in ("ca.pem", "ca.key", "node-1.pem", "node-1.key")]
    assert (made.out + issued.out).splitlines() == [str(path) for path in paths]
    assert all(path.exists() for path in paths)


async def test_show_has_a_line_for_each(folder: Path, keelman: Keelman) -> None:
    shown = await keelman("certs", "show", "--dir", str(folder))
    head, ca, leaf = (line.split() for line in shown.out.splitlines())
    assert (shown.status, shown.err) == (0, "")
    assert head == ["FILE", "NAME", "HOSTS", "UNTIL", "DAYS", "LEFT", "SIGNED", "BY"]
    assert (ca[0], ca[-1]) == ("ca.pem", "itself")
    assert leaf[:4] == ["node-1.pem", "node-1", "192.0.2.7,", "a.example"]
    assert leaf[5] == "364"


async def test_json_has_it_all(folder: Path, keelman: Keelman) -> None:
    shown = await keelman("certs", "show", "--json", "--dir", str(folder))
    told = msgspec.json.decode(shown.out)
    assert set(told) == {"Dir", "Certificates", "Warnings"}
    assert set(told["Certificates"][1]) == (
        {"File", "Name", "Names", "NotAfter", "DaysLeft", "SignedBy", "Fingerprint"}
    )


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_what_expires_soon_is_1_with_a_line(
    form: tuple[str, ...], folder: Path, keelman: Keelman
) -> None:
    """So that a timer that runs it fails."""
    words = ("certs", "issue", "node-1", "--renew", "--days", "29", "--dir", str(folder))
    assert (await keelman(*words)).status == 0
    shown = await keelman("certs", "show", *form, "--dir", str(folder))
    assert shown.status == 1
    assert one_line(shown).startswith("node-1.pem (node-1) expires in 28 days, on ")
    assert "node-1.pem" in shown.out


async def test_a_ca_is_changed_step_by_step(folder: Path, keelman: Keelman) -> None:
    """As the docs have it."""
    at = ("--dir", str(folder))
    assert (await keelman("certs", "init", "--renew", *at)).status == 0
    early = await keelman("certs", "retire", *at)
    assert (early.status, one_line(early)) == (
        *(1, "node-1.pem is of another CA: renew it first, or remove it"),
    )
    assert (await keelman("certs", "issue", "node-1", "--renew", *at)).status == 0
    assert (await keelman("certs", "retire", *at)).out == f"{folder / 'ca.pem'}\n"
    assert (await keelman("certs", "show", *at)).status == 0
    assert "192.0.2.7" in certs.names_of((folder / "node-1.pem").read_bytes())


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        ("issue Node_1", 2, "is no name such as 'node-1'"),
        ("issue node-2 --host *", 2, "is no host such as"),
        ("issue node-2 --days 0", 2, "--days"),
        ("init --days 1000000", 2, "--days"),
        ("frob", 2, "Unknown command"),
        ("issue", 2, "NAME"),
        ("issue node-1", 1, "--renew replaces it"),
        ("init", 1, "has a CA already"),
        ("issue node-2 --renew", 1, "leave out --renew"),
    ],
)
async def test_what_is_wrong_is_a_line_and_a_status(
    words: str, status: int, complaint: str, folder: Path, keelman: Keelman
) -> None:
    ended = await keelman("certs", *words.split(), "--dir", str(folder))
    assert ended.status == status
    assert complaint in one_line(ended)


@pytest.mark.parametrize("words", ["show", "issue node-1", "init --renew", "retire"])
async def test_a_folder_that_is_not_there_is_1(
    words: str, tmp_path: Path, keelman: Keelman
) -> None:
    ended = await keelman("certs", *words.split(), "--dir", str(tmp_path / "nowhere"))
    assert ended.status == 1
    assert str(tmp_path / "nowhere") in one_line(ended)


@pytest.mark.parametrize(
    ("user", "usual"), [(0, "/etc/keelman/certs"), (7, "/home/me/.config/keelman/certs")]
)
def test_the_usual_folder_is_the_systems_for_root(
    user: int, usual: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("HOME", "/home/me")
    assert str(folder_of(None)) == usual


def test_what_a_file_says_does_not_steer_the_terminal(tmp_path: Path) -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    cert_files.init(tmp_path / "certs", now=now, days=10)
    odd = tmp_path / "certs" / "\x1b[31m.pem"
    odd.write_bytes((tmp_path / "certs/ca.pem").read_bytes())
    rows = table(look(tmp_path / "certs", now=now + timedelta(days=1)).certificates)
    assert "\x1b" not in "".join(map(str, rows.columns[0].cells))
