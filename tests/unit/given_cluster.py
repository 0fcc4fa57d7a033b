"""A cluster in memory: workers on engines in memory, links that are cut, managers that come and go.

All of it in virtual time. A node is a whole worker behind a client that speaks to it in this
process; what outlives a manager is its directory and its nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from keelman import room, sse, wire
from keelman.allowed import Allowed
from keelman.answers import ClientError, Unreachable
from keelman.description import EngineReport, WorkerReport
from keelman.errors import KeelmanError
from keelman.explanation import Explanation
from keelman.listing import Listing
from keelman.machine import Resources, total
from keelman.manager.limits import Limits
from keelman.manager.manager import Manager
from keelman.manager.node_client import NodeClient
from keelman.manager.nodes import Patience
from keelman.node_report import NodeIn
from keelman.task import State, Task, TaskEvent
from keelman.wire import TaskReport, TransitionReport
from keelman.worker import reasons
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_store import new_id
from tests.unit.given_worker import Crash, Fuse, FusedStore, Machine, at_work, clock

T = TypeVar("T")

NOTHING = Resources()
HAS = Resources(cpu=4.0, memory=2**32, disk=2**36)
PATIENCE = Patience(suspect_seconds=15.0, lost_seconds=60.0)
LOST_SECONDS = 75.0
POLL_SECONDS = 0.25


class FakeNode:
    """A machine with a worker, and the link to it. `has` is what it says that it has."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.url = f"http://{name}:5556"
        self.machine = Machine(directory / name)
        self.has = HAS
        self.gives = room.UNBOUNDED  # what its worker does give, which may be less by now
        self.cut = False  # nothing gets through
        self.deaf = False  # it hears, and its answers are lost
        self.late = False  # what is asked comes only when it is `delivered`, and is not answered
        self.held: list[Callable[[Worker], Coroutine[Any, Any, object]]] = []
        self.asked: list[str] = []
        self.worker: Worker | None = None

    @property
    def running(self) -> int:
        return len(self.machine.engine.live)

    def live(self, task_id: str = TASK_ID) -> int:
        """How many containers of a task run there."""
        return sum(task_id in one.name for one in self.machine.engine.live)

    async def deliver(self) -> int:
        """What was held up on its way comes now; how many requests that are."""
        held, self.held = self.held, []
        for call in held:
            assert self.worker is not None
            self.worker.heard()
            with contextlib.suppress(KeelmanError):
                await call(self.worker)
        return len(held)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Worker]:
        """While it is entered, its worker is at work."""
        worker = self.machine.worker(capacity=self.gives)
        async with at_work(worker):
            self.worker = worker
            yield worker
            self.worker = None
            worker.events.close()


class FakeClient:
    """A NodeClient that speaks to a worker in this process; each call may be the manager's last."""

    def __init__(self, node: FakeNode, fuse: Fuse) -> None:
        self._node, self._fuse = node, fuse

    async def _ask(self, words: str, call: Callable[[Worker], Coroutine[Any, Any, T]]) -> T:
        if words == "beat" or self._node.cut:  # a death there is one between two others
            return await self._asked(words, call)
        return await self._fuse.guard(self._asked(words, call))

    async def _asked(self, words: str, call: Callable[[Worker], Coroutine[Any, Any, T]]) -> T:
        await asyncio.sleep(0)
        if self._node.cut or self._node.worker is None:
            raise Unreachable("cut")
        if self._node.late:
            self._node.held.append(call)
            raise Unreachable("no answer")
        self._node.asked.append(words)
        self._node.worker.heard()
        try:
            answer = await call(self._node.worker)
        except KeelmanError as error:
            raise ClientError(error.status, error.code, error.message) from error
        if self._node.deaf:
            raise Unreachable("the answer is lost")
        return answer

    async def send(self, event: Mapping[str, object]) -> TaskReport:
        async def post(worker: Worker) -> TaskReport:
            body = await worker.add_task(wire.decode_event(json.dumps(event).encode()))
            return msgspec.json.decode(worker.limits.show(body), type=TaskReport)

        return await self._ask(f"send {_number(event)}", post)

    async def stop(self, task_id: str, *, generation: int | None = None) -> None:
        event = TaskEvent(
            id=None, state=State.COMPLETED, task_id=task_id, generation=generation or 0
        )
        await self._ask(f"stop {generation}", lambda worker: worker.add_task(event))

    async def task(self, task_id: str) -> TaskReport:
        async def get(worker: Worker) -> TaskReport:
            body = wire.encode_task(worker.get_task(task_id))
            return msgspec.json.decode(worker.limits.show(body), type=TaskReport)

        return await self._ask("look", get)

    async def listed(self) -> tuple[list[TaskReport], str]:
        async def get(worker: Worker) -> tuple[list[TaskReport], str]:
            listed = worker.get_tasks(Listing())
            reports = msgspec.json.decode(listed.body, type=list[TaskReport])
            return reports, f"{worker.db.log_id}:{listed.seq}"

        return await self._ask("list", get)

    async def worker(self, *, moment: str | None = None) -> WorkerReport:
        async def get(worker: Worker) -> WorkerReport:
            allocated = total(worker.db.asked())
            if moment is not None:
                worker.heard.had(moment)
            report = a_report(self._node.name, self._node.has, worker.engine_trouble, allocated)
            return msgspec.structs.replace(
                report, moment=worker.heard.moment, silence=worker.heard.silence
            )

        return await self._ask("beat", get)

    async def why(self, task_id: str) -> Explanation:
        return await self._ask("why", lambda worker: reasons.why(worker, task_id))

    async def events(self, since: str = "") -> AsyncGenerator[tuple[str, TransitionReport]]:
        async def begin(worker: Worker) -> int:
            return sse.first_seq(worker, since or None)

        seq = await self._ask("follow", begin)
        worker = self._node.worker
        while True:
            await asyncio.sleep(POLL_SECONDS)
            gone = worker is None or worker is not self._node.worker
            if gone or self._node.cut or self._node.deaf or self._node.late:
                raise Unreachable("cut")
            assert worker is not None
            for move in worker.db.transitions(seq):
                seq = move.seq
                body = wire.encode_transition(move)
                yield f"{worker.db.log_id}:{seq}", msgspec.json.decode(body, type=TransitionReport)

    async def logs(self, task_id: str, **asked: Any) -> AsyncGenerator[bytes]:
        yield f"{self._node.name} {task_id}\n".encode()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def _number(event: Mapping[str, object]) -> object:
    task = event["Task"]
    assert isinstance(task, dict)
    return task["Generation"]


def a_report(
    name: str = "a",
    has: Resources = HAS,
    trouble: str = "",
    allocated: Resources = NOTHING,
) -> WorkerReport:
    return WorkerReport(
        name=name,
        version="1",
        since=datetime.fromtimestamp(0, UTC),
        engine=EngineReport(id="e", version="20", trouble=trouble),
        allowed=Allowed(),
        default_pids_limit=0,
        start_slots=4,
        keep_ended_seconds=1.0,
        keep_ended_tasks=1,
        machine=has,
        capacity=has,
        allocated=allocated,
        left=has.less(allocated),
    )


class Cluster:
    """Nodes, and the directory of their manager."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.nodes = {name: FakeNode(directory, name) for name in names}
        self._directory = directory / "manager"
        self._open: FusedStore | None = None

    def __getitem__(self, name: str) -> FakeNode:
        return self.nodes[name]

    def manager(self, fuse: Fuse | None = None, **limits: Any) -> Manager:
        """A manager's process begins, after the one before it has ended."""
        self.close()
        fuse = fuse or Fuse()
        store = self._open = FusedStore(self._directory, new_id)
        store.fuse = fuse
        nobody = FakeNode(self._directory / "nowhere", "nobody")
        by_url = {node.url: node for node in self.nodes.values()}

        def connect(url: str) -> AbstractAsyncContextManager[NodeClient]:
            return FakeClient(by_url.get(url, nobody), fuse)

        usual = {"patience": PATIENCE}
        return Manager(
            store=store, connect=connect, clock=clock, limits=Limits(**{**usual, **limits})
        )

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """All its workers are at work."""
        async with contextlib.AsyncExitStack() as stack:
            for node in self.nodes.values():
                await stack.enter_async_context(node.up())
            yield
        self.close()

    async def join(self, manager: Manager) -> None:
        """All its nodes join."""
        for node in self.nodes.values():
            labels = {"zone": node.name}
            await manager.membership.add(NodeIn(name=node.name, url=node.url, labels=labels))


@asynccontextmanager
async def managing(manager: Manager) -> AsyncIterator[Manager]:
    """While it is entered, the manager is at work."""
    await manager.open()
    async with asyncio.TaskGroup() as group:
        loops = group.create_task(manager.run_tasks())
        yield manager
        loops.cancel()


class Frozen(Fuse):
    """A fuse that does not raise: when it blows, nothing that is awaited ever comes back."""

    def __init__(self, blows_at: int = 0, *, late: bool = False) -> None:
        super().__init__(blows_at, late=late)
        self.blown = asyncio.Event()

    async def guard(self, call: Coroutine[Any, Any, T]) -> T:
        if self.blown.is_set():
            call.close()
            await asyncio.Future[None]()
        try:
            return await super().guard(call)
        except Crash:
            self.blown.set()
            return await asyncio.Future()


async def until_dead(manager: Manager, fuse: Frozen, seconds: float) -> bool:
    """The manager at work, for so long or until its fuse blows; whether it blew."""

    async def work() -> None:
        await manager.open()
        await manager.run_tasks()

    working = asyncio.create_task(work())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await fuse.blown.wait()
    assert not working.done(), "a manager does not end by itself"
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return fuse.blown.is_set()


async def until(holds: Callable[[], bool], seconds: float = 600.0) -> None:
    """Let time pass until something is so."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # virtual time passes for nothing
            await asyncio.sleep(0.1)


def state_of(manager: Manager, task_id: str = TASK_ID) -> State:
    return manager.get_task(task_id).state


def node_of(manager: Manager, task_id: str = TASK_ID) -> str:
    return manager.get_task(task_id).node


def story(manager: Manager, task_id: str = TASK_ID) -> list[str]:
    moves = manager.db.history(task_id)
    return [f"{move.from_.name} {move.to.name} #{move.attempt} {move.reason}" for move in moves]


def recorded(manager: Manager, task_id: str = TASK_ID) -> Task:
    task = manager.db.get(task_id)
    assert task is not None
    return task
