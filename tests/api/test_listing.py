"""Some of the tasks, and pages of them, over HTTP."""

from __future__ import annotations

from uuid import uuid4

from tests.api.conftest import Served


async def ids(served: Served, query: str = "") -> list[str]:
    answer = await served.get(f"/tasks{query}")
    assert answer.status == 200
    return [task["ID"] for task in answer.json]


async def pages(served: Served, query: str) -> list[list[str]]:
    """All pages, each asked for from the last of the one before, up to the first that is short."""
    found = [await ids(served, f"?limit=2{query}")]
    while len(found[-1]) == 2:
        found.append(await ids(served, f"?limit=2{query}&after={found[-1][-1]}"))
    return found


async def cleaned_away(served: Served, task_id: str) -> None:
    worker = served.worker
    assert await worker.db.forget(worker.get_task(task_id), worker.clock())


async def test_states_names_and_labels_choose(served: Served) -> None:
    ended = await served.has_run("true", Name="a b&c", Labels={"tier": "front"})
    failed = await served.has_run("false", Labels={"tier": "back", "é": "=1"})
    runs = await served.is_running(Labels={"tier": "front"})
    served.engine.down()
    waits = await served.run("true")
    for query, found in {
        "": [ended, failed, runs, waits],
        "?state=running": [runs],
        "?state=0": [waits],
        "?state=Completed,4": [ended, failed],
        "?name=a%20b%26c": [ended],
        "?name=web&state=4,2": [failed, runs],
        "?label=tier": [ended, failed, runs],
        "?label=tier%3Dfront": [ended, runs],
        "?label=tier=front&label=tier=back": [],
        "?label=%C3%A9==1&label=tier": [failed],
        "?state=scheduled": [],
    }.items():
        assert await ids(served, query) == found, query


async def test_a_task_that_waits_to_run_again_is_listed_as_it_is_shown(served: Served) -> None:
    """It is FAILED on record and PENDING to whoever asks."""
    task_id = await served.has_run("false")
    served.engine.down()
    await served.run("true", ID=task_id)
    assert await ids(served, "?state=pending") == [task_id]
    assert await ids(served, "?state=failed") == []


async def test_pages_together_are_the_list(served: Served) -> None:
    whole = [await served.has_run("true") for _ in range(5)]
    assert await pages(served, "") == [whole[:2], whole[2:4], whole[4:]]
    assert await pages(served, "&name=none") == [[]]
    listed = (await served.get("/tasks")).json
    assert (await served.get("/tasks?limit=3")).json == listed[:3]


async def test_a_page_goes_on_from_a_task_that_does_not_match_any_more(served: Served) -> None:
    running = [await served.is_running() for _ in range(4)]
    first = await ids(served, "?state=running&limit=2")
    await served.delete(f"/tasks/{first[-1]}")
    await served.until(first[-1], "ended")
    assert await ids(served, f"?state=running&limit=2&after={first[-1]}") == running[2:]


async def test_pages_go_on_while_tasks_come_and_go(served: Served) -> None:
    old = [await served.has_run("true") for _ in range(5)]
    first = await ids(served, "?limit=2")
    await cleaned_away(served, old[0])
    await cleaned_away(served, old[3])
    new = await served.has_run("true")
    assert [*first, *(await ids(served, f"?after={first[-1]}"))] == [*old[:3], old[4], new]


async def test_from_a_task_that_was_cleaned_away_there_is_no_going_on(served: Served) -> None:
    task_id = await served.has_run("true")
    await served.has_run("true")
    assert (await served.get(f"/tasks?after={uuid4()}")).is_error(410, "task_gone")
    assert len(await ids(served, f"?after={task_id}")) == 1
    await cleaned_away(served, task_id)
    assert (await served.get(f"/tasks?limit=1&after={task_id}")).is_error(410, "task_gone")


async def test_a_page_says_as_of_which_transition_it_is(served: Served) -> None:
    await served.has_run("true")
    whole = await served.get("/tasks")
    for query in ("?limit=1", "?state=failed", f"?after={whole.json[0]['ID']}"):
        answer = await served.get(f"/tasks{query}")
        assert answer.headers["Last-Event-ID"] == whole.headers["Last-Event-ID"]
