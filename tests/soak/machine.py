"""The machine of a soak: its worker's log goes to a file, since nobody reads a pipe for so long."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.e2e.machine import PATIENCE_SECONDS, Machine
from tests.soak.plan import Inside

ROOT = Path(__file__).parents[2]
WARNINGS = ("-W", "always::ResourceWarning")  # what was left open and found by the collector
COMPLAINTS = re.compile(
    r"internal_error|Traceback|never retrieved|was destroyed but|ResourceWarning|not measured"
)


class SoakMachine(Machine):
    """One worker's process, perhaps changed `inside`; its tasks are on `network`, "" the usual."""

    def __init__(self, name: str, folder: Path, inside: Inside, network: str) -> None:
        super().__init__(name, folder / "data")
        self.inside = inside
        self.network = network
        self.log_file = folder / "worker.log"

    async def send(self, task_id: str = "", /, **fields: Any) -> str:
        return await super().send(task_id, Network=self.network, **fields)

    async def spawn(self, *options: str) -> None:
        with self.log_file.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, *WARNINGS, *self._program(), "worker", "--name", self.name),
                *("--port", str(self.port), "--data-dir", str(self.data_dir), *options),
                env={**os.environ, "DOCKER_HOST": self.engine_url},
                cwd=ROOT,
                stderr=log,
            )

    def _program(self) -> tuple[str, ...]:
        if self.inside.as_shipped:
            return ("-m", "keelman.cli")
        return ("-m", "tests.soak.worker", msgspec.json.encode(self.inside).decode())

    async def ended(self) -> tuple[int, str]:
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            status = await self._process.wait()
        return status, self.log_file.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def died(self) -> bool:
        return self._process is None or self._process.returncode is not None

    def complaints(self) -> list[str]:
        """Lines of the worker's log that tell of a bug or of something left open."""
        with self.log_file.open(errors="replace") as lines:
            return [line.strip() for line in lines if COMPLAINTS.search(line)]
