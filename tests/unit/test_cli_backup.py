"""`keelman backup` and `keelman restore` as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelman import cli
from keelman.cli import places
from keelman.store import FILE_NAME
from tests.unit.given_store import open_store, record
from tests.unit.test_schema import historic


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The data directory of a worker that had nine tasks."""
    return historic(1, tmp_path / "data")


def typed(*words: object) -> int:
    return cli.status([str(word) for word in words])


def test_a_backup_says_what_is_in_it(
    there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    assert typed("backup", copy, "--data-dir", there) == 0
    size = f"{copy.stat().st_size / 1024:.1f} KiB"
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out == (
        f"{copy}: 9 tasks of worker history, up to Transition 26 of 2026-11-24T07:27:53Z, {size}\n"
    )


def test_a_restore_says_what_is_back_and_what_was_kept(
    there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    typed("backup", copy, "--data-dir", there)
    capsys.readouterr()
    assert typed("restore", copy, "--data-dir", there) == 0
    back, kept = capsys.readouterr().out.splitlines()
    assert back.startswith(f"{there / FILE_NAME}: 9 tasks of worker history, up to Transition 26")
    path, _, words = kept.partition(": ")
    assert Path(path).is_file()
    assert words == "what was there before"


def test_of_a_database_without_tasks_little_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_store(tmp_path / "data").close()
    assert typed("backup", tmp_path / "copy", "--data-dir", tmp_path / "data") == 0
    assert ": 0 tasks, no Transition yet, " in capsys.readouterr().out
    assert typed("restore", tmp_path / "copy", "--data-dir", tmp_path / "new") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


async def test_one_task_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(tmp_path / "data")
    await record(store, 1)
    store.close()
    typed("backup", tmp_path / "copy", "--data-dir", tmp_path / "data")
    assert ": 1 task, up to Transition 1 of " in capsys.readouterr().out


def test_the_usual_directory_is_the_workers(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keelman.cli.backup.usual_data_dir", lambda: there)
    monkeypatch.chdir(tmp_path)
    assert typed("backup", "copy") == 0
    assert (tmp_path / "copy").is_file()
    assert typed("restore", "copy") == 0
    assert places.usual_data_dir() != there


@pytest.mark.parametrize("words", [("backup", "copy"), ("restore", "none")])
def test_what_cannot_be_done_is_told_in_one_line(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, file = words
    assert typed(command, tmp_path / file, "--data-dir", tmp_path / "data") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("keelman: there is no ")
    assert told.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_backup_is_replaced_with_force(
    there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    copy.write_text("old")
    assert typed("backup", copy, "--data-dir", there) == 1
    assert capsys.readouterr().err == f"keelman: {copy} is there already\n"
    assert typed("backup", copy, "--data-dir", there, "--force") == 0
    assert copy.stat().st_size > 3


def test_a_file_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("backup") == 2
    assert typed("restore") == 2
