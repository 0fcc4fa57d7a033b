"""A worker joins by the line that was printed: real processes, real TLS, a real engine."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from keelman import ManagerClient, State, Unreachable, tls
from tests.e2e.machine import IMAGE, Machine, free_port, until
from tests.unit.given_credentials import Folder, secret

pytestmark = [pytest.mark.engine, pytest.mark.slow]


class Site:
    """A manager with its CA, and who speaks to it."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = Folder(tmp_path / "certs")
        self.port, self._data = free_port(), tmp_path / "manager"
        secret(self.folder.key("ca"), self.folder.pair.key.decode())
        self.folder.issue("manager-1")
        self.folder.issue("admin")
        self.url = f"https://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def client(self) -> ManagerClient:
        own = self.folder.cert("admin"), self.folder.key("admin")
        return ManagerClient(self.url, tls=tls.caller(self.folder.ca, *own))

    async def start(self) -> None:
        cert, key = str(self.folder.cert("manager-1")), str(self.folder.key("manager-1"))
        ca = str(self.folder.ca)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "keelman.cli", "manager", "--port", str(self.port)),
            *("--data-dir", str(self._data), "--tls-cert", cert, "--tls-key", key),
            *("--tls-ca", ca, "--allow-client", "admin", "--node-ca", ca, "--node-cert", cert),
            *("--node-key", key, "--node-ca-key", str(self.folder.key("ca"))),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until(self._answers)

    async def _answers(self) -> bool:
        with suppress(Unreachable):
            async with self.client as client:
                return await client.ready()
        return False

    async def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert await self._process.wait() == 0

    async def invite(self, *words: str) -> list[str]:
        """The words of the line that is printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "keelman.cli", "node", "invite", *words),
            env={
                **os.environ,
                "KEELMAN_ADDR": self.url,
                "KEELMAN_TLS_CA": str(self.folder.ca),
                "KEELMAN_TLS_CERT": str(self.folder.cert("admin")),
                "KEELMAN_TLS_KEY": str(self.folder.key("admin")),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err
        assert b"good for one worker" in err
        return shlex.split(out.decode())


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    one = Site(tmp_path)
    await one.start()
    yield one
    await one.end()


async def test_a_worker_joins_by_the_printed_line_and_runs_a_task(
    site: Site, machine: Machine, tmp_path: Path
) -> None:
    """Also when it is started again by it; on another machine it is no good any more."""
    words = await site.invite(machine.name, "--label", "zone=eu")
    assert words[:-2] == ["keelman", "worker", "--name", machine.name]
    options = words[-2:]
    await machine.spawn(*options)
    async with site.client as client:
        task_id = str(uuid.uuid4())
        await client.run(
            task_id, Image=IMAGE, Command=["true"], Constraints=["node.labels.zone==eu"]
        )
        assert (await client.task(task_id, wait="ended")).state is State.COMPLETED
        await machine.kill()
        await machine.spawn(*options)
        again = str(uuid.uuid4())
        await client.run(again, Image=IMAGE, Command=["true"])
        assert (await client.task(again, wait="ended")).state is State.COMPLETED
    log = await machine.log()
    assert '"joined before"' in log
    assert options[-1].partition("#")[2] not in log
    thief = Machine(machine.name, tmp_path / "thief")
    await thief.spawn(*options)
    status, log = await thief.ended()
    assert status == 1
    assert f"the invitation was used already, by {machine.name}" in log
