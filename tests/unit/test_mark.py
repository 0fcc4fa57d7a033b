"""The mark beside the database: it tells one that was put back from the one that was told of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keelman import mark
from keelman.files import lock_file
from keelman.mark import Mark, home_of

LOG = "ba308d67-297a-438d-975e-046dc14cd4ea"
OTHER = "0c3a7a52-5d2d-4731-b5c9-a97e9832d021"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / mark.FILE_NAME


@pytest.fixture
def marked(path: Path) -> Iterator[Mark]:
    """The log was told up to 7."""
    with closing(Mark(path, "home")) as one:
        one.begin(LOG, 3)
        one.reach(7)
    with closing(Mark(path, "home")) as one:
        yield one


@pytest.mark.parametrize(
    ("log_id", "seq", "doubt"),
    [
        pytest.param(LOG, 7, "", id="as it was told"),
        pytest.param(LOG, 8, "", id="killed before it was marked"),
        pytest.param(LOG, 6, "an older database", id="one was told that is not there"),
        pytest.param(LOG, 0, "an older database", id="from before the first"),
        pytest.param(OTHER, 7, "another database", id="another log, as long"),
        pytest.param(OTHER, 99, "another database", id="another log, longer"),
        pytest.param(None, 7, "a backup was restored", id="without a log id"),
    ],
)
def test_what_does_not_agree_with_the_mark_is_doubted(
    marked: Mark, log_id: str | None, seq: int, doubt: str
) -> None:
    assert marked.doubt(log_id, seq).startswith(doubt)
    assert bool(marked.doubt(log_id, seq)) == bool(doubt)


def test_a_mark_from_elsewhere_is_doubted(marked: Mark, path: Path) -> None:
    """The whole directory was copied, mark and all."""
    with closing(Mark(path, "elsewhere")) as one:
        assert one.doubt(LOG, 7) == "the data directory is a copy"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty, as after a power cut"),
        pytest.param(bytes(4096), id="zeros, as after a power cut"),
        pytest.param(b"\xff\xfe\x00 7 home\n", id="bytes"),
        pytest.param(f"{LOG} seven home\n".encode(), id="no number"),
        pytest.param(f"{LOG} -7 home\n".encode(), id="a number below zero"),
        pytest.param(f"{LOG} 7\n".encode(), id="cut short"),
        pytest.param(f"{LOG} 7 home more\n".encode(), id="more than there is"),
    ],
)
def test_a_mark_that_says_nothing_is_doubted(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with closing(Mark(path, "home")) as one:
        assert one.doubt(LOG, 7)
        one.begin(LOG, 7)
    with closing(Mark(path, "home")) as one:
        assert one.doubt(LOG, 7) == ""


def test_a_shorter_line_over_a_longer_one_is_whole(path: Path) -> None:
    for log_id in (LOG, "short"):
        with closing(Mark(path, "home")) as one:
            one.begin(log_id, 12)
    with closing(Mark(path, "home")) as one:
        assert one.doubt("short", 12) == ""


def test_what_was_marked_is_not_written_again(
    marked: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(os, "pwrite", lambda file, line, at: written.append(at))
    marked.begin(LOG, 7)
    for seq in (7, 7, 8, 8):
        marked.reach(seq)
    assert written == [0, 0]


def test_a_mark_is_for_its_owner_alone(marked: Mark, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def home(directory: Path) -> str:
    lock = lock_file(directory / "lock")
    try:
        return home_of(lock)
    finally:
        os.close(lock)


def test_a_directory_is_at_home_where_it_was_made(tmp_path: Path) -> None:
    """However often it is locked, and by whatever path it is reached."""
    there = tmp_path / "a"
    there.mkdir()
    first = home(there)
    assert home(there) == first
    there.rename(tmp_path / "b")
    assert home(tmp_path / "b") == first


def test_a_copy_of_a_directory_is_not_at_home(tmp_path: Path) -> None:
    """Not even with the times of the first, in its place, and with its numbers on the disk."""
    there, kept = tmp_path / "a", tmp_path / "kept"
    there.mkdir()
    first = home(there)
    shutil.copytree(there, kept)
    shutil.rmtree(there)
    shutil.copytree(kept, there)
    assert home(there) != first
