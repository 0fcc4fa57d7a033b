"""A worker's process as it is measured, with a listener to its events that notes when they came."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from keelman.task import State
from tests.e2e.machine import IMAGE, SLEEPS
from tests.torture import listener
from tests.torture.process import Process
from tests.torture.waiting import until

KEEPS_ALL = ("--keep-ended-tasks", "100000000", "--keep-ended-hours", "100000")
SLEEPER = {"Image": IMAGE, "Command": SLEEPS, "Init": True}
MIB = 1024 * 1024
Json = dict[str, Any]


class Heard:
    """When what came over the event stream."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, State], float] = {}
        self._news = asyncio.Event()

    async def follow(self, session: aiohttp.ClientSession, begun: asyncio.Event) -> None:
        """From now on, until cancelled or the worker has gone."""
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get("/events") as stream:
                begun.set()
                async for _, move in listener.events(stream):
                    self.at[move["TaskID"], State(move["To"])] = time.monotonic()
                    self._news.set()

    async def until(self, task_ids: Iterable[str], *states: State) -> None:
        """Wait until each of these tasks was in one of these states. It may be long ago."""
        missing = set(task_ids)
        while missing := {one for one in missing if not self._was(one, states)}:
            self._news.clear()
            await self._news.wait()

    def _was(self, task_id: str, states: Iterable[State]) -> bool:
        return any((task_id, one) in self.at for one in states)


class BenchWorker(Process):
    """One worker, from its first start to its last."""

    def __init__(self, folder: Path, engine_url: str, *options: str) -> None:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        super().__init__(name, folder, engine_url, *KEEPS_ALL, *options)
        self.label = f"keelman.worker={name}"
        self.heard = Heard()
        connector = aiohttp.TCPConnector(limit=0)
        no_end = aiohttp.ClientTimeout(total=None)
        self.session = aiohttp.ClientSession(self.url, connector=connector, timeout=no_end)

    async def is_ready(self) -> bool:
        assert self.lives, self.log()[-2000:]
        with contextlib.suppress(aiohttp.ClientError):
            async with self.session.get("/readyz") as response:
                return response.status == 200
        return False

    async def up(self) -> None:
        await self.start()
        await until(self.is_ready, "the worker is ready")

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def memory(self) -> float:
        """Resident, in MiB."""
        return float(self.process.memory_info().rss) / MIB

    # -- what is asked of it ---------------------------------------------------------------------

    async def send(self, task_id: str = "", /, **fields: Any) -> str:
        """One task; its id, once it is acknowledged."""
        task_id = task_id or str(uuid.uuid4())
        async with self.session.post("/tasks", json=event(task_id, **fields)) as response:
            assert response.status == 201, await response.text()
        return task_id

    async def send_all(self, count: int, **fields: Any) -> list[str]:
        return list(await asyncio.gather(*(self.send(**fields) for _ in range(count))))

    async def run_all(self, count: int, **fields: Any) -> list[str]:
        """So many tasks, all of them RUNNING."""
        task_ids = await self.send_all(count, **fields)
        await self.heard.until(task_ids, State.RUNNING)
        return task_ids

    async def stop(self, task_id: str) -> None:
        async with self.session.delete(f"/tasks/{task_id}") as response:
            assert response.status == 204, await response.text()

    async def stop_all(self, task_ids: Iterable[str]) -> None:
        """Stop them, and wait until they have ended."""
        await asyncio.gather(*(self.stop(one) for one in task_ids))
        await self.heard.until(task_ids, State.COMPLETED, State.FAILED)

    async def create_body(self, **fields: Any) -> Json:
        """What the engine is sent for such a task, with labels that are not Keelman's."""
        asked = event(str(uuid.uuid4()), **fields)
        async with self.session.post("/tasks", json=asked, params={"dry_run": "1"}) as response:
            body: Json = (await response.json())["Create"]
        labels = {re.sub(r"^keelman", "bench", key): one for key, one in body["Labels"].items()}
        return {**body, "Labels": {"bench": "bare", **labels}}

    async def phases(self) -> dict[str, tuple[float, int]]:
        """Seconds in all, and how many, of each phase of the way up."""
        async with self.session.get("/metrics") as response:
            return phases_in(await response.text())


def event(task_id: str, **fields: Any) -> Json:
    """A TaskEvent that asks to run a sleeper, or what the fields say."""
    task = {"ID": task_id, "Name": "bench", **SLEEPER, **fields}
    return {"ID": str(uuid.uuid4()), "State": 2, "Task": task}


def phases_in(metrics: str) -> dict[str, tuple[float, int]]:
    told = {
        which: {
            phase: float(value)
            for phase, value in re.findall(
                rf'^keelman_task_phase_seconds_{which}{{phase="(\w+)"}} (\S+)$',
                metrics,
                re.MULTILINE,
            )
        }
        for which in ("sum", "count")
    }
    return {phase: (told["sum"][phase], round(count)) for phase, count in told["count"].items()}


def a_data_dir(folder: Path) -> Path:
    """Where a worker of this folder has its data, made."""
    place = folder / "worker"
    place.mkdir(mode=0o700)
    return place


@contextlib.asynccontextmanager
async def a_folder() -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="keelman-bench-"))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def process(worker: BenchWorker) -> AsyncIterator[BenchWorker]:
    """The worker, up and listened to."""
    try:
        await worker.up()
        begun = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(worker.heard.follow(worker.session, begun))
            await begun.wait()
            try:
                yield worker
            finally:
                following.cancel()
    finally:
        await worker.kill()
        await worker.session.close()
