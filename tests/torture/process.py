"""The worker, or the manager, as a process that is killed often."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.machine import free_port


class Process:
    """`keelman worker`, its data directory and its log."""

    def __init__(self, name: str, folder: Path, engine_url: str, *options: str) -> None:
        self.name, self.engine_url = name, engine_url
        self.data_dir, self.log_file = folder / "worker", folder / "worker.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ: dict[str, str] = {}
        self.behind: tuple[str, ...] = ()  # what it is put behind, to run in another network
        self.program: tuple[str, ...] = ("keelman.cli",)
        self.command: tuple[str, ...] = ("worker", "--name", name)
        self.options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait for nothing."""
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._process = await asyncio.create_subprocess_exec(
            *(*self.behind, sys.executable, "-m", *self.program, *self.command),
            *("--port", str(self.port), "--data-dir", str(self.data_dir), *self.options),
            env={**os.environ, "DOCKER_HOST": self.engine_url, **self.environ},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        os.close(log)

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """kill -9, if it lives."""
        if self._process is not None and self.lives:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    def log(self) -> str:
        """All that it has said, over all its lives."""
        return self.log_file.read_text() if self.log_file.exists() else ""


class ManagerProcess(Process):
    """`keelman manager`."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__("manager", folder, "", *options)
        self.command = ("manager",)
