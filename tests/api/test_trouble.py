"""When the engine is away, the disk is full, clients vanish, or it is time to go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ServerDisconnectedError
from aiohttp.web import Request, StreamResponse

from keelman import api, bounds
from keelman.api import Api
from keelman.errors import CannotStart
from keelman.runtime.fake import FakeEngine
from keelman.task import Task, TaskEvent
from keelman.worker import worker as workers
from keelman.worker.handlers import ROUTES
from tests.api.conftest import Served, an_event, answer_of, serving, until
from tests.api.listening import listening
from tests.api.raw import HEAD, raw
from tests.unit.given_store import Gate

CLIENTS = 32
TASKS_EACH = 10


@pytest.fixture
async def full_disk(served: Served) -> AsyncIterator[Served]:
    """A worker that can write nothing."""
    served.store._writer.execute("PRAGMA query_only = ON")
    yield served
    served.store._writer.execute("PRAGMA query_only = OFF")


async def until_ready(served: Served, status: int) -> Any:  # noqa: ANN401  # JSON
    """Ask again and again whether it is ready, until the answer is this."""
    async with asyncio.timeout(20):
        while (answer := await served.get("/readyz")).status != status:
            pass
    return answer


# -- the engine is away --------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/"], ids=["no slash", "slash"])
async def test_a_worker_in_order_is_alive_and_ready(served: Served, end: str) -> None:
    for route in ("/livez", "/readyz"):
        answer = await served.get(route + end)
        assert (answer.status, answer.json) == (200, {"Status": "ok"})


async def test_while_the_engine_is_away_it_is_alive_and_not_ready(served: Served) -> None:
    task_id = await served.is_running()
    served.engine.down()
    answer = await until_ready(served, 503)
    assert answer.is_error(503, "engine_unavailable")
    assert (await served.get("/livez")).status == 200
    assert (await served.get(f"/tasks/{task_id}")).json["State"] == 2
    waiting = await served.run("true")  # a wish is taken all the same
    assert (await served.delete(f"/tasks/{task_id}")).status == 204
    assert (await served.get(f"/tasks/{waiting}")).json["State"] == 0

    served.engine.up()
    await until_ready(served, 200)
    for one in (task_id, waiting):
        assert (await served.until(one, "ended"))["State"] == 3


async def test_a_worker_that_never_met_its_engine_takes_no_task(
    tmp_path: Path, engine: FakeEngine
) -> None:
    engine.down()
    async with serving(tmp_path, engine) as served:
        assert (await served.post(an_event())).is_error(503, "engine_unavailable")
        assert (await served.get("/tasks")).json == []
        engine.up()
        await until_ready(served, 200)
        assert (await served.post(an_event())).status == 201


# -- it cannot record ----------------------------------------------------------------------------


async def test_what_cannot_be_recorded_is_503_and_does_not_happen(full_disk: Served) -> None:
    event = an_event()
    assert (await full_disk.post(event)).is_error(503, "cannot_record")
    assert (await full_disk.get("/readyz")).is_error(503, "cannot_record")
    assert (await full_disk.get("/tasks")).json == []
    assert (await full_disk.get("/livez")).status == 200
    assert full_disk.engine.containers == {}

    full_disk.store._writer.execute("PRAGMA query_only = OFF")
    assert (await full_disk.post(event)).status == 201  # the same event, sent again
    assert (await full_disk.until(event["Task"]["ID"], "running"))["State"] == 2


async def test_a_write_that_hangs_is_not_ready(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PROBE_SECONDS", 0.05)
    gate = Gate()
    held = asyncio.create_task(served.store.write(gate))
    await gate.reached()
    assert (await served.get("/readyz")).is_error(503, "cannot_record")
    assert (await served.get("/livez")).status == 200
    gate.open()
    await held
    assert (await served.get("/readyz")).status == 200


async def test_a_stop_that_cannot_be_recorded_is_503_and_does_not_happen(served: Served) -> None:
    task_id = await served.is_running()
    served.store._writer.execute("PRAGMA query_only = ON")
    assert (await served.delete(f"/tasks/{task_id}")).is_error(503, "cannot_record")
    assert (await served.get(f"/tasks/{task_id}")).json["State"] == 2
    assert all(one.live for one in served.engine.containers.values())


# -- many at once --------------------------------------------------------------------------------


async def test_of_many_tasks_sent_by_many_clients_at_once_none_is_lost(served: Served) -> None:
    async def client() -> list[str]:
        async with ClientSession(f"http://127.0.0.1:{served.api.port}") as session:
            events = [an_event(Command=["true"]) for _ in range(TASKS_EACH)]
            for event in events:
                async with session.post("/tasks", json=event) as response:
                    assert (await answer_of(response)).status == 201
            return [event["Task"]["ID"] for event in events]

    sent = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    ids = {task_id for some in sent for task_id in some}
    assert len(ids) == CLIENTS * TASKS_EACH
    async with listening(served, since="0") as listener:
        heard = await listener.events(3 * len(ids))
    assert [event.seq for event in heard] == list(range(1, 3 * len(ids) + 1))
    assert {event.data["TaskID"] for event in heard if event.data["To"] == 3} == ids
    assert {task["ID"] for task in (await served.get("/tasks")).json} == ids


async def test_the_same_event_from_many_clients_at_once_is_one_task(served: Served) -> None:
    event = an_event()
    answers = await asyncio.gather(*(served.post(event) for _ in range(CLIENTS)))
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    await served.until(event["Task"]["ID"], "running")
    assert len(served.engine.containers) == 1


# -- clients that vanish -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD, id="half a head"),
        pytest.param(HEAD + b"Content-Length: 500\r\n\r\n", id="a head"),
        pytest.param(HEAD + b"Content-Length: 500\r\n\r\n{", id="half a body"),
    ],
)
async def test_a_client_that_goes_in_the_middle_of_a_post_leaves_nothing_behind(
    served: Served, sent: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    await raw(served, sent)
    assert (await served.get("/tasks")).json == []
    assert "internal_error" not in capsys.readouterr().out


async def test_a_wish_whose_sender_went_before_the_answer_is_kept_and_carried_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was on its way to the disk; whoever sends it again gets the answer."""
    gate, asked, gone = Gate(), asyncio.Event(), asyncio.Event()
    add_task = served.worker.add_task

    async def watched(event: TaskEvent) -> bytes:
        asked.set()
        try:
            return await add_task(event)
        except asyncio.CancelledError:
            gone.set()
            raise

    monkeypatch.setattr(served.worker, "add_task", watched)
    held = asyncio.create_task(served.store.write(gate))
    await gate.reached()
    event = an_event()
    sender = asyncio.create_task(served.post(event))
    await asked.wait()
    sender.cancel()
    await gone.wait()
    gate.open()
    await held
    assert (await served.post(event)).status == 201
    assert (await served.until(event["Task"]["ID"], "running"))["Attempt"] == 1


async def test_a_listener_that_goes_is_let_go_of(served: Served) -> None:
    async with listening(served):
        pass
    await until(lambda: served.connections == 0)


@pytest.mark.parametrize("path", ["/tasks", "/events", "/tasks/{}/logs"])
async def test_a_client_that_goes_just_before_its_answer_begins_is_no_bug(
    served: Served, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its connection is closing, and the request is not cancelled yet."""
    task_id = await served.has_run("talk-and-fail")
    monkeypatch.setattr(bounds, "WHOLE_BYTES", 0)  # a list, too, goes out in parts
    prepare = StreamResponse.prepare

    async def too_late(response: StreamResponse, request: Request) -> object:
        assert request.transport is not None
        request.transport.abort()
        return await prepare(response, request)

    monkeypatch.setattr(StreamResponse, "prepare", too_late)
    with pytest.raises(ServerDisconnectedError):
        await served.get(path.format(task_id))
    await until(lambda: served.connections == 0)
    route = path.format("{taskID}")
    figures = served.worker.metrics.registry
    labels = {"method": "GET", "route": route, "status": "cancelled"}
    asked = figures.get_sample_value("keelman_http_requests_total", labels)
    assert asked in (1, 2)  # this client asks once more
    assert "internal_error" not in capsys.readouterr().out


# -- the end -------------------------------------------------------------------------------------


def when_asked(served: Served, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once somebody asks for a task."""
    get_task, asked = served.worker.get_task, asyncio.Event()

    def watched(task_id: str) -> Task:
        asked.set()
        return get_task(task_id)

    monkeypatch.setattr(served.worker, "get_task", watched)
    return asked


async def test_it_stops_with_streams_and_waits_open_and_leaves_its_containers(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "SHUTDOWN_SECONDS", 0.1)
    async with serving(tmp_path, engine) as served, asyncio.timeout(20):
        task_id = await served.is_running("talk")
        async with (
            listening(served) as listener,
            served.session.get(f"/tasks/{task_id}/logs?follow=1") as logs,
        ):
            await logs.content.readany()
            asked = when_asked(served, monkeypatch)
            waiting = asyncio.create_task(served.get(f"/tasks/{task_id}?wait=ended&timeout=3600"))
            await asked.wait()
            await served.stop_answering()
            assert await listener.block() == {}  # the stream has ended
            assert (await waiting).json["State"] == 2  # it is told what is
    assert [one.live for one in engine.containers.values()] == [True]


async def test_a_taken_port_is_found_before_anything_is_set_in_motion(served: Served) -> None:
    second = Api("127.0.0.1", served.api.port, served.worker, ROUTES)
    with pytest.raises(CannotStart, match=f"cannot listen on 127.0.0.1 port {served.api.port}"):
        second.bind()


@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:ffff:1"])
async def test_an_address_that_is_not_ours_is_cannot_start(served: Served, address: str) -> None:
    with pytest.raises(CannotStart, match="cannot listen on"):
        Api(address, 0, served.worker, ROUTES).bind()


async def test_a_name_that_has_no_address_is_told_as_that(served: Served) -> None:
    with pytest.raises(CannotStart, match=r"no address is known for no\.such\.host\.invalid$"):
        Api("no.such.host.invalid", 0, served.worker, ROUTES).bind()


async def test_no_answer_tells_what_it_was_made_by(served: Served) -> None:
    """Refusals and streams neither."""
    for path in ("/livez", "/nowhere", "/tasks", "/events"):
        async with served.session.get(path) as answer:
            assert "Server" not in answer.headers, path


async def test_what_is_kept_is_there_for_the_next_worker(
    tmp_path: Path, engine: FakeEngine
) -> None:
    event = an_event(Command=["true"])
    async with serving(tmp_path, engine) as served:
        first = await served.post(event)
        await served.until(event["Task"]["ID"], "ended")
        listed = await served.get("/tasks")
    async with serving(tmp_path, engine) as served:
        assert (await served.post(event)).body == first.body
        again = await served.get("/tasks")
    assert again.body == listed.body
    assert again.headers["Last-Event-ID"] == listed.headers["Last-Event-ID"]
