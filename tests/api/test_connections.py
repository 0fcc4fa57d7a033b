"""How many connections, and how long each: over real sockets, with small bounds."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from aiohttp.streams import StreamReader

from keelman import bounds, connections, tls
from keelman.runtime.fake import FakeEngine
from keelman.worker import Credentials
from tests.api.attacks import JSON_HEAD
from tests.api.conftest import Served, serving, until
from tests.api.listening import listening
from tests.api.raw import raw
from tests.api.test_access import Guarded, guarded
from tests.unit.given_credentials import Folder

MOST = 8
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CONNECTIONS_MOST", MOST)
    monkeypatch.setattr(bounds, "LINGER_SECONDS", 0.05)


@contextmanager
def connected(served: Served, number: int = 1, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Clients that send this and no more, and read nothing by themselves."""
    with ExitStack() as undo:
        clients = []
        for _ in range(number):
            client = undo.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", served.api.port))
            client.sendall(sent)
            client.setblocking(False)  # as sockets have it
            clients.append(client)
        yield clients


def is_closed(client: socket.socket) -> bool:
    """Whether the worker closed it."""
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def is_alive(served: Served) -> bool:
    """Whether somebody who comes now is answered."""
    answer = await raw(served, LIVEZ, until=b"ok")
    return answer.startswith(b"HTTP/1.1 200 ")


# -- too many --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /livez HT", id="half a line"),
        pytest.param(LIVEZ[:-2], id="half a head"),
        pytest.param(LIVEZ, id="a request, long answered"),
        pytest.param(b"\0" * 9, id="rubbish"),
    ],
)
async def test_who_opens_many_connections_shuts_out_nobody(served: Served, sent: bytes) -> None:
    with connected(served, 10 * MOST, sent):
        for _ in range(3):
            assert await is_alive(served)
            assert served.connections <= MOST
    await until(lambda: served.connections == 0)


async def test_the_one_that_waited_longest_makes_room(served: Served) -> None:
    with connected(served, MOST) as clients:
        await until(lambda: served.connections == MOST)
        clients[0].sendall(LIVEZ)  # it has just been served: the second one waits longer now
        await until(lambda: not is_closed(clients[0]) and readable(clients[0]))
        with connected(served):
            await until(lambda: is_closed(clients[1]))
            assert [is_closed(one) for one in clients] == [False, True] + [False] * (MOST - 2)


def readable(client: socket.socket) -> bool:
    try:
        return bool(client.recv(65_536, socket.MSG_PEEK))
    except BlockingIOError:
        return False


async def test_of_those_that_wait_there_are_fewer_than_of_all(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may hold a head that never ends."""
    monkeypatch.setattr(bounds, "WAITING_MOST", 3)
    with connected(served, 3) as first, connected(served, 1) as late:
        await until(lambda: is_closed(first[0]))
        assert not any(is_closed(one) for one in (*first[1:], *late))


async def test_a_request_in_hand_is_not_disturbed_and_one_too_many_is_closed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "CONNECTIONS_MOST", 2)
    task_id = await served.is_running()
    await served.session.close()
    await until(lambda: served.connections == 0)
    waiting = f"GET /tasks/{task_id}?wait=ended HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with connected(served, 2, waiting) as clients:
        await until(lambda: served.worker.seats.waiters.taken == 2)
        with connected(served, 5, LIVEZ) as late:
            await until(lambda: all(is_closed(one) for one in late))
        assert not any(is_closed(one) for one in clients)
    await until(lambda: served.connections == 0)
    assert await is_alive(served)


async def test_without_a_descriptor_left_the_next_one_is_taken_a_little_later(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "ACCEPT_AGAIN_SECONDS", 0.01)
    loop = asyncio.get_running_loop()
    accept, troubles = loop.sock_accept, [errno.EMFILE, errno.ECONNABORTED, errno.ENFILE]

    async def troubled(listening: socket.socket) -> object:
        if troubles:
            raise OSError(troubles[0], os.strerror(troubles.pop(0)))
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", troubled)
    with connected(served) as (client,):
        assert await is_alive(served)  # taken by the accept that waits already
        await until(lambda: is_closed(client))  # it made room
        assert await is_alive(served)
    said = capsys.readouterr().out
    assert said.count("no connection taken") == 2
    assert "Too many open files" in said


# -- too slow --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /liv", LIVEZ[:-2], LIVEZ, LIVEZ + b"GET /"], ids=repr)
async def test_what_waits_too_long_for_its_next_head_is_closed(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(bounds, "IDLE_SECONDS", 0.05)
    async with serving(tmp_path, engine) as served:
        with connected(served, 1, sent) as (client,):
            await until(lambda: is_closed(client))
        await until(lambda: served.connections == 0)


async def test_a_head_that_comes_letter_by_letter_is_not_waited_for_longer(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "IDLE_SECONDS", 0.05)
    async with serving(tmp_path, engine) as served:
        with connected(served) as (client,):
            await until(lambda: served.connections == 1)
            while served.connections:
                client.send(b"a")
                await asyncio.sleep(0)


async def test_a_client_that_does_not_read_its_answers_is_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordinary ones, which aiohttp would wait with for ever."""
    monkeypatch.setattr(bounds, "WRITE_SECONDS", 0.05)
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(served, 3, asked * 400):
        await until(lambda: served.connections == 3)
        await until(lambda: served.connections == 0)
    assert await is_alive(served)


async def test_a_body_that_is_announced_too_large_is_not_waited_for(served: Served) -> None:
    answer = await raw(served, JSON_HEAD + b"Content-Length: 1048577\r\n\r\n", until=b"too_large")
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_what_comes_of_a_body_after_its_answer_is_not_looked_at(served: Served) -> None:
    """Not even for its end: the connection is closed, and what follows the body is no request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.api.port)
    writer.write(CHUNKED + b"1\r\na\r\n")
    answer = await reader.readuntil(b"method_not_allowed")
    assert b"\r\nConnection: close\r\n" in answer
    writer.write(b"0\r\n\r\n" + LIVEZ)
    assert b"HTTP/1.1" not in await reader.read()
    writer.close()


async def test_of_a_body_that_nobody_asks_for_little_is_parsed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte in each chunk: none is dearer."""
    parsed, feed = [], StreamReader.feed_data

    def counted(stream: StreamReader, data: bytes, size: int = 0) -> bool:
        parsed.append(data)
        return feed(stream, data, size)

    monkeypatch.setattr(StreamReader, "feed_data", counted)
    answer = await raw(served, CHUNKED + b"1\r\na\r\n" * 50_000, until=b"method_not_allowed")
    await until(lambda: served.connections == 0)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert 0 < len(parsed) <= bounds.BODY_AHEAD_BYTES // 16 + 2


async def test_a_body_that_is_wanted_is_asked_for(served: Served) -> None:
    head = JSON_HEAD + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", served.api.port)
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400 ")
    writer.close()


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture
async def in_tls(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Guarded]:
    folder = Folder(tmp_path / "certs")
    folder.issue("manager-1")
    cert, key = folder.issue("node-1")
    given = Credentials(tls_cert=cert, tls_key=key, tls_ca=folder.ca, allow_client=("manager-1",))
    async with guarded(tmp_path, engine, given) as served:
        yield served


async def is_known(served: Guarded, tmp_path: Path) -> bool:
    """Whether a client with a certificate is answered."""
    folder = tmp_path / "certs"
    context = tls.caller(folder / "ca.pem", folder / "manager-1.pem", folder / "manager-1.key")
    url = f"https://127.0.0.1:{served.api.port}/tasks"
    async with served.session.get(url, ssl=context) as answer:
        return answer.status == 200


async def test_who_begins_many_handshakes_shuts_out_nobody(in_tls: Guarded, tmp_path: Path) -> None:
    with connected(in_tls, 10 * MOST):
        assert await is_known(in_tls, tmp_path)
        assert in_tls.connections <= MOST
    await in_tls.session.close()
    await until(lambda: in_tls.connections == 0)


async def test_a_handshake_that_does_not_end_is_ended(
    in_tls: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HANDSHAKE_SECONDS", 0.05)
    with connected(in_tls, 2) as clients:
        await until(lambda: in_tls.connections == 2)
        await until(lambda: all(is_closed(one) for one in clients))
    await until(lambda: in_tls.connections == 0)


@pytest.mark.parametrize("sent", [LIVEZ, b"\0" * 99, b"\x16\x03\x01\x02\x00\x01"], ids=repr)
async def test_what_is_no_tls_is_closed_without_a_word_in_the_log(
    in_tls: Guarded, tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert not (await raw(in_tls, sent)).startswith(b"HTTP")
    await until(lambda: in_tls.connections == 0)
    assert caplog.records == []
    assert await is_known(in_tls, tmp_path)


# -- who stays -------------------------------------------------------------------------------------


async def test_listeners_leave_room_for_others(served: Served) -> None:
    async with listening(served), listening(served):
        with connected(served, 3 * MOST):
            assert await is_alive(served)
        assert served.worker.seats.listeners.taken == 2
