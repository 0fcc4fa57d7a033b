"""One worker of a name on one engine: the lock is where every user of the machine may write."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from keelman.errors import CannotStart

serve = import_module("keelman.worker.serve")  # the package has its function by this name


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(serve, "LOCK_PLACES", (tmp_path / "gone", tmp_path))
    return tmp_path


def test_a_name_is_held_by_one_on_its_engine(place: Path) -> None:
    """And by another on another engine."""
    serve._lock_name("node-1", "engine-1")
    serve._lock_name("node-1", "engine-2")
    with pytest.raises(CannotStart, match="another worker named node-1"):
        serve._lock_name("node-1", "engine-1")
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}


def test_a_link_that_lies_in_wait_is_not_followed(place: Path) -> None:
    """What it leads to is neither made nor held."""
    serve._lock_name("node-1", "engine-1")
    (lock,) = place.iterdir()
    lock.unlink()
    lock.symlink_to(place / "of somebody else")
    with pytest.raises(CannotStart, match="cannot be used"):
        serve._lock_name("node-1", "engine-1")
    assert not (place / "of somebody else").exists()


def test_where_there_is_no_place_for_it_a_worker_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a sandbox that closes too much."""
    monkeypatch.setattr(serve, "LOCK_PLACES", (tmp_path / "gone",))
    with pytest.raises(CannotStart, match=r"no lock can be made in .*/gone"):
        serve._lock_name("node-1", "engine-1")
