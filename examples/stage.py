"""What the demos have in common: telling, checking, programs of their own, and cleaning away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

import aiodocker
from rich.console import Console
from rich.text import Text

from keelman.client import Client, Unreachable
from keelman.errors import KeelmanError

KEELMAN = Path(sys.executable).with_name("keelman")
IMAGE = "keelman/busybox:1"
PATIENCE_SECONDS = 60.0
console = Console(highlight=False, soft_wrap=True)


class Unexpected(Exception):
    """Something did not go as the demo tells it."""


WRONG = (Unexpected, TimeoutError, KeelmanError)


# -- telling and checking ------------------------------------------------------------------------


def step(words: str) -> None:
    console.print(f"\n[bold cyan]==>[/] [bold]{words}[/]")


def typed(line: str) -> None:
    """A line that one would type."""
    console.print(Text.assemble("    ", ("$ ", "dim"), (line, "yellow")))


def good(words: str) -> None:
    console.print(f"    [green]✓[/] {words}")


def not_as_told(error: BaseException) -> int:
    """Says what did not go as told; answers the exit status."""
    console.print(Text.assemble(("not as told: ", "bold red"), str(error) or repr(error)))
    return 1


def expect(what: str, seen: object, wanted: object) -> None:
    """Checks what is told. Raises: Unexpected."""
    if seen != wanted:
        raise Unexpected(f"{what}: expected {wanted!r}, saw {seen!r}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


# -- programs ------------------------------------------------------------------------------------


class Program:
    """A worker or a manager of the demo: a process, what it was started with, and its log."""

    def __init__(self, client: Client, log: Path) -> None:
        self.client = client
        self.log = log
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return str(self.client.address).rstrip("/")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self, *words: str) -> None:
        """Start it, and wait until it is ready. Raises: Unexpected."""
        typed(f"keelman {' '.join(words)}")
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                KEELMAN, *words, stdout=log, stderr=log, start_new_session=True
            )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.is_ready():
                expect("the process's exit status", self.process.returncode, None)
                await asyncio.sleep(0.1)

    async def is_ready(self) -> bool:
        try:
            return await self.client.ready()
        except Unreachable:
            return False

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    async def kill(self) -> None:
        """Kill it with -9, and see that it is gone. Raises: Unexpected."""
        typed(f"kill -9 {self.pid}")
        expect("the end of the process", await self.end(signal.SIGKILL), -signal.SIGKILL)
        if await self.is_ready():
            raise Unexpected("what was killed still answers")

    async def clear(self) -> None:
        """Nothing of it runs on, whatever happened."""
        if self.process is not None:
            await self.end(signal.SIGKILL)


async def keelman(url: str, *words: str) -> None:
    """Shows what the command line shows. Raises: Unexpected."""
    typed(f"keelman {' '.join(words)}")
    environ = {**os.environ, "KEELMAN_ADDR": url}
    process = await asyncio.create_subprocess_exec(KEELMAN, *words, env=environ)
    expect(f"keelman {words[0]}'s exit status", await process.wait(), 0)


# -- cleaning away -------------------------------------------------------------------------------


async def remove_containers(workers: Iterable[str]) -> None:
    """Removes the containers that carry these workers' names, and no others. Raises: Unexpected."""
    async with aiodocker.Docker() as engine:
        for worker in workers:
            mine = {"label": [f"keelman.worker={worker}"]}
            for container in await engine.containers.list(all=True, filters=mine):
                await container.delete(force=True)
            left = await engine.containers.list(all=True, filters=mine)
            expect("the containers left", left, [])
