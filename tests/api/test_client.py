"""The Client against a server of the test's own: what it sends, what it makes of the answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from keelman.client import BadAddress, BadToken, Client, ClientError, Unreachable
from keelman.frames import Frames
from keelman.task import Reason, State
from tests.unit.given_credentials import secret

TASK_ID = "21b23589-5d2d-4731-b5c9-a97e9832d021"
REPORT = {
    "ID": TASK_ID,
    "Name": "web",
    "Image": "nginx:1",
    "State": 4,
    "HostPorts": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
    "StartTime": "2026-01-31T08:00:00.25Z",
    "FinishTime": None,
    "ExitCode": 3,
    "Reason": "exited",
    "RestartCount": 2,
    "Attempt": 3,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def worker_of(**handlers: Handler) -> AsyncIterator[str]:
    """A server with these handlers, named by method and path: `GET_tasks`."""
    app = web.Application()
    for name, handler in handlers.items():
        method, _, path = name.partition("_")
        app.router.add_route(method, "/" + path.replace("_", "/").replace("ID", "{id}"), handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


def answering(body: object, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        text = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(body=text, status=status, content_type="application/json")

    return handler


def recording(seen: list[Any], status: int = 201) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response(REPORT, status=status)

    return handler


# -- questions -----------------------------------------------------------------------------------


async def test_a_report_is_typed() -> None:
    async with worker_of(GET_tasks=answering([REPORT])) as address, Client(address) as client:
        (task,) = await client.tasks()
    assert (task.id, task.state, task.reason) == (TASK_ID, State.FAILED, Reason.EXITED)
    assert task.host_ports["80/tcp"][0].host_port == "8080"
    assert task.start_time == datetime(2026, 1, 31, 8, 0, 0, 250_000, UTC)
    assert task.finish_time is None


async def test_a_wait_goes_with_its_time() -> None:
    asked: list[dict[str, str]] = []

    async def task(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response(REPORT)

    async with worker_of(GET_tasks_ID=task) as address, Client(address) as client:
        await client.task(TASK_ID)
        await client.task(TASK_ID, wait="ended", timeout_seconds=0.5)
    assert asked == [{}, {"wait": "ended", "timeout": "0.500"}]


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
async def test_ready_is_told_by_the_status(status: int, ready: bool) -> None:
    body = {"HTTPStatusCode": status, "Message": "", "Code": ""}
    handler = answering(body, status)
    async with worker_of(GET_readyz=handler) as address, Client(address) as client:
        assert await client.ready() is ready


async def test_logs_come_in_pieces_with_what_was_asked() -> None:
    asked: list[dict[str, str]] = []

    async def logs(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\ntw")
        await response.write(b"o\xff\n")
        return response

    async with worker_of(GET_tasks_ID_logs=logs) as address, Client(address) as client:
        stream = client.logs(TASK_ID, follow=True, tail=5, since=1.5, stream="stderr", attempt=2)
        assert b"".join([piece async for piece in stream]) == b"one\ntwo\xff\n"
    wanted = {"follow": "1", "tail": "5", "since": "1.500", "stream": "stderr", "attempt": "2"}
    assert asked == [wanted]


# -- who asks ------------------------------------------------------------------------------------

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    "address",
    [
        "https://node-1:5556",
        "http://127.0.0.1:5556",
        "127.9.9.9:1",
        "localhost:1",
        "http://[::1]:1",
    ],
)
def test_a_token_may_be_sent_where_nobody_reads_it(address: str) -> None:
    Client(address, token=TOKEN)


@pytest.mark.parametrize(
    "address",
    ["http://node-1:5556", "192.0.2.1:5556", "http://[2001:db8::1]:1", "localhost.evil.test:1"],
)
def test_a_token_is_not_sent_where_it_could_be_read(address: str) -> None:
    Client(address)
    with pytest.raises(BadAddress, match="https only") as refused:
        Client(address, token=TOKEN)
    assert TOKEN not in refused.value.message


@pytest.mark.parametrize(
    "token",
    ["", "short", f"{TOKEN}\n", f"{TOKEN}\r\nX-Other: 1", f"a {TOKEN}", f"{TOKEN}\0", "é" * 16],
)
def test_what_is_no_token_is_refused_and_not_repeated(token: str) -> None:
    """Before it is in a header, where the HTTP client would refuse it in its own words."""
    with pytest.raises(BadToken, match="at least 16") as refused:
        Client("127.0.0.1:1", token=token)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("text", [TOKEN, f"manager-1 {TOKEN}\n", f"# mine\n\nm {TOKEN}\n"])
async def test_a_token_may_be_in_a_file(text: str, tmp_path: Path) -> None:
    """As the command line has it."""
    shown: list[str] = []

    async def tasks(request: web.Request) -> web.Response:
        shown.append(request.headers["Authorization"])
        return web.json_response([])

    file = secret(tmp_path / "token", text)
    async with worker_of(GET_tasks=tasks) as address, Client(address, token_file=file) as client:
        await client.tasks()
    assert shown == [f"Bearer {TOKEN}"]


def test_a_file_that_has_no_token_is_refused_by_its_name(tmp_path: Path) -> None:
    """Missing, of two lines, open to others; or given beside a token."""
    file = tmp_path / "token"
    with pytest.raises(BadToken, match=f"^{file}: No such file"):
        Client("127.0.0.1:1", token_file=file)
    secret(file, f"a {TOKEN}\nb {TOKEN}")
    with pytest.raises(BadToken, match=f"^{file}: it must hold one line") as refused:
        Client("127.0.0.1:1", token_file=file)
    assert TOKEN not in str(refused.value)
    with pytest.raises(BadToken, match="one of the two"):
        Client("127.0.0.1:1", token=TOKEN, token_file=file)
    file.chmod(0o644)
    with pytest.raises(BadToken, match=f"chmod 600 {file}"):
        Client("127.0.0.1:1", token_file=file)


def test_tls_is_not_given_for_an_address_that_does_not_speak_it() -> None:
    """Who has a certificate to show does not want to ask in the clear."""
    with pytest.raises(BadAddress, match="https://"):
        Client("http://127.0.0.1:1", tls=ssl.create_default_context())


async def test_a_token_does_not_follow_a_redirect() -> None:
    seen: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response([])

    async with worker_of(GET_x=elsewhere) as other:

        async def tasks(request: web.Request) -> web.Response:
            raise web.HTTPFound(f"{other}/x")

        async with worker_of(GET_tasks=tasks) as address, Client(address, token=TOKEN) as client:
            with pytest.raises(ClientError):
                await client.tasks()
    assert seen == []


# -- wishes --------------------------------------------------------------------------------------


async def test_the_same_run_twice_is_one_event() -> None:
    sent: list[dict[str, Any]] = []
    async with worker_of(POST_tasks=recording(sent)) as address, Client(address) as client:
        await client.run(TASK_ID, Image="nginx:1", Command=["nginx"])
        await client.run(TASK_ID, Image="nginx:1", Command=["nginx"])
        await client.run(TASK_ID, Image="nginx:2")
    first, again, other = sent
    assert first == again
    assert first["State"] == 2
    assert first["Task"] == {"ID": TASK_ID, "Image": "nginx:1", "Command": ["nginx"]}
    assert UUID(first["ID"]) != UUID(other["ID"])


async def test_an_event_id_of_ones_own_is_sent() -> None:
    sent: list[dict[str, Any]] = []
    async with worker_of(POST_tasks=recording(sent)) as address, Client(address) as client:
        await client.run(TASK_ID, event_id="e1", Image="nginx:1")
    assert sent[0]["ID"] == "e1"


async def test_a_stop_is_a_delete() -> None:
    stopped: list[str] = []

    async def stop(request: web.Request) -> web.Response:
        stopped.append(request.match_info["id"])
        return web.Response(status=204)

    async with worker_of(DELETE_tasks_ID=stop) as address, Client(address) as client:
        await client.stop(TASK_ID)
    assert stopped == [TASK_ID]


# -- errors --------------------------------------------------------------------------------------


async def test_a_refusal_keeps_the_workers_words() -> None:
    body = {"HTTPStatusCode": 409, "Message": "it is stopping", "Code": "stopping"}
    async with (
        worker_of(DELETE_tasks_ID=answering(body, 409)) as address,
        Client(address) as client,
    ):
        with pytest.raises(ClientError) as caught:
            await client.stop(TASK_ID)
    error = caught.value
    assert (error.status, error.code, error.message) == (409, "stopping", "it is stopping")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"\xff"])
async def test_a_refusal_in_other_words_is_told_by_its_status(body: bytes) -> None:
    async with worker_of(GET_tasks=answering(body, 502)) as address, Client(address) as client:
        with pytest.raises(ClientError, match="502") as caught:
            await client.tasks()
    assert caught.value.status == 502


@pytest.mark.parametrize("body", [b"{}", b"[{", b'[{"ID": 3}]', b"\xff"])
async def test_an_answer_that_is_none_is_an_error(body: bytes) -> None:
    async with worker_of(GET_tasks=answering(body)) as address, Client(address) as client:
        with pytest.raises(ClientError, match="not understood"):
            await client.tasks()


async def test_no_worker_is_told_with_the_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with Client(address) as client:
        with pytest.raises(Unreachable, match=f"http://{address}: Connection refused"):
            await client.tasks()


async def test_an_answer_that_breaks_off_is_told() -> None:
    async def logs(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        broken_off(request)
        return response

    async with worker_of(GET_tasks_ID_logs=logs) as address, Client(address) as client:
        with pytest.raises(Unreachable, match="went away"):
            async for _ in client.logs(TASK_ID):
                pass


@pytest.mark.parametrize("address", ["", "http://", "ftp://x:1", "localhost:99999", "[::"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        Client(address)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def broken_off(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


# -- events --------------------------------------------------------------------------------------


def move_text(seq: int) -> bytes:
    move = {
        "Seq": seq,
        "TaskID": TASK_ID,
        "Generation": 0,
        "Attempt": 1,
        "From": 1,
        "To": 2,
        "Time": "2026-01-31T08:00:00Z",
        "Reason": "",
        "Message": "",
        "ExitCode": None,
        "ContainerID": "c0ffee",
    }
    return msgspec.json.encode(move)


def frame(seq: int) -> bytes:
    return b"id: log:%d\nevent: transition\ndata: %s\n\n" % (seq, move_text(seq))


class Log:
    """An event route: each connection gets the next of `turns` and then breaks off or ends."""

    def __init__(self, *turns: bytes | int, abort: bool = True) -> None:
        self.turns = list(turns)
        self.abort = abort
        self.last_ids: list[str | None] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.last_ids.append(request.headers.get("Last-Event-ID"))
        turn = self.turns.pop(0)
        if isinstance(turn, int):
            body = {"HTTPStatusCode": turn, "Message": "no", "Code": "no"}
            return await answering(body, turn)(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(turn)
        if self.abort:
            broken_off(request)
        return response


async def seqs(client: Client, count: int, since: str = "") -> list[tuple[str, int]]:
    got: list[tuple[str, int]] = []
    async with aclosing(client.events(since)) as events:
        async for event_id, move in events:
            got.append((event_id, move.seq))
            if len(got) == count:
                break
    return got


@pytest.mark.parametrize("abort", [True, False], ids=["broken off", "ended"])
async def test_a_lost_stream_is_resumed_after_the_last_id(abort: bool) -> None:
    log = Log(frame(1) + frame(2) + frame(3)[:-9], b": hello\n\n", 503, frame(3), abort=abort)
    async with (
        worker_of(GET_events=log.serve) as address,
        Client(address, retry_seconds=0) as client,
    ):
        assert await seqs(client, 3) == [("log:1", 1), ("log:2", 2), ("log:3", 3)]
    assert log.last_ids == [None, "log:2", "log:2", "log:2"]


async def test_an_id_without_data_is_where_to_resume() -> None:
    log = Log(b": keelman\nid: log:7\n\n", frame(8))
    async with (
        worker_of(GET_events=log.serve) as address,
        Client(address, retry_seconds=0) as client,
    ):
        assert await seqs(client, 1) == [("log:8", 8)]
    assert log.last_ids == [None, "log:7"]


async def test_a_given_id_is_where_to_begin() -> None:
    log = Log(b": hello\n\n", frame(5))
    async with (
        worker_of(GET_events=log.serve) as address,
        Client(address, retry_seconds=0) as client,
    ):
        await seqs(client, 1, since="log:4")
    assert log.last_ids == ["log:4", "log:4"]


async def test_a_log_that_is_gone_is_not_asked_again() -> None:
    log = Log(frame(1), 410)
    async with (
        worker_of(GET_events=log.serve) as address,
        Client(address, retry_seconds=0) as client,
    ):
        with pytest.raises(ClientError) as caught:
            await seqs(client, 2)
    assert caught.value.status == 410


@pytest.mark.parametrize("status", [503, 404])
async def test_a_stream_that_never_began_is_an_error(status: int) -> None:
    async with worker_of(GET_events=Log(status).serve) as address, Client(address) as client:
        with pytest.raises(ClientError):
            await seqs(client, 1)


async def test_events_wait_for_a_worker_that_comes_back() -> None:
    port = free_port()
    served, stop = asyncio.Event(), asyncio.Event()

    async def serve_twice() -> None:
        for turn in (frame(1), frame(2)):
            app = web.Application()
            app.router.add_get("/events", Log(turn).serve)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            served.set()
            await stop.wait()
            stop.clear()
            await runner.cleanup()

    async with asyncio.TaskGroup() as group, Client(f"127.0.0.1:{port}", retry_seconds=0) as client:
        group.create_task(serve_twice())
        await served.wait()
        async with aclosing(client.events()) as events:
            assert (await anext(events))[0] == "log:1"
            stop.set()
            assert (await anext(events))[0] == "log:2"
            stop.set()


# -- frames --------------------------------------------------------------------------------------

TEXT = (
    ": a comment\r\n"
    "id: log:1\r\n"
    "event: transition\r\n"
    "data: é1\r\n"
    "\r\n"
    "id: log:2\n"
    "data:first\n"
    "data: second\n"
    "data\n"
    "\n"
    "id: log:3\r"
    "data: x\r"
    "\r"
    "retry: 5\n"
    "id: log:4\n"
    "\n"
    "id: never\n"
    "data: not complete\n"
).encode()
FRAMES = [("log:1", "é1".encode()), ("log:2", b"first\nsecond\n"), ("log:3", b"x")]


def cut(text: bytes, places: list[int]) -> Iterator[bytes]:
    ends = sorted(places)
    for begin, end in zip([0, *ends], [*ends, len(text)], strict=True):
        yield text[begin:end]


@given(st.lists(st.integers(0, len(TEXT)), max_size=20))
def test_frames_are_the_same_wherever_they_are_cut(places: list[int]) -> None:
    frames = Frames()
    got = [frame for piece in cut(TEXT, places) for frame in frames.feed(piece)]
    assert got == FRAMES
    assert frames.last_id == "log:4"


def test_frames_arrive_byte_by_byte() -> None:
    frames = Frames()
    got = [frame for place in range(len(TEXT)) for frame in frames.feed(TEXT[place : place + 1])]
    assert got == FRAMES


def test_a_frame_is_told_as_soon_as_it_is_whole() -> None:
    frames = Frames()
    assert list(frames.feed(b"data: 1\r\n\r")) == [("", b"1")]
    assert list(frames.feed(b"\ndata: 2\n\n")) == [("", b"2")]


def test_an_id_holds_until_the_next() -> None:
    frames = Frames()
    assert list(frames.feed(b"id: a\ndata: 1\n\ndata: 2\n\nid: b\0\ndata: 3\n\n")) == [
        ("a", b"1"),
        ("a", b"2"),
        ("a", b"3"),
    ]
