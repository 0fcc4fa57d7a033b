"""The manager's API on a real socket, with real clients and two workers on engines in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from keelman import Client, ClientError, ManagerClient, State
from keelman.api import Api
from keelman.auditor import FILE_NAME, Auditor
from keelman.manager import follow
from keelman.manager.handlers import CONTRACT, ROUTES
from keelman.manager.limits import Limits
from keelman.manager.manager import Manager
from keelman.manager.nodes import Patience
from keelman.metrics import Metrics
from keelman.runtime.fake import FakeEngine
from keelman.seats import Seats
from keelman.store import Store
from tests.api.conftest import IMAGE, PROGRAMS, Served, an_event, serving, steady_clock

DOCUMENT: dict[str, Any] = json.loads(CONTRACT)
TIMEOUT_SECONDS = 20.0
SECRET = "s3cret-pa55w0rd"


class Managed:
    """A manager, its workers, and clients of it."""

    def __init__(self, directory: Path, workers: dict[str, Served]) -> None:
        self.workers = workers
        metrics = Metrics(steady_clock)
        self.store = Store(directory, lambda: str(uuid4()), metrics.committed)
        self.store._writer.execute("PRAGMA synchronous = OFF")
        self.manager = Manager(
            store=self.store,
            connect=lambda url: Client(url, retry_seconds=0.02),
            clock=steady_clock,
            limits=Limits(patience=Patience(suspect_seconds=0.3, lost_seconds=1000.0)),
            metrics=metrics,
        )
        self.auditor = Auditor(directory, "m", steady_clock, metrics.unaudited, reads=False)
        around = (metrics.measure, self.auditor.audit)
        self.api = Api("127.0.0.1", 0, self.manager, ROUTES, around=around)

    async def start(self, stack: AsyncExitStack) -> None:
        await self.manager.open()
        self._loops = asyncio.create_task(self.manager.run_tasks())
        self.api.bind()
        await self.api.start()
        self._taking = asyncio.create_task(self.api.take())
        url = f"http://127.0.0.1:{self.api.port}"
        self.client = await stack.enter_async_context(ManagerClient(url))
        self.session = await stack.enter_async_context(ClientSession(url))

    async def stop(self) -> None:
        self.manager.events.close()
        await self.api.stop()
        assert not self._loops.done()
        self._loops.cancel()
        self._taking.cancel()
        await asyncio.gather(self._loops, self._taking, return_exceptions=True)
        self.auditor.close()
        self.store.close()

    def audited(self) -> list[tuple[Any, ...]]:
        """The lines of the audit log in short."""
        lines = (self.store.directory / FILE_NAME).read_bytes().splitlines()
        fields = ("Method", "Path", "Wants", "Name", "Status", "Code")
        return [tuple(json.loads(line)[field] for field in fields) for line in lines]

    async def join(self) -> None:
        for name, worker in self.workers.items():
            url = f"http://127.0.0.1:{worker.api.port}"
            await self.client.add_node(name, url, labels={"zone": name})

    async def ask(self, method: str, path: str, **how: Any) -> tuple[int, Any]:
        """The answer, which its route documents."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self.session.request(method, path, **how) as r:
            body = await r.read()
            return r.status, json.loads(body) if r.content_type == "application/json" else body

    async def run(self, *command: str, **task: Any) -> str:
        event = an_event(Command=list(command), **task)
        await self.client.send(event)
        return str(event["Task"]["ID"])


@pytest.fixture
async def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Managed]:
    """A manager with two workers, a and b, that have not joined yet."""
    monkeypatch.setattr(follow, "RECONNECT_SECONDS", 0.02)
    async with AsyncExitStack() as stack:
        workers = {}
        for name in ("a", "b"):
            engine = FakeEngine(steady_clock, programs=PROGRAMS, images=[IMAGE])
            workers[name] = await stack.enter_async_context(serving(tmp_path / name, engine))
        one = Managed(tmp_path / "manager", workers)
        await one.start(stack)
        stack.push_async_callback(one.stop)
        yield one


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another loop does."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await holds():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.01)


async def test_a_client_of_a_worker_is_one_of_a_manager(managed: Managed) -> None:
    """The whole life of a task, asked for as of a worker."""
    await managed.join()
    client = managed.client
    task_id = await managed.run("talk")
    task = await client.task(task_id, wait="running", timeout_seconds=TIMEOUT_SECONDS)
    assert (task.state, task.node in ("a", "b"), task.generation) == (State.RUNNING, True, 0)
    assert b"".join([piece async for piece in client.logs(task_id)]) == b"one\ntwo\nthree\n"
    assert (await client.why(task_id)).seen == f"on node {task.node}: running"
    assert [task.id for task in await client.tasks()] == [task_id]
    await client.stop(task_id)
    assert (await client.task(task_id, wait="ended")).state is State.COMPLETED
    moves = await client.transitions(task_id)
    assert [(move.from_, move.to) for move in moves] == [(0, 1), (1, 2), (2, 3)]
    assert await client.ready()


async def test_events_of_all_nodes_are_one_stream_without_holes(managed: Managed) -> None:
    """Numbered by the manager; resumed like a worker's."""
    await managed.join()
    ids = [await managed.run("true") for _ in range(6)]
    for task_id in ids:
        await managed.client.task(task_id, wait="ended")
    seen = []
    async for _, move in managed.client.events(f"{managed.manager.db.log_id}:0"):
        seen.append(move)
        if len(seen) == 18:
            break
    assert [move.seq for move in seen] == list(range(1, 19))
    assert {move.task_id for move in seen} == set(ids)


async def test_logs_are_followed_until_the_task_has_ended(managed: Managed) -> None:
    """From its node."""
    await managed.join()
    task_id = await managed.run("talk")
    await managed.client.task(task_id, wait="running")
    logs = managed.client.logs(task_id, follow=True)
    assert (await anext(logs)).startswith(b"one")
    await managed.client.stop(task_id)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert b"three" in b"".join([piece async for piece in logs])


async def test_a_task_without_a_node_says_so(managed: Managed) -> None:
    """Its State, its logs and its why."""
    task_id = await managed.run("true")
    status, refusal = await managed.ask("GET", f"/tasks/{task_id}/logs")
    assert (status, refusal["Code"]) == (410, "container_gone")

    async def has_no_node() -> bool:
        return (await managed.client.task(task_id)).reason == "no_node"

    await until(has_no_node)
    told = await managed.client.why(task_id)
    assert (told.state, told.blocked.by, told.seen) == (State.PENDING, "no_node", "on no node")


async def test_why_tells_of_each_node_why_it_is_not_there(managed: Managed) -> None:
    """In the scheduler's words."""
    await managed.join()
    for name in ("a", "b"):
        await managed.client.use_node(name, "cordon")
    task_id = await managed.run("true")

    async def is_told() -> bool:
        return "cordoned" in (await managed.client.why(task_id)).blocked.message

    await until(is_told)
    told = await managed.client.why(task_id)
    assert told.blocked.message == "a: it is cordoned; b: it is cordoned"


async def test_a_node_that_is_away_tells_no_output(managed: Managed) -> None:
    """503: another time it may."""
    await managed.join()
    task_id = await managed.run("talk", Constraints=["node.name==a"])
    await managed.client.task(task_id, wait="running")
    await managed.workers["a"].stop_answering()
    status, refusal = await managed.ask("GET", f"/tasks/{task_id}/logs")
    assert (status, refusal["Code"]) == (503, "node_unavailable")
    told = await managed.client.why(task_id)
    assert told.blocked.by == "node"


async def test_values_of_env_are_in_no_answer(managed: Managed) -> None:
    """As from a worker; the task has them."""
    await managed.join()
    event = an_event(Command=["talk"], Env={"KEY": SECRET})
    task_id = event["Task"]["ID"]
    answers = [await managed.ask("POST", "/tasks", json=event)]
    one = f"/tasks/{task_id}"
    reads = (f"{one}?wait=running", "/tasks", f"{one}/why", f"{one}/transitions")
    answers += [await managed.ask("GET", path) for path in reads]
    answers.append(await managed.ask("POST", "/tasks", json=event))
    assert [status for status, _ in answers] == [201, 200, 200, 200, 200, 201]
    assert SECRET not in json.dumps(answers)
    assert answers[1][1]["Env"] == {"KEY": "***"}
    node = managed.workers[managed.manager.get_task(task_id).node]
    assert node.worker.get_task(task_id).spec.env == {"KEY": SECRET}


async def test_who_changes_something_is_in_the_audit_log(managed: Managed) -> None:
    """Tasks as at a worker, and nodes."""
    await managed.join()
    event = an_event(Command=["talk"], Name="web")
    task_id = event["Task"]["ID"]
    await managed.ask("POST", "/tasks", json=event)
    await managed.ask("DELETE", f"/tasks/{task_id}")
    await managed.ask("GET", "/nodes")
    await managed.ask("POST", "/nodes/a/drain")
    await managed.ask("DELETE", "/nodes/c")
    assert managed.audited() == [
        ("POST", "/nodes", "", "a", 201, ""),
        ("POST", "/nodes", "", "b", 201, ""),
        ("POST", "/tasks", "run", "web", 201, ""),
        ("DELETE", f"/tasks/{task_id}", "stop", "", 204, ""),
        ("POST", "/nodes/a/drain", "", "", 200, ""),
        ("DELETE", "/nodes/c", "", "", 404, "unknown_node"),
    ]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("listeners", "/events"),
        ("readers", "/tasks/{}/logs"),
        ("waiters", "/tasks/{}?wait=ended"),
    ],
)
async def test_where_all_seats_are_taken_it_is_503_too_many(
    managed: Managed, kind: str, path: str
) -> None:
    """As at a worker; who is answered at once needs none."""
    await managed.join()
    task_id = await managed.run("talk")
    await managed.client.task(task_id, wait="running")
    place: Seats = getattr(managed.manager.seats, kind)
    place.taken = place._most
    status, refusal = await managed.ask("GET", path.format(task_id))
    assert (status, refusal["Code"]) == (503, "too_many")
    assert (await managed.ask("GET", f"/tasks/{task_id}"))[0] == 200
    place.taken = 0


async def test_nodes_come_and_go(managed: Managed) -> None:
    """As they are asked for and told of."""
    await managed.join()
    client = managed.client
    assert [node.name for node in await client.nodes()] == ["a", "b"]
    assert (await client.use_node("a", "drain")).use == "draining"
    assert (await client.use_node("a", "uncordon")).use == "open"
    assert (await client.node("a")).labels == {"zone": "a"}
    await client.remove_node("a")
    with pytest.raises(ClientError) as gone:
        await client.node("a")
    assert (gone.value.status, gone.value.code) == (404, "unknown_node")


async def test_a_node_with_tasks_is_not_removed(managed: Managed) -> None:
    """But by force."""
    await managed.join()
    task_id = await managed.run("talk", Constraints=["node.name==a"])
    await managed.client.task(task_id, wait="running")
    with pytest.raises(ClientError) as refused:
        await managed.client.remove_node("a")
    assert (refused.value.status, refused.value.code) == (409, "node_in_use")
    await managed.client.remove_node("a", force=True)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/tasks/x", 400, "bad_field"),
        ("GET", "/tasks/21b23589-5d2d-4731-b5c9-a97e9832d021", 404, "unknown_task"),
        ("GET", "/tasks/21b23589-5d2d-4731-b5c9-a97e9832d021/logs", 404, "unknown_task"),
        ("GET", "/tasks/21b23589-5d2d-4731-b5c9-a97e9832d021/why", 404, "unknown_task"),
        ("DELETE", "/tasks/21b23589-5d2d-4731-b5c9-a97e9832d021", 404, "unknown_task"),
        ("GET", "/nodes/x", 404, "unknown_node"),
        ("POST", "/nodes/x/cordon", 404, "unknown_node"),
        ("DELETE", "/nodes/x?force=2", 400, "bad_field"),
        ("POST", "/nodes", 415, "not_json"),
        ("GET", "/stats", 404, "not_found"),
        ("PUT", "/nodes", 405, "method_not_allowed"),
        ("GET", "/nodes?x=1", 400, "bad_field"),
    ],
)
async def test_what_cannot_be_is_refused(
    managed: Managed, method: str, path: str, status: int, code: str
) -> None:
    """As errors are everywhere."""
    answered, body = await managed.ask(method, path)
    assert (answered, body["Code"]) == (status, code)


async def test_a_bad_constraint_is_refused_with_its_text(managed: Managed) -> None:
    """At once, not when it is placed."""
    event = an_event(Constraints=["zone=eu"])
    status, body = await managed.ask("POST", "/tasks", json=event)
    assert (status, body["Code"]) == (400, "bad_field")
    assert "Task.Constraints" in body["Message"]


async def test_a_worker_takes_no_constraints(managed: Managed) -> None:
    """It places nothing."""
    worker = managed.workers["a"]
    answer = await worker.ask("POST", "/tasks", json=an_event(Constraints=["node.name==a"]))
    assert answer.is_error(400, "not_supported")


async def test_the_same_event_gets_the_same_answer(managed: Managed) -> None:
    """The worker's own rules."""
    event = an_event()
    first = await managed.ask("POST", "/tasks", json=event)
    assert first == await managed.ask("POST", "/tasks", json=event)
    status, body = await managed.ask("POST", "/tasks", json={**event, "State": 1})
    assert (status, body["Code"]) == (409, "event_reused")


async def test_figures_are_told(managed: Managed) -> None:
    """Nodes, tasks, and what is counted of requests."""
    await managed.join()

    async def are_ready() -> bool:
        return {node.status for node in await managed.client.nodes()} == {"ready"}

    await until(are_ready)
    status, body = await managed.ask("GET", "/metrics")
    assert status == 200
    assert b'keelman_nodes{status="ready"} 2.0' in body
    assert b'route="/nodes"' in body


async def test_the_contract_is_served(managed: Managed) -> None:
    """With every route of the table."""
    status, document = await managed.ask("GET", "/openapi.json")
    assert (status, document) == (200, DOCUMENT)
    told = {f"{m.upper()} {path}" for path, some in DOCUMENT["paths"].items() for m in some}
    assert told == {f"{route.method} {route.path}" for route in ROUTES}
