"""A canary in Env: whatever is tried with it, it is found nowhere but in the database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import stat
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keelman.store import FILE_NAME
from tests.e2e.machine import ENGINE, IMAGE, SLEEPS, EngineLink, Machine, _copy, until

pytestmark = pytest.mark.engine

CANARY = "s3cret-canary-5f1c"
AWKWARD = f'{CANARY} <"quoted"> & w\u00f6rd'
KEY = f"-----BEGIN {CANARY}-----\n" + "\n".join(f"{CANARY}-{n:02}" for n in range(30))
ENV = {"TOKEN": CANARY, "AWKWARD": AWKWARD, "KEY": KEY, "SHORT": "1"}
ALONE: dict[str, Any] = {"Network": "none", "Env": ENV}
PRINTS_ALL = ["sh", "-c", 'env; echo "$KEY"; env | grep TOKEN; exit 3']
BAD: list[tuple[str, dict[str, Any]]] = [
    ("another field", {"Image": "Not An Image", "Env": ENV}),
    ("an unknown field", {"Colour": "red", "Env": ENV}),
    ("a list", {"Env": [f"TOKEN={CANARY}"]}),
    ("a string", {"Env": f"TOKEN={CANARY}"}),
    ("a value that is none", {"Env": {"TOKEN": [CANARY]}}),
    ("a name that is none", {"Env": {f"TOKEN={CANARY}": ""}}),
    ("a NUL", {"Env": {"TOKEN": f"{CANARY}\0"}}),
    ("what is not allowed", {"CapAdd": ["SYS_ADMIN"], "Env": ENV}),
    ("the mask", {"Env": {"TOKEN": CANARY, "OTHER": "***"}}),
]


class Parrot(EngineLink):
    """A way to the engine; it answers each create of a container with what it was sent."""

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(ENGINE.removeprefix("unix://"))
        self._open |= {writer, back}
        await asyncio.gather(self._repeat(reader, writer, back), _copy(there, writer))
        self._open -= {writer, back}

    async def _repeat(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if b"/containers/create" in head.split(b"\r\n")[0]:
                    writer.write(_said(body))
                else:
                    back.write(head + body)
        back.close()


def _said(body: bytes) -> bytes:
    told = json.dumps({"message": f"cannot: {body.decode()}"}).encode()
    head = f"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: {len(told)}"
    return head.encode() + b"\r\n\r\n" + told


@pytest.fixture
async def parrot(tmp_path: Path) -> AsyncIterator[Parrot]:
    one = Parrot(tmp_path / "parrot.sock")
    await one.join()
    try:
        yield one
    finally:
        await one.cut()


# -- where it could be ---------------------------------------------------------------------------


async def refused(machine: Machine, fields: dict[str, Any]) -> str:
    """What is answered to a task that is not taken, and to the same in a dry run."""
    task = {"ID": str(uuid.uuid4()), "Image": IMAGE, **fields}
    event = {"ID": str(uuid.uuid4()), "State": 2, "Task": task}
    told = ""
    for query in ("", "?dry_run=1"):
        async with machine.session.post(f"/tasks{query}", json=event) as response:
            assert query or response.status in (400, 403)
            told += await response.text()
    return told


async def shown(machine: Machine, task_ids: list[str]) -> dict[str, str]:
    """Every answer of every route that reads; a task's output is its own business."""
    paths = ["/tasks", "/stats", "/worker", "/metrics", "/openapi.json", "/readyz"]
    for task_id in task_ids:
        paths += [f"/tasks/{task_id}{part}" for part in ("", "/transitions", "/why")]
    told = {}
    for path in paths:
        async with machine.session.get(path) as response:
            told[path] = await response.text()
    return told | {"/events": await events(machine)}


async def events(machine: Machine) -> str:
    """All that was, as a listener is told of it."""
    async with machine.session.get("/tasks") as response:
        last = response.headers["Last-Event-ID"]
    told = ""
    async with machine.session.get("/events?since=0") as response:
        while f"id: {last}" not in told:
            told += (await response.content.readline()).decode()
        return told + (await response.content.readline()).decode() * 2


async def said(machine: Machine, *words: str) -> str:
    """What the command line says, of a worker or of its data directory."""
    pipe = asyncio.subprocess.PIPE
    addr = () if words[0] in ("verify", "replay") else ("--addr", machine.url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keelman.cli", *words, *addr), stdout=pipe, stderr=pipe
    )
    out, err = await process.communicate()
    return (out + err).decode()


def kept(machine: Machine) -> dict[str, str]:
    """What is in the data directory beside the database."""
    return {
        path.name: path.read_text(errors="replace")
        for path in machine.data_dir.iterdir()
        if not path.name.startswith(FILE_NAME)
    }


def check(told: dict[str, str]) -> None:
    assert [where for where, text in told.items() if CANARY in text] == []


# -- the canary ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_value_of_env_is_nowhere_but_in_the_database(machine: Machine) -> None:
    """Tasks that run, fail, cannot start, are refused; and what is no HTTP at all."""
    await machine.start("--log-format", "json")
    tasks = [
        await machine.send(Command=SLEEPS, Name="runs", Init=True, **ALONE),
        await machine.send(Command=PRINTS_ALL, RestartPolicy="on-failure:1", **ALONE),
        await machine.send(Command=["no-such-program"], **ALONE),
        await machine.send(Image="keelman/no-such-image:1", PullPolicy="never", **ALONE),
        await machine.send(Command=SLEEPS, Network="no-such-network", Env=ENV),
    ]
    answers = {name: await refused(machine, fields) for name, fields in BAD}
    await no_http(machine)
    await machine.task(tasks[0], wait="running")
    for task_id in tasks[1:]:
        assert (await machine.task(task_id, wait="ended"))["State"] == 4
    again = await machine.task(tasks[0])
    assert again["Env"] == dict.fromkeys(ENV, "***")
    flight = str(machine.data_dir / "flight.jsonl")
    lines = {
        " ".join(words): await said(machine, *words)
        for words in (
            *(("inspect", "runs"), ("inspect", "runs", "--json"), ("why", "runs"), ("ps",)),
            *(("export", "runs"), ("replay", "--task", tasks[1], flight)),
            ("verify", "--data-dir", str(machine.data_dir), "--wait", "0.1"),
        )
    }
    found = answers | await shown(machine, tasks) | lines
    await machine.stop(tasks[0])
    await machine.task(tasks[0], wait="ended")
    log = await machine.log()
    check(found | kept(machine) | {"log": log})
    assert "TOKEN=***" in found[f"/tasks/{tasks[1]}"]
    assert all(name in kept(machine) for name in ("flight.jsonl", "audit.jsonl", "lock"))


async def no_http(machine: Machine) -> None:
    """A body that is longer than it says, so that its rest is the next request; a broken token."""
    body = json.dumps({"Task": {"Env": ENV}}).encode()
    heads = (
        b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n" + body + b"\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\x01"
        + CANARY.encode()
        + b"\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\nHost: x\r\n" + CANARY.encode() + b"\r\n\r\n",
    )
    for head in heads:
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
        writer.write(head)
        writer.write_eof()
        await reader.read()
        writer.close()


async def test_an_engine_that_repeats_what_it_was_sent_tells_nobody(
    machine: Machine, parrot: Parrot
) -> None:
    machine.engine_url = parrot.url
    await machine.start("--log-format", "json")
    task_id = await machine.send(Command=SLEEPS, Name="parrot", **ALONE)

    async def has_failed() -> bool:
        return "cannot: " in (await machine.task(task_id))["Message"]

    await until(has_failed)
    found = await shown(machine, [task_id])
    log = await machine.log()
    check(found | kept(machine) | {"log": log})
    assert "TOKEN=***" in log, "the rest of its words is told"


async def test_who_is_told_to_shows_the_values(machine: Machine) -> None:
    await machine.start("--show-env")
    task_id = await machine.send(Command=["true"], **ALONE)
    assert (await machine.task(task_id))["Env"] == ENV
    assert [task["Env"] for task in await machine.tasks()] == [ENV]


async def test_all_is_closed_to_others(machine: Machine) -> None:
    """Also where it was open before."""
    machine.data_dir.mkdir(mode=0o755)
    await machine.start()
    task_id = await machine.send(Command=["true"], **ALONE)
    await machine.task(task_id, wait="ended")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in machine.data_dir.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert {FILE_NAME, f"{FILE_NAME}-wal", "keelman.mark", "audit.jsonl"} <= modes.keys()
    assert stat.S_IMODE(machine.data_dir.stat().st_mode) == 0o700


async def test_an_acknowledged_wish_is_in_the_audit_log_of_a_killed_worker(
    machine: Machine,
) -> None:
    await machine.start()
    tasks = [await machine.send(Command=["true"], **ALONE) for _ in range(5)]
    await machine.kill()
    lines = (machine.data_dir / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["TaskID"] for line in lines] == tasks
    assert {json.loads(line)["Caller"] for line in lines} == {"loopback"}
