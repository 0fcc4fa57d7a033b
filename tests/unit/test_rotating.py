"""Files that are full take each other's places, the oldest goes, and none is larger than it may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keelman.rotating import RotatingFile

LINE = b"0123456789abcde\n"
FILES = 4
LINES_EACH = 3


@pytest.fixture
def file(tmp_path: Path) -> Iterator[RotatingFile]:
    one = RotatingFile(tmp_path / "x", most_bytes=LINES_EACH * len(LINE), files=FILES)
    yield one
    one.close()


def numbered(number: int) -> bytes:
    return b"%015d\n" % number


def test_the_newest_lines_are_kept_in_order(file: RotatingFile, tmp_path: Path) -> None:
    """And never more files, nor larger ones."""
    for count in range(1, 40):
        file.append(numbered(count))
        paths = sorted(tmp_path.iterdir())
        assert all(path.stat().st_size <= LINES_EACH * len(LINE) for path in paths)
        assert [path.name for path in paths] == ["x", "x.1", "x.2", "x.3"][: len(paths)]
        kept = [int(line) for path in reversed(paths) for line in path.read_bytes().split()]
        assert kept == list(range(count - len(kept) + 1, count + 1))
        assert len(kept) > min(count - 1, (FILES - 1) * LINES_EACH)


def test_a_gap_among_the_old_files_does_not_matter(file: RotatingFile, tmp_path: Path) -> None:
    for count in range(10):
        file.append(numbered(count))
    (tmp_path / "x.1").unlink()
    for count in range(10, 13):
        file.append(numbered(count))
    assert {path.name for path in tmp_path.iterdir()} == {"x", "x.1", "x.3"}


def test_a_torn_line_is_ended_before_the_next(file: RotatingFile, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"torn")
    file.append(LINE)
    assert (tmp_path / "x").read_bytes() == b"torn\n" + LINE


def test_nothing_is_written_for_no_line(file: RotatingFile, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_no_file_takes_is_refused(file: RotatingFile, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a line of 48 bytes"):
        file.append(3 * LINE)
    assert list(tmp_path.iterdir()) == []
