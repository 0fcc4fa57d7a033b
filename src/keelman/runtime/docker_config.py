"""Docker's own config file, for its registries' logins: read anew at each pull, never kept.

Whoever logs in or out with `docker login` is heard at the next pull. Nothing secret gets into an
error: those name the file or the helper, and what is wrong with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from keelman.errors import EngineFailed
from keelman.runtime import credentials
from keelman.runtime.credentials import Config, Login

FILE_NAME = "config.json"
HELPER_SECONDS = 30.0
ENDING_SECONDS = 5.0
NOT_FOUND = b"credentials not found"  # how helpers begin to say that they know none


class DockerConfig:
    """The logins in a folder's config.json; without a folder, or a file in it, there are none."""

    def __init__(self, folder: Path | None, *, helper_seconds: float = HELPER_SECONDS) -> None:
        self._path = folder / FILE_NAME if folder else None
        self._helper_seconds = helper_seconds

    async def headers(self, image: str) -> dict[str, str]:
        """What tells an image's registry who asks; empty for nobody. Raises: EngineFailed."""
        registry = credentials.registry_of(image)
        try:
            login = await self._login(registry)
        except ValueError as error:
            raise EngineFailed(f"{self._path}: {error}") from None
        return {"X-Registry-Auth": credentials.header_of(login, registry)} if login else {}

    async def _login(self, registry: str) -> Login | None:
        content = await asyncio.to_thread(self._read)
        config = credentials.config_of(content) if content is not None else Config()
        helper = credentials.helper_for(config, registry)
        login = await self._from_helper(helper, registry) if helper else None
        return login or credentials.login_in(config, registry)

    def _read(self) -> bytes | None:
        """On a thread: a home directory may be on a network mount that is dead."""
        try:
            return self._path.read_bytes() if self._path else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from None

    async def _from_helper(self, helper: str, registry: str) -> Login | None:
        program = f"docker-credential-{helper}"
        try:
            async with asyncio.timeout(self._helper_seconds):
                code, output = await _asked(program, registry)
        except TimeoutError:
            raise ValueError(f"{program} gave no answer in {self._helper_seconds:g} s") from None
        except OSError as error:
            raise ValueError(f"{program} cannot be run: {error.strerror}") from None
        if code == 0:
            return _told(program, output)
        if output.strip().startswith(NOT_FOUND):
            return None
        raise ValueError(f"{program} ended with code {code}")


def _told(program: str, output: bytes) -> Login:
    try:
        return credentials.login_of_helper(output)
    except ValueError as error:
        raise ValueError(f"{program}: {error}") from None


async def _asked(program: str, registry: str) -> tuple[int | None, bytes]:
    """The code and the output of a helper, which is ended with all it started if it must be."""
    process = await asyncio.create_subprocess_exec(
        program, "get", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
    )
    try:
        output, _ = await process.communicate(registry.encode())
    finally:
        await _ended(process)
    return process.returncode, output


async def _ended(process: Process) -> None:
    """What got away from its group, and holds its output, is not waited for."""
    if process.returncode is None:
        with suppress(ProcessLookupError, TimeoutError):
            os.killpg(process.pid, signal.SIGKILL)
            async with asyncio.timeout(ENDING_SECONDS):
                await process.wait()
