"""Every status and every broken answer means the one thing it should, whatever its words."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

from keelman.errors import (
    ContainerGone,
    EngineAway,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineRefused,
    ImageNotFound,
    KeelmanError,
    NameTaken,
)
from keelman.runtime import LogOptions, streams
from keelman.runtime.container import create_body
from keelman.runtime.docker import DockerRuntime
from keelman.runtime.marks import container_name
from keelman.seen import (
    Absent,
    Action,
    Create,
    Kill,
    Missing,
    Remove,
    Rename,
    Seen,
    Signal,
    Start,
    Unknown,
)
from tests.contract.programs import TRUE
from tests.contract.scripted import Answer, Handler, Script, scripted_engine
from tests.contract.worlds import a_task

Piece = TypeVar("Piece")

WORKER = "w"
TASK = a_task(TRUE)
NAME, NEXT_NAME = (container_name(WORKER, TASK.id, attempt) for attempt in (1, 2))
ID = "a" * 64
WORDS = {"message": "some words"}

CREATE = ("POST", "/containers/create")
INSPECT_NAME = ("GET", f"/containers/{NAME}/json")
INSPECT = ("GET", f"/containers/{ID}/json")
LIST = ("GET", "/containers/json")
INSPECT_IMAGE = ("GET", f"/images/{TASK.spec.image}/json")
PULL = ("POST", "/images/create")
LOGS = ("GET", f"/containers/{ID}/logs")
EVENTS = ("GET", "/events")

LABELS = create_body(WORKER, TASK, 1)["Labels"]
OURS = {
    "Id": ID,
    "Name": f"/{NAME}",
    "State": {"Status": "created"},
    "Config": {"Labels": LABELS},
}
ROW = {"Id": ID, "Names": [f"/{NAME}"], "Labels": LABELS, "State": "created"}
NO_ANSWER = (500, "nobody should ask")


@asynccontextmanager
async def runtime_on(folder: Path, script: Script) -> AsyncIterator[DockerRuntime]:
    async with scripted_engine(folder, script) as url:
        runtime = DockerRuntime(WORKER, url, timeout_seconds=5)
        try:
            yield runtime
        finally:
            await runtime.close()


async def never(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


def streamed(*pieces: bytes, cut: bool = False, ends: bool = True) -> Handler:
    """An answer that begins with 200, and ends well, in the middle of a chunk, or never."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if cut and request.transport is not None:
            request.transport.close()
        return response if ends else await never(request)

    return answer


@pytest.mark.parametrize(
    ("created", "inspected", "error"),
    [
        (201, None, None),
        (404, NO_ANSWER, ImageNotFound),
        (403, None, EngineRefused),
        (409, (200, OURS), None),
        (400, (200, OURS), None),  # Docker 17.09
        (500, (200, OURS), None),  # Podman before 2026-03
        (409, (404, WORDS), EngineBusy),  # it is being made
        (400, (404, WORDS), EngineRefused),
        (500, (404, WORDS), EngineFailed),
        (409, (200, OURS | {"Config": {"Labels": {}}}), NameTaken),
        (500, (200, OURS | {"Config": {"Labels": None}}), NameTaken),
        (409, (500, WORDS), EngineFailed),
        (503, NO_ANSWER, EngineFailed),
    ],
)
async def test_a_create_succeeds_or_says_what_it_met(
    tmp_path: Path,
    created: int,
    inspected: tuple[int, object] | None,
    error: type[EngineError] | None,
) -> None:
    script: dict[tuple[str, str], Answer] = {CREATE: (created, {"Id": ID} | WORDS)}
    if inspected is not None:
        script[INSPECT_NAME] = inspected
    async with runtime_on(tmp_path, script) as runtime:
        await _meets(runtime, Create(attempt=1), error)


async def _meets(runtime: DockerRuntime, action: Action, error: type[EngineError] | None) -> None:
    if error is None:
        await runtime.do(TASK, action)
        return
    with pytest.raises(error) as met:
        await runtime.do(TASK, action)
    assert type(met.value) is error


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, None),
        (304, None),
        (404, EngineRefused),  # or its network is missing
        (409, EngineBusy),
        (500, EngineFailed),
    ],
)
async def test_a_start_goes_by_the_name_of_its_attempt(
    tmp_path: Path, status: int, error: type[EngineError] | None
) -> None:
    body = (status, WORDS) if status >= 400 else web.Response(status=status)
    script = {("POST", f"/containers/{NAME}/start"): body}
    async with runtime_on(tmp_path, script) as runtime:
        await _meets(runtime, Start(container_id=ID, attempt=1), error)


@pytest.mark.parametrize(
    ("renamed", "held", "error"),
    [
        (204, None, None),
        (404, NO_ANSWER, None),  # gone, or renamed meanwhile: the next look says which
        (403, NO_ANSWER, EngineRefused),
        (409, (200, OURS | {"Name": f"/{NEXT_NAME}"}), None),
        (400, (200, OURS | {"Name": f"/{NEXT_NAME}"}), None),
        (500, (200, OURS | {"Name": f"/{NEXT_NAME}"}), None),  # an answer was lost before
        (409, (404, WORDS), EngineBusy),
        (500, (404, WORDS), EngineFailed),
        (409, (200, OURS | {"Id": "b" * 64, "Name": f"/{NEXT_NAME}"}), EngineBusy),
        (409, (200, OURS | {"Id": "b" * 64, "Config": {"Labels": None}}), NameTaken),
        (409, (500, WORDS), EngineFailed),
        (503, NO_ANSWER, EngineFailed),
    ],
)
async def test_a_rename_succeeds_or_says_what_it_met(
    tmp_path: Path,
    renamed: int,
    held: tuple[int, object] | None,
    error: type[EngineError] | None,
) -> None:
    """It goes by the name that it takes away."""
    script: dict[tuple[str, str], Answer] = {
        INSPECT: (200, OURS),
        ("POST", f"/containers/{NAME}/rename"): (renamed, WORDS),
    }
    if held is not None:
        script["GET", f"/containers/{NEXT_NAME}/json"] = held
    async with runtime_on(tmp_path, script) as runtime:
        await _meets(runtime, Rename(container_id=ID, attempt=2), error)


@pytest.mark.parametrize(
    ("inspected", "address"),
    [
        ((404, WORDS), None),
        ((200, OURS | {"Name": f"/{NEXT_NAME}"}), None),
        ((200, OURS | {"Name": f"/{NAME[:-1]}7"}), None),  # by a later one meanwhile
        ((200, OURS | {"Name": "/somebody-s"}), ID),
    ],
    ids=["gone", "so already", "further already", "renamed by somebody"],
)
async def test_a_rename_asks_only_what_is_to_be_asked(
    tmp_path: Path, inspected: Answer, address: str | None
) -> None:
    asked: list[str] = []

    async def rename(request: web.Request) -> web.Response:
        asked.append(request.query["name"])
        return web.Response(status=204)

    script = {INSPECT: inspected, ("POST", f"/containers/{address}/rename"): rename}
    async with runtime_on(tmp_path, script) as runtime:
        await runtime.do(TASK, Rename(container_id=ID, attempt=2))
    assert asked == ([NEXT_NAME] if address else [])


@pytest.mark.parametrize(
    ("action", "method", "path", "status", "error"),
    [
        (Signal(container_id=ID, signal="TERM"), "POST", "kill", 204, None),
        (Signal(container_id=ID, signal="TERM"), "POST", "kill", 404, None),
        (Signal(container_id=ID, signal="TERM"), "POST", "kill", 409, None),
        (Signal(container_id=ID, signal="TERM"), "POST", "kill", 400, EngineRefused),
        (Signal(container_id=ID, signal="TERM"), "POST", "kill", 500, EngineFailed),
        (Kill(container_id=ID), "POST", "kill", 409, None),
        (Kill(container_id=ID), "POST", "kill", 500, EngineFailed),
        (Remove(container_id=ID), "DELETE", "", 204, None),
        (Remove(container_id=ID), "DELETE", "", 404, None),
        (Remove(container_id=ID), "DELETE", "", 409, EngineBusy),
        (Remove(container_id=ID), "DELETE", "", 500, EngineFailed),
    ],
)
async def test_what_is_already_so_is_success(
    tmp_path: Path,
    action: Action,
    method: str,
    path: str,
    status: int,
    error: type[EngineError] | None,
) -> None:
    body = (status, WORDS) if status >= 400 else web.Response(status=status)
    script = {(method, f"/containers/{ID}/{path}".rstrip("/")): body}
    async with runtime_on(tmp_path, script) as runtime:
        await _meets(runtime, action, error)


@pytest.mark.parametrize(
    ("made", "started", "error"),
    [
        ((404, WORDS), NO_ANSWER, ContainerGone),
        ((409, WORDS), NO_ANSWER, ContainerGone),  # it does not run
        ((500, WORDS), NO_ANSWER, EngineFailed),
        ((201, {"Id": "e"}), (404, WORDS), EngineRefused),  # no such command
        ((201, {"Id": "e"}), (409, WORDS), EngineRefused),
        ((201, {"Id": "e"}), (500, WORDS), EngineFailed),
    ],
)
async def test_a_command_says_whether_its_container_or_itself_is_missing(
    tmp_path: Path, made: Answer, started: Answer, error: type[KeelmanError]
) -> None:
    script = {("POST", f"/containers/{ID}/exec"): made, ("POST", "/exec/e/start"): started}
    async with runtime_on(tmp_path, script) as runtime:
        with pytest.raises(error) as met:
            await runtime.exec_start(ID, TRUE)
    assert type(met.value) is error


@pytest.mark.parametrize(("status", "error"), [(404, ContainerGone), (500, EngineFailed)])
async def test_a_command_that_the_engine_does_not_know_is_gone(
    tmp_path: Path, status: int, error: type[KeelmanError]
) -> None:
    async with runtime_on(tmp_path, {("GET", "/exec/e/json"): (status, WORDS)}) as runtime:
        with pytest.raises(error):
            await runtime.exec_code("e")


@pytest.mark.parametrize(
    ("listed", "inspected", "error"),
    [
        ((500, WORDS), NO_ANSWER, EngineFailed),
        ((200, "{no json"), NO_ANSWER, EngineAway),
        ((200, '"no list"'), NO_ANSWER, EngineAway),
        ((200, [{"Id": 7}]), NO_ANSWER, EngineAway),
        ((500, {"no": "message"}), NO_ANSWER, EngineAway),
        ((200, [ROW]), (500, WORDS), EngineFailed),
        ((200, [ROW]), (200, {"Id": ID}), EngineAway),
    ],
)
async def test_a_look_makes_nothing_up(
    tmp_path: Path, listed: Answer, inspected: Answer, error: type[EngineError]
) -> None:
    async with runtime_on(tmp_path, {LIST: listed, INSPECT: inspected}) as runtime:
        with pytest.raises(error):
            await runtime.look(TASK)


async def test_one_that_goes_between_list_and_inspect_is_unknown(tmp_path: Path) -> None:
    script = {LIST: (200, [ROW]), INSPECT: (404, WORDS)}
    async with runtime_on(tmp_path, script) as runtime:
        assert isinstance((await runtime.look(TASK)).body, Unknown)


async def test_an_images_name_leads_nowhere_else(tmp_path: Path) -> None:
    task = a_task(TRUE, image="a?b#c")
    script: Script = {
        LIST: (200, []),
        ("GET", "/images/a?b#c/json"): (404, WORDS),
        ("GET", "/images/a"): (200, {}),
    }
    async with runtime_on(tmp_path, script) as runtime:
        assert await runtime.look(task) == Seen(body=Absent(image=Missing()))


async def test_a_list_with_nulls_is_an_empty_one(tmp_path: Path) -> None:
    row = {"Id": ID, "Names": None, "Labels": None, "State": ""}
    script = {LIST: (200, [row]), INSPECT_IMAGE: (404, WORDS)}
    async with runtime_on(tmp_path, script) as runtime:
        assert await runtime.look(TASK) == Seen(body=Absent(image=Missing()))


async def test_an_answer_that_does_not_come_is_none(tmp_path: Path) -> None:
    """For a create too: what came of it is found by its name and labels later."""
    async with scripted_engine(tmp_path, {CREATE: never, LIST: never, EVENTS: never}) as url:
        runtime = DockerRuntime(WORKER, url, timeout_seconds=0.05)
        with pytest.raises(EngineAway):
            await runtime.do(TASK, Create(attempt=1))
        with pytest.raises(EngineAway):
            await runtime.rows()
        with pytest.raises(EngineAway):
            async with runtime.changes():
                pass
        await runtime.close()


@pytest.mark.parametrize("action", ["kill", "remove"])
async def test_a_kill_and_a_remove_have_a_bound_too(tmp_path: Path, action: str) -> None:
    """aiodocker gives them none of its own."""
    script = {("POST", f"/containers/{ID}/kill"): never, ("DELETE", f"/containers/{ID}"): never}
    wanted: Action = Kill(container_id=ID) if action == "kill" else Remove(container_id=ID)
    async with scripted_engine(tmp_path, script) as url, asyncio.timeout(5):
        runtime = DockerRuntime(WORKER, url, timeout_seconds=0.05)
        with pytest.raises(EngineAway):
            await runtime.do(TASK, wanted)
        await runtime.close()


@pytest.mark.parametrize(
    ("pulled", "image", "error", "words"),
    [
        ((404, WORDS), NO_ANSWER, ImageNotFound, "some words"),
        ((400, WORDS), NO_ANSWER, ImageNotFound, "some words"),
        ((429, WORDS), NO_ANSWER, EngineFailed, "some words"),
        ((500, WORDS), NO_ANSWER, EngineFailed, "some words"),
        (streamed(b'{"error": "no space left"}\n'), NO_ANSWER, EngineFailed, "no space left"),
        (streamed(b'{"status": "Pulling"}\n'), (404, WORDS), EngineFailed, "ended early"),
        (streamed(b'{"status": "Pulling"}\n', cut=True), (404, WORDS), EngineAway, "no answer"),
        (streamed(b"no json\n"), NO_ANSWER, EngineAway, "cannot be read"),
    ],
)
async def test_a_pull_says_why_the_image_is_not_here(
    tmp_path: Path, pulled: Answer, image: Answer, error: type[EngineError], words: str
) -> None:
    async with runtime_on(tmp_path, {PULL: pulled, INSPECT_IMAGE: image}) as runtime:
        with pytest.raises(error, match=words):
            await runtime.pull(TASK.spec.image)


@pytest.mark.parametrize("head", [True, False], ids=["said something", "said nothing at all"])
async def test_a_pull_that_says_nothing_any_more_is_given_up(tmp_path: Path, head: bool) -> None:
    silent = streamed(b'{"status": "Pulling"}\n', ends=False) if head else never
    async with scripted_engine(tmp_path, {PULL: silent}) as url:
        runtime = DockerRuntime(WORKER, url, silence_seconds=0.2)
        with pytest.raises(EngineFailed, match=r"the pull of .*busybox:1 said nothing for 0\.2 s"):
            await runtime.pull(TASK.spec.image)
        await runtime.close()


async def test_each_line_of_a_pull_is_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    @asynccontextmanager
    async def patience(words: str, seconds: float) -> AsyncIterator[Callable[[], None]]:
        yield lambda: heard.append(f"{words} {seconds:g}")

    monkeypatch.setattr(streams, "patience", patience)
    pulled = streamed(*[b'{"status": "Downloading"}\n'] * 3)
    async with runtime_on(tmp_path, {PULL: pulled, INSPECT_IMAGE: (200, {})}) as runtime:
        await runtime.pull(TASK.spec.image)
    assert heard == [f"the pull of {TASK.spec.image} 300"] * 3


async def _read(source: AsyncIterator[Piece], into: list[Piece]) -> None:
    async for piece in source:
        into.append(piece)  # noqa: PERF401 - what came before an error counts


def framed(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, WORDS), ContainerGone),
        ((409, WORDS), ContainerGone),  # it is being removed
        ((500, "a proxy's words"), EngineFailed),
        (streamed(framed(1, b"whole\n"), framed(1, b"cut")[:-1]), EngineAway),
        (streamed(framed(1, b"whole\n"), cut=True), EngineAway),
        (streamed(b"a terminal has no frames"), EngineAway),
        (streamed(framed(3, b"the log driver's trouble")), EngineFailed),
    ],
)
async def test_a_log_that_cannot_be_read_to_its_end_says_so(
    tmp_path: Path, answer: Answer, error: type[KeelmanError]
) -> None:
    told: list[bytes] = []
    async with runtime_on(tmp_path, {LOGS: answer}) as runtime:
        with pytest.raises(error):
            await _read(runtime.logs(ID, LogOptions(follow=True)), told)
    assert set(told) <= {b"whole\n"}


def event(task_id: str, action: str = "start", filler: str = "") -> bytes:
    attributes = f'{{"keelman.task": "{task_id}", "filler": "{filler}"}}'
    return f'{{"Action": "{action}", "Actor": {{"Attributes": {attributes}}}}}\n'.encode()


@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut"])
async def test_events_that_end_are_an_engine_that_went_away(tmp_path: Path, cut: bool) -> None:
    """And an event may come in pieces, be long, or be of a health check that moves nothing."""
    long = event("b", filler="x" * 300_000)
    pieces = [event("x", "exec_start: true") + event("a")[:20], event("a")[20:], long]
    told: list[str] = []
    async with (
        runtime_on(tmp_path, {EVENTS: streamed(*pieces, cut=cut)}) as runtime,
        runtime.changes() as moved,
    ):
        with pytest.raises(EngineAway):
            await _read(moved, told)
    assert told == ["a", "b"]


async def test_an_engine_that_comes_back_upgraded_is_asked_its_version_anew(
    tmp_path: Path,
) -> None:
    script: dict[tuple[str, str], Answer] = {EVENTS: streamed(), LIST: (200, [])}
    async with runtime_on(tmp_path, script) as runtime:
        await runtime.rows()
        assert runtime._calls.api_version == "v1.41"
        async with runtime.changes():
            await runtime.rows()
        assert runtime._calls.api_version == "auto"
