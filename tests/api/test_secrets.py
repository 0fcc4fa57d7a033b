"""What a client is shown of Env, and what becomes of what it sends back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from keelman.errors import EngineFailed
from keelman.runtime.fake import FakeEngine, Program
from keelman.seen import Refused
from keelman.task import Reason
from tests.api.conftest import Served, an_event, until

ENV = {"TOKEN": "s3cret-pa55w0rd", "EMPTY": ""}
MASKED = {"TOKEN": "***", "EMPTY": "***"}


@pytest.fixture
async def open_served(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Served]:
    """A worker that was told to show them."""
    served = Served(tmp_path / "open", engine, show=bytes)
    await served.start()
    yield served
    await served.stop()


async def every_view(served: Served, event: dict[str, Any]) -> list[dict[str, str]]:
    """The Env of a task in every answer that has one."""
    task_id = event["Task"]["ID"]
    answers = [
        (await served.post(event)).json,
        (await served.post(event)).json,
        *(await served.get("/tasks")).json,
        (await served.get(f"/tasks/{task_id}?wait=running")).json,
        *(await served.get("/tasks?name=web")).json,
        *(await served.get("/tasks")).json,
        (await served.post({"ID": str(uuid4()), "State": 3, "Task": {"ID": task_id}})).json,
    ]
    return [answer["Env"] for answer in answers]


async def test_no_answer_has_a_value(served: Served) -> None:
    """Not that to the event itself, nor to a stop of somebody else's task."""
    assert await every_view(served, an_event(Env=ENV)) == [MASKED] * 7


async def test_a_worker_that_was_told_to_shows_them(open_served: Served) -> None:
    assert await every_view(open_served, an_event(Env=ENV)) == [ENV] * 7


async def test_a_task_that_was_read_cannot_be_sent_back_as_it_is(served: Served) -> None:
    """Its values would be overwritten by who did not see them."""
    task_id = await served.has_run("false", Env=ENV)
    read = (await served.get(f"/tasks/{task_id}")).json
    answer = await served.post({"ID": str(uuid4()), "State": 2, "Task": read})
    assert answer.is_error(400, "bad_field")
    assert "Task.Env: 'TOKEN' is ***" in answer.json["Message"]
    event = {"ID": str(uuid4()), "State": 2, "Task": read}
    told = (await served.ask("POST", "/tasks?dry_run=1", json=event)).json["Objections"]
    assert [(one["Field"], one["Code"]) for one in told] == [("Task.Env", "bad_field")] * 2
    wish = served.worker.queue.get(task_id)
    assert wish is not None
    assert wish.spec.env == ENV


async def test_the_same_task_is_told_by_its_true_values(served: Served) -> None:
    event = an_event(Env=ENV)
    assert (await served.post(event)).status == 201
    again = {**event, "ID": str(uuid4())}
    assert (await served.post(again)).status == 201
    other = {**again, "ID": str(uuid4()), "Task": {**event["Task"], "Env": {**ENV, "EMPTY": "x"}}}
    assert (await served.post(other)).is_error(409, "spec_changed")


async def test_the_container_has_them(served: Served) -> None:
    task_id = await served.is_running(Env=ENV)
    container = (await served.get(f"/tasks/{task_id}")).json["ContainerID"]
    body = served.engine.containers[container].body
    assert body["Env"] == [f"{name}={value}" for name, value in ENV.items()]


async def test_an_engine_that_quotes_a_value_does_not_tell_it(served: Served) -> None:
    for _ in range(20):
        served.engine.fail_next("create", EngineFailed(f'no: ["TOKEN={ENV["TOKEN"]}"]'))
    task_id = await served.run(Env=ENV)
    await until(lambda: "no: " in served.worker.get_task(task_id).message)
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/why", f"/tasks/{task_id}/transitions"):
        answer = json.dumps((await served.get(path)).json)
        assert ENV["TOKEN"] not in answer
    assert "TOKEN=***" in (await served.get(f"/tasks/{task_id}")).json["Message"]


async def test_a_start_that_is_refused_in_words_with_a_value_does_not_tell_it(
    served: Served,
) -> None:
    words = f'runc: env "TOKEN={ENV["TOKEN"]}" is bad'
    no = Refused(reason=Reason.START_REFUSED, message=words)
    served.engine.programs[("refused",)] = Program(refuse=no)
    task_id = await served.has_run("refused", Env=ENV)
    task = (await served.get(f"/tasks/{task_id}")).json
    assert 'env "TOKEN=***" is bad' in task["Message"]
    assert ENV["TOKEN"] not in json.dumps((await served.get(f"/tasks/{task_id}/transitions")).json)
