"""Which requests are heard, on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from keelman import wire
from keelman.description import MOMENT, WorkerReport
from keelman.door import Credentials
from keelman.runtime.fake import FakeEngine
from keelman.seen import NEVER_SECONDS
from keelman.task import State
from tests.api.conftest import Served, an_event, until
from tests.api.test_access import Guarded, guarded
from tests.unit.given_credentials import NEW, OLD, secret

HEARD = ["/tasks", "/stats", "/worker", "/tasks/not-a-uuid"]
PROBES = ["/livez", "/readyz", "/metrics", "/openapi.json", "/livez/"]


@pytest.mark.parametrize("path", HEARD)
async def test_a_request_is_heard(served: Served, path: str) -> None:
    """One that is refused for what it asks, too: somebody is there."""
    await served.get(path)
    assert served.worker.heard.silence < NEVER_SECONDS


@pytest.mark.parametrize("path", PROBES)
async def test_a_probe_is_not(served: Served, path: str) -> None:
    assert (await served.get(path)).status == 200
    assert served.worker.heard.silence == NEVER_SECONDS


async def test_a_wish_is_heard(served: Served) -> None:
    """Before it is taken up: a worker that nobody spoke to would end it at once."""
    task_id = await served.is_running("sleep", StopAfterDisconnect=3600)
    task = (await served.get(f"/tasks/{task_id}")).json
    assert (task["State"], task["StopAfterDisconnect"]) == (2, 3600)


async def test_it_is_not_told_of_who_has_none(served: Served) -> None:
    """As before there was such a field."""
    task_id = await served.run("sleep")
    assert "StopAfterDisconnect" not in (await served.get(f"/tasks/{task_id}")).json


@pytest.mark.parametrize("path", ["/events", "/tasks/{}/logs?follow=1"])
async def test_what_stays_open_is_heard_once(served: Served, path: str) -> None:
    """As of when it was asked for, whatever it says meanwhile."""
    task_id = await served.is_running("sleep")
    container_id = served.worker.get_task(task_id).container_id
    async with served.session.get(path.format(task_id)) as response:
        assert response.status == 200
        silence = served.worker.heard.silence
        other = wire.decode_event(json.dumps(an_event()).encode())
        await served.worker.add_task(other)
        await until(lambda: served.worker.get_task(other.task_id).state is State.RUNNING)
        served.engine.write(container_id, "stdout", b"still here\n")
        await response.content.readany()
        assert served.worker.heard.silence > silence


async def test_a_long_poll_is_heard_once(served: Served) -> None:
    task_id = await served.is_running("sleep")
    async with asyncio.TaskGroup() as group:
        group.create_task(served.get(f"/tasks/{task_id}?wait=ended&timeout=0.2"))
        await until(lambda: served.worker.heard.silence < 0.1)
    assert served.worker.heard.silence > 0.1


@pytest.fixture
async def by_token(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Guarded]:
    tokens = secret(tmp_path / "tokens", f"manager-1 {OLD}\n")
    async with guarded(tmp_path, engine, Credentials(token_file=tokens)) as served:
        yield served


@pytest.mark.parametrize("path", [*HEARD, *PROBES])
async def test_a_stranger_is_not_heard(by_token: Guarded, path: str) -> None:
    """Whatever he asks, and whatever he says that he is."""
    headers = {"Authorization": f"Bearer {NEW}", MOMENT: by_token.worker.heard.moment}
    await by_token.ask("GET", path, headers=headers)
    assert by_token.worker.heard.silence == NEVER_SECONDS
    await by_token.ask("GET", "/tasks", headers={"Authorization": f"Bearer {OLD}"})
    assert by_token.worker.heard.silence < NEVER_SECONDS


async def test_a_manager_is_heard_by_the_moment_it_has_had(served: Served) -> None:
    """And from then on nobody else is."""

    async def beat(moment: str) -> WorkerReport:
        answer = await served.ask("GET", "/worker", headers={MOMENT: moment})
        return msgspec.json.decode(answer.body, type=WorkerReport)

    first = await beat("")
    second = await beat(first.moment)
    again = await beat(first.moment)
    assert second.silence is not None
    assert again.silence is not None
    assert again.silence > second.silence > 0
    before = served.worker.heard.silence
    await served.get("/tasks")
    assert served.worker.heard.silence > before
