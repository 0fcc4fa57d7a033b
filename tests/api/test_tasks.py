"""Tasks over HTTP: sent, listed, waited for, stopped; every answer of the design's table."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from keelman.allowed import Allowed
from keelman.bounds import PART_BYTES, WHOLE_BYTES
from keelman.runtime.fake import FakeEngine
from tests.api.conftest import IMAGE, Served, an_event, serving

BOTH_ENDS = pytest.mark.parametrize("end", ["", "/"], ids=["no slash", "slash"])


def stop_of(task_id: str) -> dict[str, Any]:
    return {"ID": str(uuid4()), "State": 3, "Task": {"ID": task_id}}


# -- POST /tasks ---------------------------------------------------------------------------------


@BOTH_ENDS
async def test_a_task_that_is_sent_is_answered_with_itself_and_runs(
    served: Served, end: str
) -> None:
    event = an_event(Name="hello", Env={"A": "1"})
    answer = await served.ask("POST", f"/tasks{end}", json=event)
    assert answer.status == 201
    told = {name: answer.json[name] for name in ("ID", "Name", "Image", "Env", "State")}
    assert told == {**event["Task"], "Env": {"A": "***"}, "State": 0}
    task = await served.until(event["Task"]["ID"], "running")
    assert (task["State"], task["Attempt"], task["RestartCount"]) == (2, 1, 0)
    assert task["ContainerID"] in served.engine.containers
    assert task["StartTime"] is not None


async def test_the_books_own_request_works(served: Served) -> None:
    served.engine.images.add("strm/helloworld-http:latest")
    body = (
        b'{"ID":"6be4cb6b-61d1-40cb-bc7b-9cacefefa60c","State":2,"Task":{"State":1,'
        b'"ID":"21b23589-5d2d-4731-b5c9-a97e9832d021","Name":"test-chapter-5",'
        b'"Image":"strm/helloworld-http","Cpu":1.0}}'
    )
    kind = {"Content-Type": "application/json"}
    answer = await served.ask("POST", "/tasks", data=body, headers=kind)
    assert answer.status == 201
    task = await served.until("21b23589-5d2d-4731-b5c9-a97e9832d021", "running")
    assert (task["State"], task["Name"]) == (2, "test-chapter-5")


async def test_the_same_event_gets_the_same_answer_whatever_became_of_the_task(
    served: Served,
) -> None:
    event = an_event(Command=["true"])
    first = await served.post(event)
    await served.until(event["Task"]["ID"], "ended")
    again = await served.post(event)
    assert (again.status, again.body) == (201, first.body)


async def test_a_new_event_with_the_same_spec_changes_nothing(served: Served) -> None:
    event = an_event()
    await served.post(event)
    await served.until(event["Task"]["ID"], "running")
    again = await served.post({**event, "ID": str(uuid4())})
    assert (again.status, again.json["State"]) == (201, 2)
    assert len(served.engine.containers) == 1


async def test_two_tasks_may_have_the_same_name(served: Served) -> None:
    await asyncio.gather(*(served.is_running(Name="twin") for _ in range(2)))
    assert [task["Name"] for task in (await served.get("/tasks")).json] == ["twin", "twin"]


async def test_a_failed_task_runs_again(served: Served) -> None:
    task_id = await served.has_run("false")
    answer = await served.post(an_event(ID=task_id, Command=["true"]))
    assert (answer.status, answer.json["State"]) == (201, 0)
    task = await served.until(task_id, "ended")
    assert (task["State"], task["Attempt"]) == (3, 2)


async def test_a_higher_generation_begins_a_new_life(served: Served) -> None:
    task_id = await served.has_run("true")
    answer = await served.post(an_event(ID=task_id, Command=["true"], Generation=1))
    assert answer.status == 201
    assert (await served.until(task_id, "ended"))["Attempt"] == 2


async def test_a_stop_can_be_posted_too(served: Served) -> None:
    task_id = await served.is_running()
    answer = await served.post(stop_of(task_id))
    assert (answer.status, answer.json["ID"]) == (201, task_id)
    assert (await served.until(task_id, "ended"))["Reason"] == "stopped"


async def test_a_stop_posted_for_an_unknown_task_is_404(served: Served) -> None:
    assert (await served.post(stop_of(str(uuid4())))).is_error(404, "unknown_task")


async def conflict_of(served: Served, kind: str) -> dict[str, Any]:
    """An event that is in the way of what is there already."""
    match kind:
        case "event_reused":
            event = an_event()
            await served.post(event)
            await served.until(event["Task"]["ID"], "running")
            return {**event, "State": 1}
        case "spec_changed":
            return an_event(ID=await served.is_running(), Cpu=1)
        case "stopping":
            task_id = await served.is_running("stubborn")
            await served.delete(f"/tasks/{task_id}")
            return an_event(ID=task_id, Command=["stubborn"])
        case "task_completed":
            return an_event(ID=await served.has_run("true"))
        case "stale_generation":
            return an_event(ID=await served.is_running(Generation=2), Generation=1)
        case _:
            task_id = await served.has_run("true")
            worker = served.worker
            assert await worker.db.forget(worker.get_task(task_id), worker.clock())
            return an_event(ID=task_id)


@pytest.mark.parametrize(
    "code",
    [
        *("event_reused", "spec_changed", "stopping"),
        *("task_completed", "stale_generation", "task_ended"),
    ],
)
async def test_every_conflict_is_a_409_with_its_code_and_changes_nothing(
    served: Served, code: str
) -> None:
    event = await conflict_of(served, code)
    before = await served.get("/tasks")
    assert (await served.post(event)).is_error(409, code)
    assert (await served.get("/tasks")).body == before.body


@pytest.mark.parametrize("where", ["inside", "outside"])
async def test_only_a_mount_that_the_operator_allowed_is_taken(
    tmp_path: Path, engine: FakeEngine, where: str
) -> None:
    for name in ("data", "inside", "outside"):
        (tmp_path / name).mkdir()
    mount = {"Source": str(tmp_path / where), "Target": "/in", "ReadOnly": True}
    allowed = Allowed(mounts=(str(tmp_path / "inside"),))
    async with serving(tmp_path / "data", engine, allowed=allowed) as served:
        answer = await served.post(an_event(Mounts=[mount]))
    if where == "inside":
        assert (answer.status, answer.json["Mounts"]) == (201, [mount])
    else:
        assert answer.is_error(403, "not_allowed")
        assert "Task.Mounts.Source" in answer.json["Message"]


async def test_what_was_taken_is_answered_alike_when_it_is_not_allowed_any_more(
    tmp_path: Path, engine: FakeEngine
) -> None:
    """The worker was started again, with less allowed; the same event gets its own answer."""
    event = an_event(Mounts=[{"Source": str(tmp_path), "Target": "/in"}])
    async with serving(
        tmp_path / "data", engine, allowed=Allowed(mounts=(str(tmp_path),))
    ) as served:
        taken = await served.post(event)
    async with serving(tmp_path / "data", engine) as served:
        again = await served.post(event)
        another = await served.post({**event, "ID": str(uuid4())})
    assert (again.status, again.body) == (taken.status, taken.body) == (201, taken.body)
    assert another.is_error(403, "not_allowed")


# -- GET /tasks ----------------------------------------------------------------------------------


@BOTH_ENDS
async def test_a_worker_without_tasks_lists_none(served: Served, end: str) -> None:
    answer = await served.get(f"/tasks{end}")
    assert (answer.status, answer.json) == (200, [])
    assert answer.headers["Last-Event-ID"] == f"{served.worker.db.log_id}:0"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_large_list_is_told_as_a_small_one_is(served: Served) -> None:
    """It goes out in pieces, to a client that has to read."""
    long = "x" * (PART_BYTES // 4)
    for _ in range(9):
        await served.post(an_event(Command=["echo", long]))
    answer = await served.get("/tasks")
    assert [one["Command"] for one in answer.json] == [["echo", long]] * 9
    assert len(answer.body) > 2 * PART_BYTES > WHOLE_BYTES
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Length"] == str(len(answer.body))


async def test_the_list_has_every_task_in_the_order_in_which_it_was_sent(served: Served) -> None:
    ids = [await served.run("true") for _ in range(5)]
    assert [task["ID"] for task in (await served.get("/tasks")).json] == ids
    for task_id in ids:
        await served.until(task_id, "ended")
    answer = await served.get("/tasks")
    assert [(task["ID"], task["State"]) for task in answer.json] == [(one, 3) for one in ids]
    assert answer.headers["Last-Event-ID"] == f"{served.worker.db.log_id}:15"


async def test_a_listed_task_is_the_same_as_a_single_one(served: Served) -> None:
    task_id = await served.is_running()
    (listed,) = (await served.get("/tasks")).json
    assert listed == (await served.get(f"/tasks/{task_id}")).json


# -- GET /tasks/{taskID} -------------------------------------------------------------------------


@BOTH_ENDS
async def test_one_task_can_be_shown(served: Served, end: str) -> None:
    task_id = await served.is_running()
    answer = await served.get(f"/tasks/{task_id}{end}")
    assert (answer.status, answer.json["ID"]) == (200, task_id)


async def test_an_id_may_be_written_in_capitals(served: Served) -> None:
    task_id = await served.run()
    assert (await served.get(f"/tasks/{task_id.upper()}")).json["ID"] == task_id


async def test_a_failed_task_tells_why(served: Served) -> None:
    task_id = await served.has_run("talk-and-fail")
    task = (await served.get(f"/tasks/{task_id}")).json
    assert (task["State"], task["ExitCode"], task["Reason"]) == (4, 3, "exited")
    assert task["Message"].endswith("\nbye")
    assert task["FinishTime"] is not None


@pytest.mark.parametrize(("wait", "state"), [("running", 2), ("ended", 3)])
async def test_a_wait_answers_as_soon_as_the_task_is_there(
    served: Served, wait: str, state: int
) -> None:
    task_id = await served.run()
    waiting = asyncio.create_task(served.until(task_id, wait))
    await served.until(task_id, "running")
    served.engine.exit((await served.get(f"/tasks/{task_id}")).json["ContainerID"], 0)
    assert (await waiting)["State"] >= state


async def test_a_wait_for_running_is_over_when_the_task_never_ran(served: Served) -> None:
    task_id = await served.run(Image="no/such:image", PullPolicy="never")
    assert (await served.until(task_id, "running"))["State"] == 4


@pytest.mark.parametrize("seconds", ["0", "0.05"])
async def test_a_wait_that_is_over_answers_with_what_is(served: Served, seconds: str) -> None:
    task_id = await served.is_running()
    answer = await served.get(f"/tasks/{task_id}?wait=ended&timeout={seconds}")
    assert (answer.status, answer.json["State"]) == (200, 2)


async def test_a_wait_for_an_unknown_task_does_not_wait(served: Served) -> None:
    assert (await served.get(f"/tasks/{uuid4()}?wait=ended")).is_error(404, "unknown_task")


# -- DELETE /tasks/{taskID} ----------------------------------------------------------------------


@BOTH_ENDS
async def test_a_stop_is_answered_at_once_and_the_task_ends(served: Served, end: str) -> None:
    task_id = await served.is_running()
    answer = await served.delete(f"/tasks/{task_id}{end}")
    assert (answer.status, answer.body) == (204, b"")
    task = await served.until(task_id, "ended")
    assert (task["State"], task["Reason"], task["ExitCode"]) == (3, "stopped", 143)
    assert not any(one.live for one in served.engine.containers.values())


async def test_a_stop_does_not_touch_what_is_on_record(served: Served) -> None:
    task_id = await served.is_running("stubborn")
    before = await served.get(f"/tasks/{task_id}")
    assert (await served.delete(f"/tasks/{task_id}")).status == 204
    after = await served.get(f"/tasks/{task_id}")
    assert (after.json["State"], after.json["Reason"]) == (2, "")
    assert after.json == before.json


async def test_a_task_can_be_stopped_again_and_again(served: Served) -> None:
    task_id = await served.is_running("stubborn")
    answers = await asyncio.gather(*(served.delete(f"/tasks/{task_id}") for _ in range(8)))
    assert [answer.status for answer in answers] == [204] * 8
    wish = served.worker.queue.get(task_id)
    assert wish is not None
    assert wish.seq == 2


@pytest.mark.parametrize("command", ["true", "false"])
async def test_a_stop_of_an_ended_task_is_204_and_changes_nothing(
    served: Served, command: str
) -> None:
    task_id = await served.has_run(command)
    before = await served.get(f"/tasks/{task_id}")
    assert (await served.delete(f"/tasks/{task_id}")).status == 204
    assert (await served.get(f"/tasks/{task_id}")).body == before.body


async def test_a_task_that_has_not_begun_can_be_stopped(served: Served) -> None:
    served.engine.down()
    task_id = await served.run()
    assert (await served.delete(f"/tasks/{task_id}")).status == 204
    served.engine.up()
    assert (await served.until(task_id, "ended"))["Reason"] == "stopped"
    assert served.engine.containers == {}


async def test_a_stop_of_an_unknown_task_is_404(served: Served) -> None:
    assert (await served.delete(f"/tasks/{uuid4()}")).is_error(404, "unknown_task")


async def test_a_stop_of_a_task_that_was_cleaned_away_is_204(served: Served) -> None:
    task_id = await served.has_run("true")
    worker = served.worker
    await worker.db.forget(worker.get_task(task_id), worker.clock())
    assert (await served.delete(f"/tasks/{task_id}")).status == 204
    assert (await served.get(f"/tasks/{task_id}")).is_error(404, "unknown_task")


async def test_a_stop_of_an_older_generation_is_stale(served: Served) -> None:
    task_id = await served.is_running(Generation=3)
    answer = await served.delete(f"/tasks/{task_id}?generation=2")
    assert answer.is_error(409, "stale_generation")
    assert (await served.delete(f"/tasks/{task_id}?generation=3")).status == 204


# -- GET /tasks/{taskID}/transitions -------------------------------------------------------------


@BOTH_ENDS
async def test_a_tasks_history_is_a_list_of_its_transitions(served: Served, end: str) -> None:
    task_id = await served.has_run("false", RestartPolicy="on-failure:1")
    await served.has_run("true")
    answer = await served.get(f"/tasks/{task_id}/transitions{end}")
    assert answer.status == 200
    assert [(move["From"], move["To"], move["Attempt"]) for move in answer.json] == [
        *((0, 1, 1), (1, 2, 1), (2, 1, 1)),
        *((1, 2, 2), (2, 4, 2)),
    ]
    assert {move["TaskID"] for move in answer.json} == {task_id}


async def test_a_task_that_was_just_sent_has_no_history_yet(served: Served) -> None:
    served.engine.down()
    task_id = await served.run()
    assert (await served.get(f"/tasks/{task_id}/transitions")).json == []


async def test_an_image_that_does_not_exist_fails_the_task(served: Served) -> None:
    task_id = await served.run(Image="no/such:image")
    task = await served.until(task_id, "ended")
    assert (task["State"], task["Reason"]) == (4, "image_unavailable")
    assert IMAGE not in task["Message"]
