"""Host paths that tasks may mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keelman.task import Mount, Spec
from keelman.worker import mounts
from tests.unit.given import a_spec


def mounting(*sources: Path | str) -> Spec:
    return a_spec(
        mounts=tuple(
            Mount(source=str(source), target=f"/in/{number}")
            for number, source in enumerate(sources)
        )
    )


def refused(spec: Spec, allowed: tuple[str, ...]) -> str | None:
    """The first refusal, in words."""
    return next((one.message for one in mounts.refusals(spec, allowed)), None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed path, with a forbidden one beside it."""
    (tmp_path / "allowed" / "inside").mkdir(parents=True)
    (tmp_path / "allowed-too").mkdir()
    (tmp_path / "secret").mkdir()
    return tmp_path / "allowed"


def test_a_task_without_mounts_is_never_refused() -> None:
    assert refused(a_spec(), ()) is None


@pytest.mark.parametrize("below", ["", "inside", "inside/", "not/yet/there", "inside/../inside"])
def test_a_path_at_or_below_an_allowed_one_is_allowed(root: Path, below: str) -> None:
    assert refused(mounting(f"{root}/{below}"), (str(root),)) is None


@pytest.mark.parametrize(
    "path",
    ["/", "/etc", "{root}/..", "{root}/../secret", "{root}-too", "{root}/inside/../../secret"],
)
def test_any_other_path_is_refused_by_name(root: Path, path: str) -> None:
    source = path.format(root=root)
    words = refused(mounting(source), (str(root),))
    assert words is not None
    assert words.startswith(f"Task.Mounts.Source: {source}")
    assert " is not below a path" in words
    assert "--allow-mount" in words


def test_a_path_that_is_what_it_seems_is_called_by_its_name_alone(root: Path) -> None:
    words = refused(mounting(root.parent / "secret"), (str(root),))
    assert words is not None
    assert f"{root.parent}/secret is not below a path" in words


def test_nothing_is_allowed_until_the_operator_says_so(root: Path) -> None:
    assert refused(mounting(root), ()) is not None


def test_a_link_that_leads_out_is_refused(root: Path) -> None:
    (root / "way-out").symlink_to(root.parent / "secret")
    words = refused(mounting(root / "way-out"), (str(root),))
    assert words is not None
    assert f"{root}/way-out, with links and .. resolved, is not below a path" in words
    assert "secret" not in words
    assert refused(mounting(root / "way-out" / "deeper"), (str(root),)) is not None


def test_a_link_that_leads_out_by_a_way_too_long_for_a_path_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two links to the depths, each short enough: only together they pass what a path may be."""
    depths = Path("/".join(["d" * 200] * 15))
    for where, link in ((root, "first"), (root / "first", "second")):
        monkeypatch.chdir(where)
        depths.mkdir(parents=True)
        Path(link).symlink_to(depths)
    source = root / "first" / "second" / "out"
    source.symlink_to(root.parent / "secret")
    assert source.samefile(root.parent / "secret")
    assert refused(mounting(source), (str(root),)) is not None


def test_two_points_after_a_link_are_judged_both_ways(root: Path) -> None:
    """The kernel goes up from where the link leads, Docker from where the link is."""
    (root / "inside" / "deep" / "secret").mkdir(parents=True)
    (root / "inside" / "deep" / "er").mkdir()
    (root / "current").symlink_to("inside/deep/er")
    assert refused(mounting(root / "current" / ".." / "secret"), (str(root),)) is None
    assert refused(mounting(f"{root}/current/../../secret"), (str(root),)) is not None
    assert refused(mounting(f"{root}/current/../.."), (str(root),)) is not None


@pytest.mark.parametrize("error", [PermissionError, NotADirectoryError, OSError])
def test_where_the_way_cannot_be_seen_it_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    """A worker that is not root may see less than the engine follows."""
    seen, closed = os.lstat, str(root / "inside" / "link")

    def lstat(path: str) -> os.stat_result:
        if str(path) == closed:
            raise error
        return seen(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert refused(mounting(closed), (str(root),)) is not None
    assert refused(mounting(root / "inside"), (str(root), closed)) is None


def test_a_link_that_leads_to_itself_is_refused(root: Path) -> None:
    (root / "round").symlink_to("round")
    assert refused(mounting(root / "round"), (str(root),)) is not None


def test_a_link_that_leads_in_is_allowed_and_so_is_an_allowed_link(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert refused(mounting(link / "inside"), (str(root),)) is None
    assert refused(mounting(root / "inside"), (str(link),)) is None


def test_every_mount_has_to_be_allowed(root: Path) -> None:
    words = refused(mounting(root / "inside", "/etc"), (str(root),))
    assert words is not None
    assert "/etc" in words


def test_one_of_several_allowed_paths_is_enough(root: Path) -> None:
    assert refused(mounting(root / "inside"), ("/nowhere", str(root))) is None


def test_whoever_allows_the_root_allows_everything() -> None:
    assert refused(mounting("/etc"), ("/",)) is None
