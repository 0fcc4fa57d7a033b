"""The real thing: `keelman worker` as a process on a real engine, over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.e2e.machine import EngineLink, Machine

pytestmark = pytest.mark.engine


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """A worker of its own name and data directory, not started yet; nothing of it is left."""
    one = Machine(f"test-{uuid.uuid4().hex[:8]}", tmp_path / "data")
    try:
        yield one
    finally:
        await one.clear()


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[EngineLink]:
    """A way to the engine that can be cut."""
    one = EngineLink(tmp_path / "engine.sock")
    await one.join()
    try:
        yield one
    finally:
        await one.cut()


@pytest.fixture
def new_id() -> Callable[[], str]:
    return lambda: str(uuid.uuid4())
