"""The command line as a program: what it prints, and with which status it ends."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import ANY

import msgspec
import pytest
from aiohttp import web

from keelman import cli
from keelman.client import Client
from tests.api.test_client import Log, answering, broken_off, frame, free_port, worker_of
from tests.unit.given_credentials import secret

TASK_ID = "21b23589-5d2d-4731-b5c9-a97e9832d021"
OTHER_ID = "bbb23589-5d2d-4731-b5c9-a97e9832d021"
RUNNING = {"ID": TASK_ID, "Name": "web", "Image": "nginx:1", "State": 2}
FAILED = {**RUNNING, "ID": OTHER_ID, "State": 4, "ExitCode": 3, "Message": "exited with code 3"}
UNKNOWN = {"HTTPStatusCode": 404, "Message": "no task", "Code": "unknown_task"}
REFUSED = {"HTTPStatusCode": 400, "Message": "Task.Image: is\nmissing", "Code": "bad_field"}


class Ended(NamedTuple):
    status: int
    out: str
    err: str


Keelman = Callable[..., Awaitable[Ended]]


@pytest.fixture
def keelman(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Keelman:
    """A command line carried out in a thread: `await keelman("ps", "-a", KEELMAN_ADDR=…)`."""

    async def carry_out(*words: str, stdin: bytes = b"", **environ: str) -> Ended:
        for name, text in environ.items():
            monkeypatch.setenv(name, text)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = await asyncio.to_thread(cli.status, list(words))
        out, err = capfdbinary.readouterr()
        return Ended(status, out.decode(errors="surrogateescape"), err.decode())

    return carry_out


async def started(*words: str) -> asyncio.subprocess.Process:
    """The same as a process."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "keelman.cli", *words)
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


def one_line(ended: Ended) -> str:
    """What was said on stderr, which must be one line and no traceback."""
    assert ended.err.startswith("keelman: ")
    assert ended.err.count("\n") == 1
    return ended.err.removeprefix("keelman: ").strip()


# -- statuses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("frob", "Unknown command"),
        ("ps --frob", "Unknown option"),
        ("run", "an IMAGE is missing"),
        ("run -m lots img", "--memory"),
        ("run -f nowhere.json", "No such file"),
        ("run -f - img", "no JSON object"),
        ("stop", "name the tasks"),
        ("logs", "ID"),
        ("logs --since yesterday web", "--since"),
        ("events --since a/b", "--since"),
        ("inspect", "--worker"),
        ("inspect --worker web", "--worker"),
        ("ps --addr http://", "is no address"),
        ("worker --port x", "--port"),
        ("verify --wait soon", "--wait"),
        ("verify --wait -1", "--wait"),
    ],
)
async def test_wrong_usage_is_2(words: str, complaint: str, keelman: Keelman) -> None:
    ended = await keelman(*words.split())
    assert ended.status == 2
    assert complaint in one_line(ended)


@pytest.mark.parametrize(
    "words",
    [
        *("ps", "run img", "run --dry-run img", "stop web", "logs web", "inspect web", "events"),
        "inspect --worker",
        *("export web", "stats", "why web"),
    ],
)
async def test_no_worker_is_4_with_its_address(words: str, keelman: Keelman) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    ended = await keelman(*words.split(), KEELMAN_ADDR=address)
    assert ended.status == 4
    assert one_line(ended) == f"no worker answers at {address}: Connection refused"


async def test_a_refusal_is_1_in_one_line(keelman: Keelman) -> None:
    async with worker_of(POST_tasks=answering(REFUSED, 400)) as address:
        ended = await keelman("run", "img", KEELMAN_ADDR=address)
    assert (ended.status, one_line(ended)) == (1, "Task.Image: is missing")


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (401, "unauthorized", "set KEELMAN_TOKEN_FILE, or KEELMAN_TLS_CERT and KEELMAN_TLS_KEY"),
        (403, "forbidden_client", "with --allow-client"),
    ],
)
@pytest.mark.parametrize("words", ["ps", "run img", "stop web", "logs web", "events"])
async def test_who_is_not_let_in_is_told_what_to_do(
    words: str, status: int, code: str, advice: str, keelman: Keelman
) -> None:
    refused = answering({"HTTPStatusCode": status, "Message": "no", "Code": code}, status)
    asked = {"GET_tasks": refused, "POST_tasks": refused, "GET_events": refused}
    async with worker_of(**asked) as address:
        ended = await keelman(*words.split(), KEELMAN_ADDR=address)
    assert ended.status == 1
    assert one_line(ended).startswith("no; ")
    assert advice in one_line(ended)


@pytest.mark.parametrize(
    ("words", "text", "mode", "complaint"),
    [
        ("ps --token-file {}", "", 0o600, "one line"),
        ("ps --token-file {}", "secret-0123456789abcdef", 0o644, "chmod 600"),
        ("ps --token-file {}x", "", 0o600, "No such file"),
        ("ps --tls-cert {}", "", 0o600, "go together"),
        ("ps --addr https://127.0.0.1:1 --tls-ca {}", "x", 0o600, "no certificate"),
        ("ps --addr https://127.0.0.1:1 --tls-cert {} --tls-key {}", "x", 0o600, "PEM"),
        ("ps --addr 192.0.2.1:5556 --token-file {}", "0123456789abcdef", 0o600, "https only"),
    ],
)
async def test_credentials_that_will_not_do_are_wrong_usage(
    words: str, text: str, mode: int, complaint: str, tmp_path: Path, keelman: Keelman
) -> None:
    file = secret(tmp_path / "file", text)
    file.chmod(mode)
    ended = await keelman(*words.format(file, file).split())
    assert ended.status == 2
    assert complaint.lower() in one_line(ended).lower()
    assert "0123456789abcdef" not in ended.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--token-file {}", "the token in {} is none that it lets in"),
        ("--tls-cert {} --tls-key {}", "a certificate is shown over https only"),
        ("--token-file {} --tls-cert {} --tls-key {}", "the token in {} is none"),
    ],
)
async def test_who_showed_what_does_not_do_is_told_that_it_does_not(
    words: str, complaint: str, keelman: Keelman, tmp_path: Path
) -> None:
    """A worker answers all of them alike; who asked knows what he sent."""
    file = str(secret(tmp_path / "file", "secret-0123456789abcdef"))
    answer = {"HTTPStatusCode": 401, "Message": "…", "Code": "unauthorized"}
    async with worker_of(GET_tasks=answering(answer, 401)) as address:
        given = words.replace("{}", file).split()
        ended = await keelman("ps", "--addr", address, *given)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert complaint.replace("{}", file) in ended.err
    assert "set KEELMAN_TLS_CERT" not in ended.err


async def test_a_token_is_shown_in_the_header_and_nowhere_else(
    tmp_path: Path, keelman: Keelman
) -> None:
    seen: list[tuple[str | None, str]] = []

    async def tasks(request: web.Request) -> web.Response:
        seen.append((request.headers.get("Authorization"), request.path_qs))
        return web.json_response([])

    file = secret(tmp_path / "token", "manager-1 0123456789abcdef\n")
    async with worker_of(GET_tasks=tasks) as address:
        await keelman("ps", KEELMAN_ADDR=address)
        await keelman("ps", KEELMAN_ADDR=address, KEELMAN_TOKEN_FILE=str(file))
    assert seen == [(None, "/tasks"), ("Bearer 0123456789abcdef", "/tasks")]


@pytest.mark.parametrize("word", ["nobody", TASK_ID], ids=["a name", "an ID"])
async def test_no_such_task_is_3(word: str, keelman: Keelman) -> None:
    unknown = answering(UNKNOWN, 404)
    async with worker_of(GET_tasks=answering([]), GET_tasks_ID=unknown) as address:
        ended = await keelman("inspect", word, KEELMAN_ADDR=address)
    assert ended.status == 3
    assert one_line(ended)


async def test_help_tells_the_statuses(keelman: Keelman) -> None:
    ended = await keelman("--help")
    assert ended.status == 0
    assert "3 no such task" in " ".join(ended.out.split())


async def test_the_program_ends_with_the_status() -> None:
    process = await started("logs", "nobody", "--addr", f"127.0.0.1:{free_port()}")
    _, err = await process.communicate()
    assert process.returncode == 4
    assert b"Traceback" not in err


async def test_an_interrupt_is_quiet_and_130() -> None:
    log = Log(*[frame(1)] * 60, abort=False)  # taken up again each second, until it is interrupted
    async with worker_of(GET_events=log.serve) as address:
        process = await started("events", "--addr", address)
        assert process.stdout is not None
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")


async def test_a_reader_that_left_is_no_error() -> None:
    many = [{**RUNNING, "ID": f"{n:08}{TASK_ID[8:]}"} for n in range(5000)]
    async with worker_of(GET_tasks=answering(many)) as address:
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m keelman.cli ps --json --addr {address} | head -1",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert (out, err) == (b"[\n", b"")


# -- reading -------------------------------------------------------------------------------------


async def test_ps_lists_live_tasks_and_with_a_all(keelman: Keelman) -> None:
    async with worker_of(GET_tasks=answering([RUNNING, FAILED])) as address:
        some = await keelman("ps", KEELMAN_ADDR=address)
        every = await keelman("ps", "-a", KEELMAN_ADDR=address)
    assert len(some.out.splitlines()) == 2
    assert len(every.out.splitlines()) == 3
    assert "\x1b" not in every.out


async def test_json_is_the_workers_report(keelman: Keelman) -> None:
    moves = answering([])
    handlers = {"GET_tasks_ID_transitions": moves, "GET_tasks_ID": answering(FAILED)}
    async with worker_of(GET_tasks=answering([FAILED]), **handlers) as address:
        listed = await keelman("ps", "-a", "--json", KEELMAN_ADDR=address)
        one = await keelman("inspect", "--json", OTHER_ID, KEELMAN_ADDR=address)
    assert msgspec.json.decode(listed.out) == [msgspec.json.decode(one.out)]
    assert FAILED.items() <= msgspec.json.decode(one.out).items()


WORKER = {
    "Name": "node-1",
    "Version": "0.1.0",
    "Since": "2026-01-31T08:00:00Z",
    "Engine": {"ID": "E", "Version": "20.10", "Trouble": ""},
    "Allowed": {
        "Mounts": ["/srv"],
        "Capabilities": [],
        "Images": [],
        "HostNetwork": True,
        "LowPorts": False,
    },
    "DefaultPidsLimit": 4096,
    "StartSlots": 4,
    "KeepEndedSeconds": 86400.0,
    "KeepEndedTasks": 1000,
    "Machine": {"Cpu": 2.0, "Memory": 2**31, "Disk": 2**41},
    "Capacity": {"Cpu": 2.0, "Memory": 2**30, "Disk": 2**40},
    "Allocated": {"Cpu": 0.5, "Memory": 2**29, "Disk": 0},
    "Left": {"Cpu": 1.5, "Memory": 2**29, "Disk": 2**40},
    "Moment": "b:60.000000",
    "Silence": 2.5,
}


async def test_a_worker_is_inspected_too(keelman: Keelman) -> None:
    async with worker_of(GET_worker=answering(WORKER | {"Newer": 1})) as address:
        page = await keelman("inspect", "--worker", KEELMAN_ADDR=address)
        json = await keelman("inspect", "--worker", "--json", KEELMAN_ADDR=address)
    assert "/srv and below" in page.out
    assert msgspec.json.decode(json.out) == WORKER


STATS = {
    "MemStats": {"mem_total": 24684504, "mem_free": 1, "mem_available": 12342252},
    "DiskStats": {"all": 2**40, "used": 2**39, "free": 2**39, "freeInodes": 9},
    "CpuStats": {"id": "cpu"},
    "LoadStats": {
        "last1min": 0.5,
        "last5min": 0.25,
        "last15min": 0.0,
        "process_running": 1,
        "process_total": 2,
        "last_pid": 3,
    },
    "TaskCount": 1,
    "Capacity": {"Cpu": 2.0, "Memory": 24684504 * 1024, "Disk": 2**40},
    "Asked": {"Cpu": 0.5, "Memory": 64 * 2**20, "Disk": 0},
    "Left": {"Cpu": 1.5, "Memory": 24684504 * 1024 - 64 * 2**20, "Disk": 2**40},
}


async def test_stats_are_a_short_table(keelman: Keelman) -> None:
    async with worker_of(GET_stats=answering(STATS)) as address:
        shown = await keelman("stats", KEELMAN_ADDR=address)
        plain = await keelman("stats", "--json", KEELMAN_ADDR=address)
    assert [line.split("  ") for line in shown.out.splitlines()][-1] == ["1 live task"]
    cells = [[cell for cell in line.split("  ") if cell] for line in shown.out.splitlines()]
    assert [[cell.strip() for cell in row] for row in cells[:-1]] == [
        ["FOR TASKS", "IN USE", "ASKED FOR", "LEFT"],
        ["cores", "2", "load 0.50", "0.5", "1.5"],
        ["memory", "23.5 GiB", "11.8 GiB", "64.0 MiB", "23.5 GiB"],
        ["disk", "1.0 TiB", "512.0 GiB", "0 B", "1.0 TiB"],
    ]
    assert msgspec.json.decode(plain.out).items() >= {**STATS, "CpuStats": ANY}.items()


EXPORTED = [
    *("--name web", "--init", "--security-opt no-new-privileges:true", "--pids-limit 4096"),
    "--oom-score-adj 1000",
    *("--log-driver json-file", "--log-opt max-size=10m", "--log-opt max-file=3"),
]


async def test_an_export_tells_what_it_leaves_out(keelman: Keelman) -> None:
    task = {**RUNNING, "Init": True, "Timeout": 60}
    answers = {"GET_tasks_ID": answering(task), "GET_worker": answering(WORKER)}
    async with worker_of(GET_tasks=answering([task]), **answers) as address:
        line = await keelman("export", "web", KEELMAN_ADDR=address)
        words = await keelman("export", "--json", "web", KEELMAN_ADDR=address)
    options = "".join(f"  {option} \\\n" for option in EXPORTED)
    assert line.out == f"docker run --detach \\\n{options}  nginx:1\n"
    assert one_line(line) == "left out: Timeout 60: Docker ends nothing by itself"
    assert msgspec.json.decode(words.out) == (
        ["docker", "run", "--detach", *" ".join(EXPORTED).split(), "nginx:1"]
    )


async def test_logs_are_passed_through_byte_by_byte(keelman: Keelman) -> None:
    handlers = {"GET_tasks_ID_logs": answering(b"one\n\xff\x1b[31mtwo")}
    async with worker_of(GET_tasks=answering([RUNNING]), **handlers) as address:
        raw = await keelman("logs", "web", KEELMAN_ADDR=address)
        objects = await keelman("logs", "web", "--json", KEELMAN_ADDR=address)
    assert raw.out.encode(errors="surrogateescape") == b"one\n\xff\x1b[31mtwo"
    lines = [msgspec.json.decode(line)["Line"] for line in objects.out.splitlines()]
    assert lines == ["one", "�\x1b[31mtwo"]


async def test_events_are_objects_a_line(keelman: Keelman, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.asking, "Client", partial(Client, retry_seconds=0))
    log = Log(frame(1) + frame(2), 410)
    async with worker_of(GET_events=log.serve) as address:
        ended = await keelman("events", "--json", "--since", "log:0", KEELMAN_ADDR=address)
    assert ended.status == 1
    assert log.last_ids[0] == "log:0"
    moves = [msgspec.json.decode(line) for line in ended.out.splitlines()]
    assert [(move["EventID"], move["To"]) for move in moves] == [("log:1", 2), ("log:2", 2)]


# -- wishing -------------------------------------------------------------------------------------


class Worker:
    """A worker with one task, that ends with the exit code it is told."""

    def __init__(self, **end: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.end = end

    def handlers(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        return {
            "POST_tasks": self.start,
            "GET_tasks": answering([RUNNING]),
            "GET_tasks_ID": self.show,
            "DELETE_tasks_ID": self.stop,
            "GET_tasks_ID_logs": answering(b"said\n"),
        }

    async def start(self, request: web.Request) -> web.Response:
        event = await request.json()
        self.sent.append(event)
        return web.json_response({"ID": event["Task"]["ID"], "State": 0}, status=201)

    async def show(self, request: web.Request) -> web.Response:
        waits = request.query.get("wait") == "ended"
        return web.json_response({**RUNNING, **self.end} if waits else RUNNING)

    async def stop(self, request: web.Request) -> web.Response:
        known = request.match_info["id"] == TASK_ID
        self.stopped.append(request.match_info["id"])
        return web.Response(status=204) if known else web.json_response(UNKNOWN, status=404)


async def test_run_prints_the_id_and_sends_the_words_untouched(keelman: Keelman) -> None:
    worker = Worker()
    async with worker_of(**worker.handlers()) as address:
        ended = await keelman(
            *("run", "--name", "web", "img", "ls", "-l", "--name", "x"),
            KEELMAN_ADDR=address,
            KEELMAN_NAME="not for run",
        )
    (event,) = worker.sent
    task = {**event["Task"]}
    assert ended == Ended(0, f"{task.pop('ID')}\n", "")
    assert task == {"Name": "web", "Image": "img", "Command": ["ls", "-l", "--name", "x"]}
    assert event["State"] == 2


@pytest.mark.parametrize(
    ("objections", "status", "complaint"),
    [
        ([], 0, ""),
        ([REFUSED["Message"]], 1, "keelman: bad_field: Task.Image: is missing\n"),
    ],
    ids=["would be taken", "would be refused"],
)
async def test_a_dry_run_only_tells(
    objections: list[str], status: int, complaint: str, keelman: Keelman
) -> None:
    told = [{"Field": "Task.Image", "Message": words, "Code": "bad_field"} for words in objections]
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response({"Create": {"Image": "img"}, "Objections": told})

    async with worker_of(POST_tasks=answer) as address:
        ended = await keelman("run", "--dry-run", "--wait", "img", KEELMAN_ADDR=address)
    assert asked == [{"dry_run": "1"}]
    assert (ended.status, ended.err) == (status, complaint)
    assert msgspec.json.decode(ended.out) == {"Image": "img"}


@pytest.mark.parametrize("shape", ["Task", "TaskEvent"])
async def test_run_sends_a_file_with_the_options_over_it(
    shape: str, tmp_path: Path, keelman: Keelman
) -> None:
    task = {"ID": TASK_ID, "Image": "img", "Cpu": 1.0, "Env": {"A": "0", "B": "0"}}
    content = task if shape == "Task" else {"ID": OTHER_ID, "State": 2, "Task": task}
    worker, file = Worker(), tmp_path / "task.json"
    file.write_bytes(msgspec.json.encode(content))
    async with worker_of(**worker.handlers()) as address:
        await keelman("run", "-f", str(file), "-e", "A=1", KEELMAN_ADDR=address)
        await keelman("run", "-f", "-", stdin=file.read_bytes(), KEELMAN_ADDR=address)
    over, piped = worker.sent
    assert over["Task"] == {**task, "Env": {"A": "1", "B": "0"}}
    assert piped["Task"] == task
    assert (piped["ID"] == OTHER_ID) is (shape == "TaskEvent")


@pytest.mark.parametrize(
    ("end", "status", "complaint"),
    [
        ({"State": 3, "ExitCode": 0}, 0, ""),
        ({"State": 4, "ExitCode": 3, "Message": "exited"}, 3, f"task {TASK_ID} FAILED: exited"),
        ({"State": 3, "ExitCode": 143, "Message": "stopped as asked"}, 143, ""),
        ({"State": 4, "Message": "no image"}, 1, f"task {TASK_ID} FAILED: no image"),
    ],
    ids=["exit 0", "exit 3", "stopped", "never ran"],
)
async def test_run_wait_ends_as_the_task_did(
    end: dict[str, Any], status: int, complaint: str, keelman: Keelman
) -> None:
    worker = Worker(**end)
    async with worker_of(**worker.handlers()) as address:
        waited = await keelman("run", "--wait", "img", KEELMAN_ADDR=address)
        followed = await keelman("run", "--follow", "img", KEELMAN_ADDR=address)
    assert waited.status == followed.status == status
    assert followed.out == "said\n"
    assert followed.err == waited.err == (f"keelman: {complaint}\n" if complaint else "")


async def test_a_wait_outlives_a_restart_of_the_worker(
    keelman: Keelman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.run, "RETRY_SECONDS", 0)
    worker = Worker(State=3, ExitCode=0)
    losses = [1, 2, 3]

    async def show(request: web.Request) -> web.Response:
        if losses:
            losses.pop()
            broken_off(request)
        return await worker.show(request)

    handlers = {**worker.handlers(), "GET_tasks_ID": show}
    async with worker_of(**handlers) as address:
        ended = await keelman("run", "--wait", "img", KEELMAN_ADDR=address)
    assert (ended.status, losses) == (0, [])


async def test_a_wait_does_not_outlive_the_worker_for_ever(
    keelman: Keelman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.run, "RETRY_SECONDS", 0)

    async def show(request: web.Request) -> web.Response:
        broken_off(request)
        return web.Response()

    handlers = {**Worker().handlers(), "GET_tasks_ID": show}
    async with worker_of(**handlers) as address:
        ended = await keelman("run", "--wait", "img", KEELMAN_ADDR=address)
    assert ended.status == 4


async def test_the_last_lines_follow_only_a_wait(keelman: Keelman) -> None:
    message = "exited with code 3; its last lines:\none\ntwo\x1b[2J"
    worker = Worker(State=4, ExitCode=3, Message=message)
    async with worker_of(**worker.handlers()) as address:
        waited = await keelman("run", "--wait", "img", KEELMAN_ADDR=address)
        followed = await keelman("run", "--follow", "img", KEELMAN_ADDR=address)
    assert waited.err.splitlines()[1:] == ["one", "two�[2J"]
    assert one_line(followed) == f"task {TASK_ID} FAILED: exited with code 3"


async def test_stop_goes_on_past_an_unknown_task(keelman: Keelman) -> None:
    worker = Worker(State=3)
    async with worker_of(**worker.handlers()) as address:
        ended = await keelman("stop", "--wait", "nobody", OTHER_ID, "web", KEELMAN_ADDR=address)
    assert worker.stopped == [OTHER_ID, TASK_ID]
    assert (ended.status, ended.out) == (3, f"{TASK_ID}\n")
    assert ended.err.count("keelman: ") == 2
