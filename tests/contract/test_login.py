"""The engine is told a registry's login with the pull, and with nothing else."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from pathlib import Path

import pytest
from aiohttp import web

from keelman.errors import EngineFailed
from keelman.runtime.docker import DockerRuntime
from tests.contract.scripted import scripted_engine

IMAGE = "127.0.0.1:5000/web:1"
AUTHS = {"auths": {"127.0.0.1:5000": {"auth": b64encode(b"ann:s3cr3t").decode()}}}


class Asked:
    """An engine that notes the login of each request, by path."""

    def __init__(self) -> None:
        self.logins: dict[str, str | None] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.logins[request.path.rpartition("/")[2]] = request.headers.get("X-Registry-Auth")
        return web.json_response({"Id": "x"})


async def pulled(folder: Path, image: str) -> dict[str, str | None]:
    asked = Asked()
    script = {
        ("POST", "/images/create"): asked.answer,
        ("GET", f"/images/{image}/json"): asked.answer,
    }
    async with scripted_engine(folder, script) as url:
        runtime = DockerRuntime("w", url, config=folder)
        await runtime.pull(image)
        await runtime.close()
    return asked.logins


async def test_the_login_of_the_images_registry_goes_with_the_pull(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(AUTHS))
    logins = await pulled(tmp_path, IMAGE)
    assert json.loads(urlsafe_b64decode(logins["create"] or "")) == {
        "username": "ann", "password": "s3cr3t", "serveraddress": "127.0.0.1:5000",
    }  # fmt: skip
    assert logins["json"] is None


async def test_another_registry_is_told_nobody(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(AUTHS))
    assert await pulled(tmp_path, "busybox:1") == {"create": None, "json": None}


async def test_a_login_that_cannot_be_read_fails_the_pull_and_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    async with scripted_engine(tmp_path, {}) as url:
        runtime = DockerRuntime("w", url, config=tmp_path)
        with pytest.raises(EngineFailed, match="it is not JSON"):
            await runtime.pull(IMAGE)
        await runtime.close()
