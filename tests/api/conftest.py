"""A worker in this process, all its loops running, on an engine in memory and a real socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from aiohttp import ClientResponse, ClientSession
from msgspec import Struct

from keelman import policy
from keelman.api import Api
from keelman.metrics import Metrics
from keelman.runtime.fake import FakeEngine, FakeRuntime, Program
from keelman.runtime.measured import MeasuredRuntime
from keelman.store import Store
from keelman.worker import watch as watches
from keelman.worker.handlers import ROUTES
from keelman.worker.limits import Limits
from keelman.worker.watch import Watch
from keelman.worker.worker import Worker
from tests.api import contract

NAME = "w"
IMAGE = "nginx:1"
PROGRAMS: dict[tuple[str, ...], Program] = {
    ("true",): Program(seconds=0),
    ("false",): Program(seconds=0, exit_code=1),
    ("stubborn",): Program(ignores=frozenset({"SIGTERM"})),
    ("talk",): Program(
        output=(("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n")),
    ),
    ("talk-and-fail",): Program(seconds=0, exit_code=3, output=(("stdout", b"bye\n"),)),
}


BEGAN = time.time() - time.monotonic()


def steady_clock() -> float:
    """Seconds since the epoch."""
    return BEGAN + time.monotonic()


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  # JSON
        assert self.headers["Content-Type"].startswith("application/json")
        return json.loads(self.body)

    def is_error(self, status: int, code: str) -> bool:
        """Whether it is an error as every error is."""
        assert (self.status, self.json["Code"]) == (status, code), self.body
        assert list(self.json) == ["HTTPStatusCode", "Message", "Code"]
        assert self.json["HTTPStatusCode"] == status
        assert self.json["Message"]
        return True


class Served:
    """The worker, its world and a client of it."""

    def __init__(self, directory: Path, engine: FakeEngine, **limits: Any) -> None:
        self.engine = engine
        metrics = Metrics(steady_clock)
        self.store = Store(directory, lambda: str(uuid4()), metrics.committed)
        # No test here pulls the plug, and a sync for each would take most of their time.
        self.store._writer.execute("PRAGMA synchronous = OFF")
        self.worker = Worker(
            store=self.store,
            runtime=MeasuredRuntime(FakeRuntime(self.engine, NAME), steady_clock, metrics.called),
            clock=steady_clock,
            limits=Limits(start_slots=64, **limits),
            metrics=metrics,
        )
        self.watch = Watch(self.worker, NAME, lambda engine_id: None)
        self.api = Api(
            "127.0.0.1", 0, self.worker, ROUTES, around=(metrics.measure,), heard=self.worker.heard
        )
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        watch = self.watch
        self._loops = [asyncio.create_task(loop()) for loop in watch.loops]
        await watch.contacted.wait()
        self.api.bind()
        await self.api.start()
        self._taking = asyncio.create_task(self.api.take())
        self.session = ClientSession(
            f"http://127.0.0.1:{self.api.port}", trace_configs=[contract.watching()]
        )

    async def stop(self) -> None:
        """In the order in which a process does it."""
        await self.session.close()
        await self.stop_answering()
        for loop in self._loops:
            assert not loop.done(), "a loop has died"
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self.store.close()

    async def stop_answering(self) -> None:
        self._taking.cancel()
        await asyncio.wait([self._taking])
        assert self._taking.cancelled(), "the loop that takes connections has died"
        self.worker.events.close()
        await self.api.stop()

    @property
    def connections(self) -> int:
        """How many sockets are open at its end."""
        return self.api.connections

    # -- asking ----------------------------------------------------------------------------------

    async def ask(self, method: str, path: str, **how: Any) -> Answer:
        """Ask; the answer must be one that the contract has."""
        async with asyncio.timeout(20), self.session.request(method, path, **how) as response:
            answer = await answer_of(response)
        path, kind = response.url.raw_path, response.content_type
        contract.check(method, path, response.status, kind, answer.body)
        return answer

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path)

    async def delete(self, path: str) -> Answer:
        return await self.ask("DELETE", path)

    async def post(self, event: Mapping[str, Any]) -> Answer:
        return await self.ask("POST", "/tasks", json=event)

    async def run(self, *command: str, **task: Any) -> str:
        """Have a new task run; its ID."""
        event = an_event(Command=list(command), **task)
        answer = await self.post(event)
        assert answer.status == 201, answer.body
        return str(event["Task"]["ID"])

    async def until(self, task_id: str, wait: str) -> Any:  # noqa: ANN401  # JSON
        """The task once it runs or has ended."""
        answer = await self.get(f"/tasks/{task_id}?wait={wait}&timeout=20")
        return answer.json

    async def has_run(self, *command: str, **task: Any) -> str:
        task_id = await self.run(*command, **task)
        await self.until(task_id, "ended")
        return task_id

    async def is_running(self, *command: str, **task: Any) -> str:
        task_id = await self.run(*command, **task)
        assert (await self.until(task_id, "running"))["State"] == 2
        return task_id


async def answer_of(response: ClientResponse) -> Answer:
    return Answer(response.status, response.headers, await response.read())


async def until(there: Callable[[], bool]) -> None:
    """Let the loop turn until it is so: nothing tells of what happens in sockets."""
    async with asyncio.timeout(20):
        while not there():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0)


def an_event(**task: Any) -> dict[str, Any]:
    """A new event that asks for a new task, but for what is said otherwise."""
    return {
        "ID": str(uuid4()),
        "State": 2,
        "Task": {"ID": str(uuid4()), "Name": "web", "Image": IMAGE, **task},
    }


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for seconds on a real machine waits for less here."""
    monkeypatch.setattr(policy, "BACKOFF_FIRST_SECONDS", 0.02)
    monkeypatch.setattr(watches, "RECONNECT_SECONDS", 0.02)


@pytest.fixture(autouse=True, scope="session")
def plain_log() -> None:
    """The worker's log, shown where a test fails: without the colours, and the time they take."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )


@asynccontextmanager
async def serving(directory: Path, engine: FakeEngine, **limits: Any) -> AsyncIterator[Served]:
    """While it is entered, a worker on this directory and this engine answers."""
    served = Served(directory, engine, **limits)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(steady_clock, programs=PROGRAMS, images=[IMAGE])


@pytest.fixture
async def served(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Served]:
    async with serving(tmp_path, engine) as served:
        yield served
