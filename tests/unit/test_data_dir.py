"""The data directory is for its owner alone, whatever it was before."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keelman.data_dir import close_to_others

CLOSED = "data directory closed to others"
NOT_CLOSED = "data directory not closed to others"
OURS = [
    *("lock", "keelman.db", "keelman.db-wal", "keelman.db.before-2", "keelman.mark"),
    *("joined.json", "joined.key", "joined.pem", "joined.ca.pem", "joining.json.new"),
    *("heard.json", "heard.new"),
    *("flight.jsonl", "flight.jsonl.1", "audit.jsonl", "audit.jsonl.7", "audit-refused.jsonl"),
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """One that is open to everybody, with the worker's files in it."""
    made = tmp_path / "data"
    made.mkdir()
    for name in OURS:
        (made / name).touch()
        (made / name).chmod(0o644)
    made.chmod(0o755)
    return made


def test_what_is_open_is_closed_and_told(directory: Path) -> None:
    with capture_logs() as logged:
        close_to_others(directory)
    assert mode(directory) == 0o700
    assert {mode(directory / name) for name in OURS} == {0o600}
    assert logged == [
        {"event": CLOSED, "log_level": "warning", "paths": ["data", *sorted(OURS)]},
    ]


def test_what_is_closed_is_nothing_to_tell(directory: Path) -> None:
    close_to_others(directory)
    with capture_logs() as logged:
        close_to_others(directory)
    assert logged == []


def test_a_directory_that_others_use_stays_as_it_is(directory: Path) -> None:
    """Who names /tmp or /var/lib by mistake does not close it to everybody."""
    (directory / "theirs").touch(mode=0o644)
    with capture_logs() as logged:
        close_to_others(directory)
    assert (mode(directory), mode(directory / "theirs")) == (0o755, 0o644)
    assert {mode(directory / name) for name in OURS} == {0o600}
    assert [one["event"] for one in logged] == [CLOSED, NOT_CLOSED]


def test_no_link_is_followed(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    elsewhere.chmod(0o644)
    (directory / "flight.jsonl").unlink()
    (directory / "flight.jsonl").symlink_to(elsewhere)
    close_to_others(directory)
    assert mode(elsewhere) == 0o644


def test_what_cannot_be_closed_keeps_no_worker_from_starting(tmp_path: Path) -> None:
    with capture_logs() as logged:
        close_to_others(tmp_path / "nowhere")
    assert [one["event"] for one in logged] == [NOT_CLOSED]
