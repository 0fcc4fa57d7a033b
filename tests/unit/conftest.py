"""What unit tests share that has to be closed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from keelman.store import Store
from tests.unit.given_store import open_store
from tests.unit.given_worker import Machine


@pytest.fixture(autouse=True, scope="session")
def plain_log() -> None:
    """The worker's log, shown where a test fails: without the colours, and the time they take."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new database in a directory of its own."""
    store = open_store(tmp_path)
    yield store
    store.close()
