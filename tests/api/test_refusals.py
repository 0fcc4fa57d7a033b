"""What is refused, and how: every error is JSON with the same three fields."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from keelman import bounds
from keelman.worker.handlers import ROUTES
from tests.api.conftest import Served, an_event
from tests.api.raw import HEAD, raw

JSON = {"Content-Type": "application/json"}
ID = "21b23589-5d2d-4731-b5c9-a97e9832d021"

PATHS = sorted({route.path for route in ROUTES})
ALLOWED = {(route.method, route.path) for route in ROUTES}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")


def at(path: str) -> str:
    return path.replace("{taskID}", ID)


# -- 404, 405 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_where_there_is_no_route_it_is_404(served: Served, method: str) -> None:
    for path in (
        *("/", "/task", "/Tasks", "/tasks/x/y", f"/tasks/{ID}/log", f"/tasks/{ID}/logs/more"),
        *("/livez/more", "/tasks/%2E%2E", "/tasks/../livez/x", "/v1/tasks", "/stat", "/openapi"),
    ):
        assert (await served.ask(method, path)).is_error(404, "not_found"), path


@pytest.mark.parametrize("path", PATHS)
async def test_any_other_method_is_405_and_told_which_are_allowed(
    served: Served, path: str
) -> None:
    right = {method for method, where in ALLOWED if where == path}
    for where in (at(path), at(path) + "/"):
        for method in set(METHODS) - right:
            answer = await served.ask(method, where)
            assert {word.strip() for word in answer.headers["Allow"].split(",")} == right
            if method == "HEAD":  # which has no body
                assert (answer.status, answer.body) == (405, b"")
            else:
                assert answer.is_error(405, "method_not_allowed")


# -- IDs and parameters --------------------------------------------------------------------------

TASK_ROUTES = [(route.method, route.path) for route in ROUTES if "{taskID}" in route.path]


@pytest.mark.parametrize(("method", "path"), TASK_ROUTES, ids=lambda part: part)
async def test_what_is_no_uuid_is_400(served: Served, method: str, path: str) -> None:
    for bad in ("x", ID[:-1], ID + "0", "%00", "%ff", "1", "x" * 5000):
        answer = await served.ask(method, path.replace("{taskID}", bad))
        assert answer.is_error(400, "bad_field"), bad
        assert answer.json["Message"].startswith("taskID: ")
        assert len(answer.body) < 300


@pytest.mark.parametrize(("method", "path"), TASK_ROUTES, ids=lambda part: part)
async def test_an_unknown_task_is_404(served: Served, method: str, path: str) -> None:
    assert (await served.ask(method, at(path))).is_error(404, "unknown_task")


ASKING = [pair for pair in sorted(ALLOWED) if pair[1] not in {"/livez", "/readyz"}]


@pytest.mark.parametrize(("method", "path"), ASKING, ids=lambda part: part)
async def test_an_unknown_parameter_is_never_ignored(
    served: Served, method: str, path: str
) -> None:
    await served.post(an_event(ID=ID))
    answer = await served.ask(method, f"{at(path)}?colour=red", json=an_event())
    assert answer.is_error(400, "bad_field")
    assert answer.json["Message"].startswith("colour: unknown parameter; this route takes ")


BAD_PARAMETERS = [
    "POST /tasks?dry_run=yes",
    "POST /tasks?dry_run=1&dry_run=1",
    "GET /tasks?state=",
    "GET /tasks?state=5",
    "GET /tasks?state=running,",
    "GET /tasks?state=running&state=failed",
    "GET /tasks?label=",
    "GET /tasks?label==1",
    "GET /tasks?limit=0",
    "GET /tasks?limit=10001",
    "GET /tasks?limit=-1",
    "GET /tasks?after=x",
    "GET /tasks?after=",
    f"GET /tasks/{ID}?wait=Running",
    f"GET /tasks/{ID}?wait=ended&timeout=-1",
    f"GET /tasks/{ID}?wait=ended&timeout=3601",
    f"GET /tasks/{ID}?wait=ended&wait=ended",
    f"GET /tasks/{ID}?wait=",
    f"DELETE /tasks/{ID}?generation=x",
    f"DELETE /tasks/{ID}?generation=9223372036854775808",
    f"GET /tasks/{ID}/logs?tail=-1",
    f"GET /tasks/{ID}/logs?tail=all",
    f"GET /tasks/{ID}/logs?follow=yes",
    f"GET /tasks/{ID}/logs?since=yesterday",
    f"GET /tasks/{ID}/logs?stream=stdin",
    f"GET /tasks/{ID}/logs?attempt=0",
    f"GET /tasks/{ID}/logs?attempt=one",
    "GET /events?since=x",
    "GET /events?since=-1",
    "GET /events?since=",
]


async def test_a_bad_parameter_is_named(served: Served) -> None:
    await served.post(an_event(ID=ID))
    for question in BAD_PARAMETERS:
        method, _, where = question.partition(" ")
        answer = await served.ask(method, where, json=an_event())
        assert answer.is_error(400, "bad_field"), question
        name = where.partition("?")[2].split("&")[-1].partition("=")[0]
        assert answer.json["Message"].startswith(f"{name}: "), question


# -- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        pytest.param(b"", "malformed", "not JSON", id="empty"),
        pytest.param(b"{", "malformed", "not JSON", id="truncated"),
        pytest.param(b"\xff\xfe", "malformed", "not UTF-8", id="not UTF-8"),
        pytest.param(b"[]", "malformed", "JSON object", id="an array"),
        pytest.param(b"[" * 200_000, "malformed", "nested too deeply", id="deep"),
        pytest.param(b"{}", "bad_field", "ID: is missing", id="no fields"),
        pytest.param(b'{"Foo":1}', "bad_field", "Foo: unknown field", id="an unknown field"),
        pytest.param(
            json.dumps(an_event(Cpu=-1)).encode(), "bad_field", "Task.Cpu", id="a negative Cpu"
        ),
        pytest.param(
            json.dumps(an_event(StopAfterDisconnect=-1)).encode(),
            "bad_field",
            "Task.StopAfterDisconnect",
            id="a negative silence",
        ),
    ],
)
async def test_a_bad_body_is_400_and_starts_nothing(
    served: Served, body: bytes, code: str, words: str
) -> None:
    answer = await served.ask("POST", "/tasks", data=body, headers=JSON)
    assert answer.is_error(400, code)
    assert words in answer.json["Message"]
    assert (await served.get("/tasks")).json == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "json"},
        {"Content-Type": ""},
        {**JSON, "Content-Encoding": "gzip"},
        {**JSON, "Content-Encoding": "br"},
        {**JSON, "Content-Encoding": "nonsense"},
    ],
    ids=str,
)
async def test_what_does_not_say_it_is_plain_json_is_415(
    served: Served, headers: dict[str, str]
) -> None:
    body = json.dumps(an_event()).encode()
    answer = await served.ask("POST", "/tasks", data=body, headers=headers)
    assert answer.is_error(415, "not_json")


async def test_json_may_say_its_charset(served: Served) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    body = json.dumps(an_event()).encode()
    assert (await served.ask("POST", "/tasks", data=body, headers=headers)).status == 201


def padded(size: int) -> bytes:
    """A sound event with blanks after it, so many bytes in all."""
    return json.dumps(an_event()).encode().ljust(size)


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
@pytest.mark.parametrize(
    ("size", "status"),
    [
        pytest.param(bounds.BODY_MOST_BYTES, 201, id="1 MiB"),
        pytest.param(bounds.BODY_MOST_BYTES + 1, 413, id="one byte more"),
        pytest.param(4 * bounds.BODY_MOST_BYTES, 413, id="4 MiB"),
    ],
)
async def test_a_body_over_1_mib_is_413(
    served: Served, size: int, status: int, chunked: bool
) -> None:
    body = padded(size)
    data = in_chunks(body) if chunked else io.BytesIO(body)
    answer = await served.ask("POST", "/tasks", data=data, headers=JSON)
    assert answer.status == status
    assert status == 201 or answer.is_error(413, "too_large")


async def test_a_body_that_does_not_come_in_time_is_408(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.05)
    answer = await raw(served, HEAD + b"Content-Length: 100\r\n\r\n{", until=b"request_timeout")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/json" in answer


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"3\r\n{ }\r\nzz\r\n", id="a chunk that is none"),
        pytest.param(b"3\r\n{ }", id="a chunk that has no end"),
    ],
)
async def test_a_body_that_breaks_off_starts_nothing(served: Served, rest: bytes) -> None:
    answer = await raw(served, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + rest)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert (await served.get("/tasks")).json == []


# -- rubbish -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1/livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=lambda rubbish: repr(rubbish[:30]),
)
async def test_rubbish_does_no_harm(served: Served, rubbish: bytes) -> None:
    answer = await raw(served, rubbish)
    assert answer == b"" or answer.split(b" ")[1][:1] == b"4"
    assert (await served.get("/livez")).status == 200


async def test_many_rude_clients_at_once_do_no_harm(served: Served) -> None:
    halves = [b"GET /tasks HT", HEAD, b"", b"\xff", HEAD + b"Content-Length: 9\r\n\r\n{"]
    await asyncio.gather(*(raw(served, half) for half in halves * 20))
    task_id = await served.is_running()
    assert (await served.get(f"/tasks/{task_id}")).status == 200


# -- our own mistakes ----------------------------------------------------------------------------


async def test_a_bug_is_500_and_keeps_its_traceback_to_itself(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_asked: object) -> None:
        raise LookupError("a secret")

    monkeypatch.setattr(served.worker, "get_tasks", broken)
    answer = await served.get("/tasks")
    assert answer.is_error(500, "internal_error")
    assert b"secret" not in answer.body
    assert (await served.get("/livez")).status == 200


async def test_an_error_can_be_read_by_a_client_that_reuses_its_connection(served: Served) -> None:
    for _ in range(3):
        assert (await served.get(f"/tasks/{uuid4()}")).is_error(404, "unknown_task")
        assert (await served.get("/livez")).json == {"Status": "ok"}
