"""`GET /tasks/{taskID}/why` over HTTP, and the client's `why`."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from keelman.client import Client, ClientError
from keelman.explanation import Asked
from keelman.task import State
from tests.api.conftest import Served

FIELDS = ["ID", "Name", "State", "Summary", "Because", "Blocked", "Next", "At", "Wish", "Seen"]


@pytest.mark.parametrize("end", ["", "/"], ids=["no slash", "slash"])
async def test_a_running_task_is_explained(served: Served, end: str) -> None:
    task_id = await served.is_running()
    answer = await served.get(f"/tasks/{task_id}/why{end}")
    assert answer.status == 200
    assert list(answer.json) == FIELDS
    told = answer.json
    assert told["ID"] == task_id
    assert (told["Name"], told["State"], told["Seen"]) == ("web", 2, "running")
    assert told["Summary"] == "It runs."
    assert told["Because"].startswith("attempt 1 began to run, ")
    assert told["Blocked"] == {"By": "", "Message": ""}
    assert told["At"] is None
    assert told["Wish"] == {"Wants": "run", "Seq": 1}


async def test_the_id_may_be_written_in_any_form(served: Served) -> None:
    task_id = await served.is_running()
    answer = await served.get(f"/tasks/{task_id.replace('-', '').upper()}/why")
    assert answer.json["ID"] == task_id


async def test_an_ended_task_is_explained_until_it_is_cleaned_away(served: Served) -> None:
    task_id = await served.has_run("false")
    task = (await served.get(f"/tasks/{task_id}")).json
    told = (await served.get(f"/tasks/{task_id}/why")).json
    assert (told["State"], told["Blocked"]["By"]) == (4, "retention")
    kept = datetime.fromisoformat(told["At"]) - datetime.fromisoformat(task["FinishTime"])
    assert kept.total_seconds() == served.worker.limits.keep_ended_seconds
    assert "exited with code 1" in told["Because"]


async def test_a_stop_is_explained(served: Served) -> None:
    task_id = await served.is_running("stubborn")
    await served.delete(f"/tasks/{task_id}")
    told = (await served.get(f"/tasks/{task_id}/why")).json
    assert (told["State"], told["Blocked"]["By"]) == (2, "process")
    assert told["Blocked"]["Message"].startswith("a stop was asked for; ")
    assert told["Wish"] == {"Wants": "stop", "Seq": 2}
    assert told["At"].endswith("Z")


async def test_an_engine_that_is_away_is_no_error_but_an_answer(served: Served) -> None:
    task_id = await served.is_running()
    served.engine.down()
    answer = await served.get(f"/tasks/{task_id}/why")
    assert answer.status == 200
    assert (answer.json["State"], answer.json["Seen"]) == (2, "unknown")
    assert answer.json["Blocked"]["By"] == "engine"


async def test_an_unknown_task_is_404(served: Served) -> None:
    assert (await served.get(f"/tasks/{uuid4()}/why")).is_error(404, "unknown_task")


@pytest.mark.parametrize("path", ["/tasks/web/why", f"/tasks/{uuid4()}/why?json=1"])
async def test_what_is_no_id_and_no_parameter_is_400(served: Served, path: str) -> None:
    assert (await served.get(path)).is_error(400, "bad_field")


async def test_a_database_that_cannot_be_read_is_503(served: Served) -> None:
    task_id = await served.is_running()
    served.store._reader.execute("ALTER TABLE tasks RENAME TO away")
    answer = await served.get(f"/tasks/{task_id}/why")
    served.store._reader.execute("ALTER TABLE away RENAME TO tasks")
    assert answer.is_error(503, "cannot_record")


async def test_the_client_has_it_with_types(served: Served) -> None:
    task_id = await served.is_running(Name="typed", Timeout=60)
    async with Client(f"127.0.0.1:{served.api.port}") as client:
        told = await client.why(task_id)
        with pytest.raises(ClientError) as refused:
            await client.why(str(uuid4()))
    assert (told.id, told.name, told.state) == (task_id, "typed", State.RUNNING)
    assert told.wish == Asked(wants="run", seq=1)
    assert told.at is not None
    assert told.at.tzinfo == UTC
    assert refused.value.code == "unknown_task"
