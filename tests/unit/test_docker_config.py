"""Docker's config file on disk, and the helpers it names: read anew, bounded, and never quoted."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keelman.errors import EngineFailed
from keelman.runtime.docker_config import DockerConfig

PATIENCE_SECONDS = 30.0
SECRET = "s3cr3t"
HERE = "127.0.0.1:5000"
IMAGE = f"{HERE}/busybox:1"
OF_FILE = {"auths": {HERE: {"auth": b64encode(f"ann:{SECRET}".encode()).decode()}}}
ANSWER = f"""echo '{{"ServerURL": "x", "Username": "bob", "Secret": "{SECRET}"}}'"""

Helper = Callable[[str], None]


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helper:
    """Makes `docker-credential-test` a shell script of these lines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(lines: str) -> None:
        program = folder / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(0o755)

    return write


def write(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def told(headers: dict[str, str]) -> tuple[str, str]:
    login = json.loads(urlsafe_b64decode(headers["X-Registry-Auth"]))
    assert login["serveraddress"] == HERE
    return login["username"], login["password"]


async def refused(config: DockerConfig, words: str) -> None:
    with pytest.raises(EngineFailed, match=words) as error:
        await config.headers(IMAGE)
    assert SECRET not in repr(error.value)
    assert error.value.__cause__ is None  # whose words a log might show


async def test_without_a_folder_or_a_file_nobody_is_known(tmp_path: Path) -> None:
    assert await DockerConfig(None).headers(IMAGE) == {}
    assert await DockerConfig(tmp_path).headers(IMAGE) == {}
    assert await DockerConfig(tmp_path / "none").headers(IMAGE) == {}


async def test_the_file_is_read_anew_each_time(tmp_path: Path) -> None:
    config = DockerConfig(tmp_path)
    write(tmp_path, {})
    assert await config.headers(IMAGE) == {}
    write(tmp_path, OF_FILE)
    assert told(await config.headers(IMAGE)) == ("ann", SECRET)
    assert await config.headers("busybox:1") == {}


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(f'{{"auths": {SECRET}')
    await refused(DockerConfig(tmp_path), r"config\.json: it is not JSON")


async def test_a_file_that_may_not_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    await refused(DockerConfig(tmp_path), r"config\.json: it cannot be read: Is a directory")


async def test_a_helper_is_asked_for_the_registry(tmp_path: Path, helper: Helper) -> None:
    helper(f'[ "$1" = get ] && [ "$(cat)" = {HERE} ] && {ANSWER}')
    for named in ({"credsStore": "test"}, {"credHelpers": {HERE: "test"}}):
        write(tmp_path, named)
        assert told(await DockerConfig(tmp_path).headers(IMAGE)) == ("bob", SECRET)


async def test_a_helper_comes_before_the_file(tmp_path: Path, helper: Helper) -> None:
    helper(f"{ANSWER}; exec cat >/dev/null")
    write(tmp_path, {**OF_FILE, "credsStore": "test"})
    assert told(await DockerConfig(tmp_path).headers(IMAGE)) == ("bob", SECRET)


async def test_a_helper_that_knows_none_leaves_it_to_the_file(
    tmp_path: Path, helper: Helper
) -> None:
    helper("echo credentials not found in native keychain; exit 1")
    write(tmp_path, {"credsStore": "test"})
    assert await DockerConfig(tmp_path).headers(IMAGE) == {}
    write(tmp_path, {**OF_FILE, "credsStore": "test"})
    assert told(await DockerConfig(tmp_path).headers(IMAGE)) == ("ann", SECRET)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (f"echo {SECRET}; echo {SECRET} >&2; exit 7", "docker-credential-test ended with code 7"),
        (f"echo {SECRET}", "docker-credential-test: its answer is not what"),
        ("kill -9 $$", "docker-credential-test ended with code -9"),
    ],
)
async def test_a_helper_that_fails_is_named_and_not_quoted(
    tmp_path: Path, helper: Helper, lines: str, words: str
) -> None:
    helper(lines)
    write(tmp_path, {"credsStore": "test"})
    await refused(DockerConfig(tmp_path), words)


async def test_a_helper_that_is_not_there_is_named(tmp_path: Path, helper: Helper) -> None:
    write(tmp_path, {"credsStore": "none"})
    await refused(DockerConfig(tmp_path), "docker-credential-none cannot be run: No such file")


async def test_a_helper_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, helper: Helper
) -> None:
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    helper(f"exec 9>{tmp_path}/held; echo begun >&9; sleep 1000; sleep 1000")
    write(tmp_path, {"credsStore": "test"})
    await refused(DockerConfig(tmp_path, helper_seconds=0.5), "gave no answer in 0.5 s")
    assert await until_nobody_holds(held) == b"begun\n"


async def until_nobody_holds(pipe: int) -> bytes:
    """What was written into a pipe, once all who may write to it are gone."""
    reader = asyncio.StreamReader()
    file = os.fdopen(pipe, "rb")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await reader.read()
    finally:
        transport.close()
