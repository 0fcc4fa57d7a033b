"""What a worker keeps of having joined: whole, for nobody else, and the same after a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keelman.door import Credentials
from keelman.errors import CannotStart
from keelman.invitation import JoinReport
from keelman.worker.join_files import JOINED, JOINING, Asking, Joined, JoinFiles

ASKING = Asking(invitation="digest", key="the key", request="the request")
ANSWER = JoinReport(
    name="node-4", url="https://h:5556", certificate="cert", ca="cas", clients=("manager-1",)
)
JOINED_NOW = Joined(asking=ASKING, manager="https://manager-1:5555", answer=ANSWER)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    files = JoinFiles(tmp_path)
    assert (files.asking(), files.joined()) == (None, None)
    files.begin(ASKING)
    assert (files.asking(), files.joined()) == (ASKING, None)
    files.end(JOINED_NOW)
    assert (files.asking(), files.joined()) == (None, JOINED_NOW)


def test_it_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, open_umask: None) -> None:
    files = JoinFiles(tmp_path)
    files.begin(ASKING)
    assert (tmp_path / JOINING).stat().st_mode & 0o777 == 0o600
    files.end(JOINED_NOW)
    files.credentials(JOINED_NOW, Credentials())
    found = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert found == dict.fromkeys((JOINED, "joined.pem", "joined.key", "joined.ca.pem"), 0o600)


def test_what_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """Nor is a link that lies there written through."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / f"{JOINED}.new").symlink_to(precious)
    (tmp_path / JOINED).symlink_to(precious)
    JoinFiles(tmp_path).end(JOINED_NOW)
    assert precious.read_text() == "precious"
    assert JoinFiles(tmp_path).joined() == JOINED_NOW


def test_it_starts_with_what_it_got_and_what_was_given(tmp_path: Path) -> None:
    """Who may speak to it: the manager, and whom its own operator names."""
    given = Credentials(allow_client=("admin", "manager-1"), token_file=tmp_path / "tokens")
    told = JoinFiles(tmp_path).credentials(JOINED_NOW, given)
    assert told.allow_client == ("manager-1", "admin")
    assert told.token_file == given.token_file
    paths = (told.tls_cert, told.tls_key, told.tls_ca)
    assert [path.read_text() for path in paths if path] == ["cert", "the key", "cas"]


def test_without_certificates_it_starts_as_it_was_told(tmp_path: Path) -> None:
    """And has no file of any."""
    plain = Joined(
        asking=Asking(invitation="d"), manager="m", answer=JoinReport(name="n", url="http://l:1")
    )
    given = Credentials(token_file=tmp_path / "tokens")
    assert JoinFiles(tmp_path).credentials(plain, given) == given
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"{", b'{"Manager":"\xff the key"}', b'{"Asking":"the key"}', b"\xff"]
)
def test_a_file_that_is_broken_is_told_of_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOINED).write_bytes(content)
    with pytest.raises(CannotStart, match="is not as it was written") as refused:
        JoinFiles(tmp_path).joined()
    assert "the key" not in refused.value.message


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="nowhere"):
        JoinFiles(tmp_path / "nowhere").begin(ASKING)


def test_a_key_does_not_show() -> None:
    assert "the key" not in repr(JOINED_NOW)
