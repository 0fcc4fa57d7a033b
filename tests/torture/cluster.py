"""The bench of a cluster: a manager and three workers on one engine, and who watches.

Each worker has its own name, data directory and containers; a node is named as its worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from tests.torture import cluster_judge, listener
from tests.torture.beside import watched
from tests.torture.cluster_judge import Seen
from tests.torture.judge import Evidence, Tally
from tests.torture.listener import Listener
from tests.torture.manager import Manager
from tests.torture.orders import FAILING, LONG, SERVICE, SHORT, STUBBORN
from tests.torture.process import ManagerProcess, Process
from tests.torture.sightings import Sightings
from tests.torture.waiting import PATIENCE_SECONDS, became, until

NODES = 3
SUSPECT_SECONDS, LOST_SECONDS = 2.0, 5.0
KINDS = (LONG, LONG, SERVICE, STUBBORN, SHORT, FAILING)
PATIENCE = ("--suspect-seconds", str(SUSPECT_SECONDS), "--lost-seconds", str(LOST_SECONDS))
EVERY_SECONDS = 0.8
KEEPS_ALL = ("--keep-ended-tasks", "1000000", "--keep-ended-hours", "100000")
SERVERS_FAULT = 500


class Place(Struct, frozen=True, kw_only=True):
    """Where a node's worker runs, and what else it is told."""

    host: str = "127.0.0.1"
    scheme: str = "http"
    behind: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Setting(Struct, frozen=True, kw_only=True):
    """What a cluster is set up with: where its nodes are, and what else its manager is told."""

    places: tuple[Place, ...] = (Place(),) * NODES
    options: tuple[str, ...] = ()


class Cluster:
    """A manager and its nodes, with all that is needed to torture them and to judge."""

    def __init__(
        self,
        folder: Path,
        socket: str,
        chance: random.Random,
        say: Callable[[str], None],
        setting: Setting,
    ) -> None:
        self.folder, self.chance, self.say = folder, chance, say
        starts = folder / "starts"
        starts.mkdir(mode=0o777)
        starts.chmod(0o777)
        self.manager = ManagerProcess(_made(folder / "manager"), *PATIENCE, *KEEPS_ALL)
        self.manager.options += setting.options
        self.nodes: dict[str, Process] = {}
        self._urls: dict[str, str] = {}
        for number, place in enumerate(setting.places, start=1):
            self._put(f"node-{number}", f"unix://{socket}", place)
        self.load = Manager(self.manager.url, starts, chance)
        self.listener = Listener(self.manager.url)
        self.truth = Sightings(socket)
        self.killed: set[str] = set()  # containers, with their machine
        self.recoveries: list[float] = []
        self._starts, self._settled = starts, 0.0

    def _put(self, name: str, engine_url: str, place: Place) -> None:
        options = ("--host", place.host, "--allow-mount", str(self.folder), *KEEPS_ALL)
        node = Process(name, _made(self.folder / name), engine_url, *options, *place.options)
        node.behind = place.behind
        self.nodes[name] = node
        self._urls[name] = f"{place.scheme}://{place.host}:{node.port}"

    @property
    def processes(self) -> list[Process]:
        return [self.manager, *self.nodes.values()]

    async def up(self) -> None:
        """Start them all, and let the workers join."""
        for process in self.processes:
            await process.start()
        await until(partial(self.is_ready, self.manager), "the manager is ready")
        for name, url in self._urls.items():
            await self._join(name, url)
        await until(partial(self.are_ready, *self.nodes), "all nodes are ready")

    async def _join(self, name: str, url: str) -> None:
        body = {"Name": name, "URL": url}
        async with self._session() as session, session.post("/nodes", json=body) as response:
            assert response.status == 201, await response.text()

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.manager.url, timeout=aiohttp.ClientTimeout(total=10))

    # -- looking ---------------------------------------------------------------------------------

    async def is_ready(self, process: Process) -> bool:
        """Whether it says so itself."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session() as session, session.get(f"{process.url}/readyz") as response:
                return response.status == 200
        return False

    async def are_ready(self, *names: str) -> bool:
        """Whether the manager says so of all these nodes."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session() as session, session.get("/nodes") as response:
                told = {node["Name"]: node["Status"] for node in await response.json()}
                return all(told.get(name) == "ready" for name in names)
        return False

    async def back(self, *names: str) -> None:
        """Wait until the manager hears these nodes."""
        await until(partial(self.are_ready, *names), f"{names} are ready")

    async def recovered(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until something is as before; how long that took is kept."""
        began = time.monotonic()
        await until(holds, what)
        self.recoveries.append(time.monotonic() - began)

    # -- judging ---------------------------------------------------------------------------------

    async def _evidence(self, gaps: list[str]) -> Evidence:
        return Evidence(
            orders=self.load.orders,
            tasks=await self.load.tasks(),
            containers=await self.truth.containers(),
            starts=self._starts,
            doubles=[],
            gaps=gaps,
        )

    @property
    def _seen(self) -> Seen:
        return Seen(
            started=tuple(self.truth.started.values()),
            overlaps=frozenset(self.truth.overlaps),
            killed=frozenset(self.killed),
        )

    async def settle(self, patience: float = PATIENCE_SECONDS) -> None:
        """Wait until every task is where it must be, or for so long that it will never be."""
        began = time.monotonic()
        missing: list[str] = []

        async def at_rest() -> bool:
            missing[:] = cluster_judge.unsettled(await self._evidence([]), self._seen)
            return not missing

        if not await became(at_rest, patience):
            self.say(f"after {patience:g} s not at rest: {missing}")
        self._settled = time.monotonic() - began

    async def judge(self, scenario: str, rounds: str) -> Tally:
        """Let it settle, then count."""
        await self.settle()
        await asyncio.sleep(2)  # what should not come any more would come now
        log = await listener.whole_log(self.manager.url)
        evidence = await self._evidence(await self._gaps(log))
        tally = cluster_judge.counted(evidence, self._seen)
        for process in self.processes:
            if "Traceback" in process.log() or "internal_error" in process.log():
                tally = tally.and_wrong(f"the log of {process.name} tells of a bug")
        return msgspec.structs.replace(
            tally,
            scenario=scenario,
            rounds=rounds,
            transitions=len(log),
            recoveries=tuple(self.recoveries),
            settled=self._settled,
            notes=tuple(self._notes(log)),
        )

    async def _gaps(self, log: list[dict[str, Any]]) -> list[str]:
        states = {one: task["State"] for one, task in (await self.load.tasks()).items()}
        told = {one: await self._transitions(one) for one in states}
        return [
            *self.listener.holes,
            *listener.gaps(log, self.listener.heard, states),
            *cluster_judge.unlike(log, told),
        ]

    async def _transitions(self, task_id: str) -> list[dict[str, Any]]:
        path = f"/tasks/{task_id}/transitions"
        async with self._session() as session, session.get(path) as response:
            told: list[dict[str, Any]] = json.loads(await response.text())
            return told

    def _notes(self, log: list[dict[str, Any]]) -> list[str]:
        answers: Counter[int] = self.load.answers
        refused = sum(times for status, times in answers.items() if status >= SERVERS_FAULT)
        return [
            f"{cluster_judge.moves(log)} tasks moved",
            f"{cluster_judge.two_at_once(self._seen)} times a copy lived beside an older one",
            f"{refused} x 5xx, {answers[0]} x no answer",
        ]

    async def close(self) -> None:
        for process in self.processes:
            await process.kill()
            if process.log_file.exists():
                shutil.copy(process.log_file, f"{self.folder}-{process.name}.log")
        await self.load.close()
        with contextlib.suppress(aiohttp.ClientError):
            await self.truth.remove_all()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@asynccontextmanager
async def cluster(
    chance: random.Random, say: Callable[[str], None], socket: str, setting: Setting
) -> AsyncIterator[Cluster]:
    """A cluster on the engine at `socket`, watched while this is entered; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="keelman-torture-"))
    one = Cluster(folder, socket, chance, say, setting)
    try:
        async with watched(one):
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)
