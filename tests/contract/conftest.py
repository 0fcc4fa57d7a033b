"""Every test of the contract that asks for a `world` runs on both engines."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.contract.worlds import DockerWorld, FakeWorld, World

RECIPE = Path(__file__).parents[2] / "scripts" / "images"


@pytest.fixture(scope="session")
def images() -> None:
    """The image that real containers are made of."""
    subprocess.run([RECIPE], check=True)


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.engine)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "docker":
        request.getfixturevalue("images")
    worker = f"t-{uuid4().hex[:12]}"
    world = DockerWorld(worker) if request.param == "docker" else FakeWorld(worker)
    try:
        yield world
    finally:
        await world.close()


@pytest.fixture
async def docker(images: None) -> AsyncIterator[DockerWorld]:
    """A world on the real engine, for what only that can answer."""
    world = DockerWorld(f"t-{uuid4().hex[:12]}")
    try:
        yield world
    finally:
        await world.close()
