"""Ten thousand seeds, on what the other tests leave of the machine: begun first, asked for last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

ASKING = "test_no_seed_breaks_an_invariant"
SEEDS = "10000"
BEGUN = pytest.StashKey[subprocess.Popen[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.name == ASKING)


def pytest_collection_finish(session: pytest.Session) -> None:
    asked = any(item.name == ASKING for item in session.items)
    if asked and not session.config.option.collectonly:
        session.config.stash[BEGUN] = subprocess.Popen(
            ["nice", "-n", "19", sys.executable, "-m", "tests.simulation", SEEDS],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            process_group=0,  # of the same session: between sessions `nice` counts for nothing
        )


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """What was begun is not left behind, whatever ended the tests."""
    yield
    begun = session.config.stash.get(BEGUN, None)
    if begun is None:
        return
    if begun.poll() is None:
        os.killpg(begun.pid, signal.SIGKILL)
        begun.wait()
    if begun.stdout is not None:
        begun.stdout.close()


@pytest.fixture
def ten_thousand_seeds(pytestconfig: pytest.Config) -> tuple[int, str]:
    """The exit status, and what was said."""
    begun = pytestconfig.stash[BEGUN]
    said, _ = begun.communicate()
    return begun.returncode, said
