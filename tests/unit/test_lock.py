"""What is installed is what was locked: each package in one version, its files known by hash."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path

import lock
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDED = PROJECT["project"]["dependencies"]
HASH = f"--hash=sha256:{'0' * 64}"

# Wherever a package could be told to come from.
ELSEWHERE = re.compile(
    r"--(?:extra-)?index-url|--find-links|--trusted-host|\bPIP_\w*(?:INDEX|LINKS|HOST)\w*"
    r"|\bpypi\.(?:org|python)|pythonhosted\.org"
)


def tracked() -> Iterable[Path]:
    """The project's own files; of what is not under version control, nothing is known."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no git, or no repository: whose files these are cannot be told")
    return (ROOT / name for name in listed.stdout.decode().split("\0") if name)


@pytest.mark.parametrize("name", lock.LOCKS)
def test_every_package_is_locked_once_with_its_hashes(name: str) -> None:
    """Reading is strict: an option, an address or a package without a hash is an error."""
    names = [pin.name for pin in lock.read(name)]
    assert names
    assert len(names) == len(set(names))


def test_every_lock_is_held_to_that() -> None:
    """None is forgotten."""
    assert sorted(path.name for path in ROOT.glob("requirements*.txt")) == sorted(lock.LOCKS)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("requirements.txt", NEEDED),
        ("requirements-build.txt", PROJECT["build-system"]["requires"]),
        ("requirements-dev.txt", NEEDED + PROJECT["project"]["optional-dependencies"]["dev"]),
        ("requirements-audit.txt", (ROOT / "requirements-audit.in").read_text().splitlines()),
    ],
    ids=lock.LOCKS,
)
def test_what_is_needed_is_locked_in_a_version_that_will_do(name: str, needed: list[str]) -> None:
    """So a range that was raised without `make lock` is noticed."""
    versions = {pin.name: pin.version for pin in lock.read(name)}
    for line in needed:
        if not line.startswith("#"):
            wanted = Requirement(line)
            assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), line


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_what_a_worker_runs_on_is_what_was_tested(name: str) -> None:
    """The same versions, and the same files."""
    assert set(lock.read(name)) <= set(lock.read("requirements-dev.txt"))


@pytest.mark.parametrize(
    "line",
    [
        f"yarl {HASH}",
        f"yarl>=1.2 {HASH}",
        "yarl==1.2",
        "yarl==1.2 --hash=sha256:00",
        f"yarl==1.2 --hash=md5:{'0' * 32}",
        f"yarl[x]==1.2 {HASH}",
        f"yarl==1.2 ; python_version > '3' {HASH}",
        f"yarl @ https://example.com/yarl.whl {HASH}",
        "--index-url https://example.com/simple",
        "--find-links wheels",
        "-r other.txt",
        "-e .",
        "./wheels/yarl.whl",
    ],
)
def test_anything_else_is_no_lock(line: str) -> None:
    """What would be installed from it is not said."""
    with pytest.raises(lock.NotLocked):
        lock.pins(f"aiohttp==3.1 {HASH}\n{line}\n")


def test_a_lock_has_comments_and_long_lines() -> None:
    """As pip-compile writes it."""
    text = f"# head\nyarl==1.2 \\\n    {HASH} \\\n    {HASH[:-1]}1\n    # via aiohttp\n\n"
    assert lock.pins(text) == [lock.Pin("yarl", "1.2", frozenset({"0" * 64, "0" * 63 + "1"}))]


def test_no_file_says_where_packages_come_from() -> None:
    """That is for whoever installs to say, and the hashes hold wherever it is."""
    may = {Path(__file__), ROOT / "Makefile"}  # this table; the options that keep it out of locks
    for path in tracked():
        if path not in may and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not ELSEWHERE.search(text), path


@pytest.mark.parametrize("name", ["Makefile", "scripts/venv", "docs/operations.md"])
def test_whoever_installs_is_told_to_install_what_is_locked(name: str) -> None:
    """Or Keelman itself, with nothing fetched for it: also not what builds it."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "")
    installs = [line for line in text.splitlines() if re.search(r"pip\b.* install\b", line)]
    assert installs
    for line in installs:
        from_lock = {"--require-hashes", "--only-binary"} <= set(line.split())
        assert from_lock or {"--no-deps", "--no-build-isolation"} <= set(line.split()), line


@pytest.mark.slow
def test_what_is_not_locked_is_not_installed(tmp_path: Path) -> None:
    """Not even where it could be had: neither without a hash nor with another one."""
    (tmp_path / "setuptools-80.0.0-py3-none-any.whl").write_bytes(b"not what it was")
    here = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    for line, words in (
        ("setuptools==80.0.0", "--require-hashes mode"),
        (f"setuptools==80.0.0 {HASH}", "DO NOT MATCH THE HASHES"),
    ):
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(line)
        ended = subprocess.run(
            [ROOT / "scripts" / "venv", tmp_path / "venv", requirements],
            env={**os.environ, **here},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode
        assert words in ended.stderr
