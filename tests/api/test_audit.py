"""The audit log: whoever changes something, or is turned away, has a line, before his answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from keelman.api import Answering, Api
from keelman.auditor import FILE_NAME, REFUSED_NAME, Auditor
from keelman.door import Credentials, Door
from keelman.runtime.fake import FakeEngine
from keelman.worker.handlers import ROUTES
from keelman.worker.worker import Worker
from tests.api.conftest import NAME, Served, an_event, steady_clock, until
from tests.api.raw import raw
from tests.unit.given_credentials import OLD, OTHER, secret
from tests.unit.given_store import Gate

TOKEN = {"Authorization": f"Bearer {OLD}"}
SECRET = "s3cret-pa55w0rd"


class Audited(Served):
    """A served worker that asks for a token, or lets in `anybody`, and an audit log."""

    def __init__(
        self, directory: Path, engine: FakeEngine, *, reads: bool = False, anybody: bool = False
    ) -> None:
        super().__init__(directory, engine)
        self.directory = directory
        metrics = self.worker.metrics
        self.auditor = Auditor(directory, NAME, steady_clock, metrics.unaudited, reads=reads)
        tokens = secret(directory / "tokens", f"manager-1 {OLD}\n")
        given = Credentials(token_file=None if anybody else tokens)
        self.before_answers: list[list[dict[str, Any]]] = []
        self.api: Api[Worker] = Api(
            *("127.0.0.1", 0, self.worker, ROUTES),
            around=(self._noting, metrics.measure, self.auditor.audit),
            door=Door(given, steady_clock, metrics.expiring),
        )

    @web.middleware
    async def _noting(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        """What is on record when an answer is about to leave."""
        answer = await handler(request)
        self.before_answers.append(self.lines() + self.lines(REFUSED_NAME))
        return answer

    def lines(self, name: str = FILE_NAME) -> list[dict[str, Any]]:
        path = self.directory / name
        if path.is_symlink() or not path.exists():
            return []
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    def told(self, name: str = FILE_NAME) -> list[tuple[Any, ...]]:
        """The lines in short."""
        fields = ("Caller", "Method", "Path", "Status", "Code")
        return [tuple(line[field] for field in fields) for line in self.lines(name)]


@contextlib.asynccontextmanager
async def audited(
    tmp_path: Path, engine: FakeEngine, *, reads: bool = False, anybody: bool = False
) -> AsyncIterator[Audited]:
    (tmp_path / "data").mkdir(mode=0o700)
    served = Audited(tmp_path / "data", engine, reads=reads, anybody=anybody)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()
        served.auditor.close()


@pytest.fixture
async def log(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Audited]:
    async with audited(tmp_path, engine) as served:
        yield served


async def ask(log: Audited, method: str, path: str, **how: Any) -> int:
    return (await log.ask(method, path, headers=TOKEN, **how)).status


# -- who, what, with what answer -----------------------------------------------------------------


async def test_a_wish_is_on_record_before_it_is_answered(log: Audited) -> None:
    event = an_event(Name="web", Env={"TOKEN": SECRET})
    task_id = event["Task"]["ID"]
    assert await ask(log, "POST", "/tasks", json=event) == 201
    assert await ask(log, "DELETE", f"/tasks/{task_id}") == 204
    assert [len(lines) for lines in log.before_answers] == [1, 2]
    run, stop = log.lines()
    about = ("Worker", "Caller", "EventID", "TaskID", "Wants", "Name", "Image", "Status", "Code")
    assert [run[field] for field in about] == [
        *(NAME, "token:manager-1", event["ID"], task_id, "run", "web", event["Task"]["Image"]),
        *(201, ""),
    ]
    assert [stop[field] for field in about] == [
        *(NAME, "token:manager-1", "", task_id, "stop", "", "", 204, ""),
    ]
    assert run["Peer"].startswith("127.0.0.1:")
    assert run["Time"] <= stop["Time"]
    assert run["Seconds"] >= 0


async def test_what_is_refused_is_on_record_with_its_code(log: Audited) -> None:
    """As far as it was understood."""
    event = an_event(Name="bad", Cpu=0.001, Env={"TOKEN": SECRET})
    assert await ask(log, "POST", "/tasks", json=event) == 400
    assert await ask(log, "POST", "/tasks", data=b"{", params={"dry_run": "1"}) == 415
    assert await ask(log, "POST", "/tasks", json={**event, "ID": "x"}) == 400
    assert await ask(log, "POST", "/tasks", json=an_event(CapAdd=["SYS_ADMIN"])) == 403
    assert await ask(log, "DELETE", f"/tasks/{event['Task']['ID']}") == 404
    codes = [(line["Status"], line["Code"], line["Name"]) for line in log.lines()]
    assert codes == [
        *((400, "bad_field", "bad"), (415, "not_json", ""), (400, "bad_field", "")),
        *((403, "not_allowed", "web"), (404, "unknown_task", "")),
    ]
    assert [line["DryRun"] for line in log.lines()] == [False, True, False, False, False]


async def test_what_only_reads_is_not_on_record(log: Audited) -> None:
    for path in ("/tasks", "/stats", "/metrics", "/livez", "/nowhere"):
        await log.ask("GET", path, headers=TOKEN)
    await log.get("/livez")
    assert not log.lines()
    assert not (log.directory / FILE_NAME).exists()


async def test_what_only_reads_is_on_record_when_the_operator_wants_it(
    tmp_path: Path, engine: FakeEngine
) -> None:
    async with audited(tmp_path, engine, reads=True) as log:
        await ask(log, "GET", "/tasks?name=x")
        await ask(log, "GET", "/tasks/no-uuid")
        assert (await log.get("/livez")).status == 200, "a stranger pushes nobody's line out"
        assert log.told() == [
            ("token:manager-1", "GET", "/tasks", 200, ""),
            ("token:manager-1", "GET", "/tasks/no-uuid", 400, "bad_field"),
        ]
        assert log.lines(REFUSED_NAME) == [], "it was answered"


async def test_who_is_not_let_in_is_in_a_file_of_his_own(log: Audited) -> None:
    """Whoever he is, whatever he asks; and he pushes out nobody else's lines."""
    stranger = {"Authorization": f"Bearer {OTHER}"}
    assert await ask(log, "POST", "/tasks", json=an_event()) == 201
    await log.ask("GET", "/tasks", headers=stranger)
    await log.ask("POST", "/tasks", json=an_event(), headers=stranger)
    assert len(log.lines()) == 1
    assert log.told(REFUSED_NAME) == [
        ("nobody", "GET", "/tasks", 401, "unauthorized"),
        ("nobody", "POST", "/tasks", 401, "unauthorized"),
    ]
    assert [len(lines) for lines in log.before_answers] == [1, 2, 3]


async def test_a_page_that_is_turned_away_is_on_record(tmp_path: Path, engine: FakeEngine) -> None:
    page = {"Origin": "http://rebound.example:5556"}
    async with audited(tmp_path, engine, anybody=True) as log:
        await log.ask("POST", "/tasks", json=an_event(), headers=page)
        assert log.lines() == []
        assert log.told(REFUSED_NAME) == [
            ("loopback", "POST", "/tasks", 403, "forbidden_page"),
        ]


async def test_a_token_a_body_or_a_value_of_env_is_never_in_it(log: Audited) -> None:
    stranger = {"Authorization": f"Bearer {OTHER}"}
    await ask(log, "POST", f"/tasks?token={SECRET}", json=an_event(Env={"A": SECRET}))
    await ask(log, "POST", "/tasks", json=an_event(Env={"A": SECRET}))
    await ask(log, "POST", "/tasks", json=an_event(Env=[SECRET]))
    await ask(log, "POST", "/tasks", json=an_event(Env={f"A={SECRET}": ""}))
    await log.ask("POST", "/tasks", data=SECRET.encode(), headers=stranger)
    written = b"".join(path.read_bytes() for path in log.directory.glob("audit*"))
    assert written.count(b"\n") == 5
    for word in (SECRET, OLD, OTHER):
        assert word.encode() not in written


# -- what a client may try -----------------------------------------------------------------------


async def test_no_path_makes_up_a_line(log: Audited) -> None:
    head = b"DELETE /tasks/%0a%7B%22Status%22:201%7D\x80\x9b HTTP/1.1\r\nHost: x\r\n"
    token = f"Authorization: Bearer {OLD}\r\nConnection: close\r\n\r\n".encode()
    for start in (head, head.replace(b"/tasks/", b"/" + b"x" * 2000)):
        await raw(log, start + token)
    assert all(line["Method"] == "DELETE" for line in log.lines())
    assert all(line["Path"].isprintable() and len(line["Path"]) <= 256 for line in log.lines())


async def test_a_wish_whose_client_went_away_is_on_record(log: Audited) -> None:
    """It may be carried out all the same."""
    gate, event = Gate(), an_event()
    async with asyncio.TaskGroup() as group:
        group.create_task(log.store.write(gate))
        await gate.reached()
        asking = group.create_task(ask(log, "POST", "/tasks", json=event))
        await until(lambda: log.connections > 0 and log.store._jobs.qsize() > 0)
        asking.cancel()
        await until(lambda: bool(log.lines()))
        gate.open()
    (line,) = log.lines()
    assert (line["Status"], line["Code"], line["TaskID"]) == (
        *(None, "client_gone"),
        event["Task"]["ID"],
    )


# -- a file that cannot be written ---------------------------------------------------------------


async def test_what_cannot_be_written_is_told_counted_and_answered(log: Audited) -> None:
    """A stop gets through when the disk is full."""
    path = log.directory / FILE_NAME
    path.symlink_to("/dev/full")
    with capture_logs() as logged:
        for _ in range(3):
            assert await ask(log, "POST", "/tasks", json=an_event()) == 201
        path.unlink()
        log.auditor.close()
        assert await ask(log, "POST", "/tasks", json=an_event()) == 201
    told = [line for line in logged if "audit" in line["event"]]
    no_room = f"[Errno 28] {os.strerror(28)}"
    assert told == [
        {"event": "audit log not written", "log_level": "warning", "error": no_room},
        {"event": "audit log written again", "log_level": "info", "lost": 3},
    ]
    assert len(log.lines()) == 1
    figures = (await log.ask("GET", "/metrics", headers=TOKEN)).body.decode()
    assert "keelman_audit_lines_lost_total 3.0" in figures


async def test_it_is_for_its_owner_alone(log: Audited) -> None:
    await ask(log, "POST", "/tasks", json=an_event())
    await log.get("/tasks")
    for name in (FILE_NAME, REFUSED_NAME):
        assert (log.directory / name).stat().st_mode & 0o777 == 0o600


async def test_the_caller_is_what_the_door_says(log: Audited) -> None:
    """Not what a header says."""
    await log.ask("DELETE", "/tasks/x", headers={**TOKEN, "X-Caller": "root", "From": "root"})
    assert [line["Caller"] for line in log.lines()] == ["token:manager-1"]
