"""`POST /tasks?dry_run=1`: it says what the real POST would, and records nothing."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from keelman.runtime.fake import FakeEngine
from keelman.worker import trial
from tests.api.conftest import IMAGE, Answer, Served, an_event, serving

Event = dict[str, Any]


async def dry(served: Served, event: Event) -> Any:  # noqa: ANN401  # JSON
    """What a dry run of an event says."""
    answer = await served.ask("POST", "/tasks?dry_run=1", json=event)
    assert answer.status == 200, answer.body
    return answer.json


def codes(told: Any) -> list[str]:  # noqa: ANN401  # JSON
    return [one["Code"] for one in told["Objections"]]


def state_of(served: Served) -> list[Any]:
    """All that is on disk of wishes, and which tasks there are: those go on meanwhile."""
    whole = [f"SELECT * FROM {table}" for table in ("queue", "task_events", "tombstones")]
    parts = ["SELECT task_id FROM tasks", "SELECT value FROM meta WHERE key = 'wish_seq'"]
    return [sorted(served.store.read(query)) for query in (*whole, *parts)]


# -- the same verdict ----------------------------------------------------------------------------


async def a_new_one(_served: Served) -> Event:
    return an_event(Command=["true"])


async def a_second_try(served: Served) -> Event:
    return an_event(ID=await served.has_run("false"), Command=["true"])


async def the_same_again(served: Served) -> Event:
    return an_event(ID=await served.is_running())


async def the_same_event_again(served: Served) -> Event:
    event = an_event(Command=["true"])
    await served.post(event)
    await served.until(event["Task"]["ID"], "ended")
    return event


async def a_reused_event(served: Served) -> Event:
    event = an_event()
    await served.post(event)
    await served.until(event["Task"]["ID"], "running")
    return {**event, "State": 1}


async def another_spec(served: Served) -> Event:
    return an_event(ID=await served.is_running(), Cpu=1)


async def one_that_is_stopping(served: Served) -> Event:
    task_id = await served.is_running("stubborn")
    await served.delete(f"/tasks/{task_id}")
    return an_event(ID=task_id, Command=["stubborn"])


async def a_completed_one(served: Served) -> Event:
    return an_event(ID=await served.has_run("true"))


async def a_new_generation(served: Served) -> Event:
    return an_event(ID=await served.has_run("true"), Generation=3, Command=["true"])


async def an_old_generation(served: Served) -> Event:
    return an_event(ID=await served.is_running(Generation=2), Generation=1)


async def one_long_over(served: Served) -> Event:
    task_id = await served.has_run("true")
    worker = served.worker
    assert await worker.db.forget(worker.get_task(task_id), worker.clock())
    return an_event(ID=task_id)


async def a_mount(_served: Served) -> Event:
    return an_event(Mounts=[{"Source": "/etc", "Target": "/in"}])


async def a_bad_spec(_served: Served) -> Event:
    return an_event(Image="Not A Name", Cpu=0.001, Labels={"keelman.x": "1"})


async def a_bad_mount(_served: Served) -> Event:
    return an_event(Mounts=[{"Source": "/e\0tc", "Target": "/in"}])


async def a_stop(served: Served) -> Event:
    return {"ID": str(uuid4()), "State": 3, "Task": {"ID": await served.is_running()}}


async def a_stop_of_nothing(_served: Served) -> Event:
    return {"ID": str(uuid4()), "State": 3, "Task": {"ID": str(uuid4())}}


async def a_stop_of_an_old_one(served: Served) -> Event:
    task = {"ID": await served.is_running(Generation=2), "Generation": 1}
    return {"ID": str(uuid4()), "State": 3, "Task": task}


EVENTS: list[Callable[[Served], Awaitable[Event]]] = [
    *(a_new_one, a_second_try, the_same_again, the_same_event_again, a_reused_event),
    *(another_spec, one_that_is_stopping, a_completed_one, a_new_generation, an_old_generation),
    *(one_long_over, a_mount, a_bad_spec, a_bad_mount),
    *(a_stop, a_stop_of_nothing, a_stop_of_an_old_one),
]


def agree(told: Any, real: Answer) -> bool:  # noqa: ANN401  # JSON
    """Whether the dry run objects just where the real one refuses, in its words."""
    if not told["Objections"]:
        return real.status == 201
    words = "; ".join(
        one["Message"] for one in told["Objections"] if one["Code"] == real.json["Code"]
    )
    first = told["Objections"][0]["Code"]
    return (real.json["Code"], real.json["Message"]) == (first, words)


@pytest.mark.parametrize("given", EVENTS, ids=lambda given: given.__name__)
async def test_it_objects_exactly_where_the_real_one_refuses(
    served: Served, given: Callable[[Served], Awaitable[Event]]
) -> None:
    event = await given(served)
    told = await dry(served, event)
    assert agree(told, await served.post(event))


@pytest.mark.parametrize("given", EVENTS, ids=lambda given: given.__name__)
async def test_it_records_nothing(
    served: Served, given: Callable[[Served], Awaitable[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await given(served)
    woken: list[str] = []
    monkeypatch.setattr(served.worker.lanes, "wake", woken.append)
    before, containers = state_of(served), list(served.engine.containers)
    await dry(served, event)
    assert state_of(served) == before
    assert list(served.engine.containers) == containers
    assert woken == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", "malformed", id="empty"),
        pytest.param(b"[]", "malformed", id="an array"),
        pytest.param(json.dumps(an_event(Colour="red")).encode(), "bad_field", id="unknown field"),
        pytest.param(json.dumps(an_event(Cpu="1")).encode(), "bad_field", id="a wrong type"),
        pytest.param(json.dumps({**an_event(), "State": 4}).encode(), "bad_field", id="no wish"),
    ],
)
async def test_what_is_no_event_is_400_both_ways(served: Served, body: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/tasks?dry_run=1", "/tasks"):
        answer = await served.ask("POST", path, data=body, headers=headers)
        assert answer.is_error(400, code)


async def test_dry_run_0_is_the_real_thing(served: Served) -> None:
    answer = await served.ask("POST", "/tasks?dry_run=false", json=an_event())
    assert answer.status == 201
    assert len((await served.get("/tasks")).json) == 1


# -- the create body -----------------------------------------------------------------------------


@pytest.mark.parametrize("given", [a_new_one, a_second_try, a_new_generation])
async def test_the_create_body_is_the_one_that_is_sent(
    served: Served, given: Callable[[Served], Awaitable[Event]]
) -> None:
    event = await given(served)
    event["Task"] |= {"Cpu": 0.5, "ExposedPorts": {"80/tcp": {}}, "User": "1:1"}
    told = await dry(served, event)
    await served.post(event)
    task = await served.until(event["Task"]["ID"], "ended")
    assert served.engine.containers[task["ContainerID"]].body == told["Create"]


async def test_the_values_of_env_are_not_told(served: Served) -> None:
    event = an_event(Command=["true"], Env={"TOKEN": "sesame", "EMPTY": ""})
    told = await dry(served, event)
    assert told["Create"]["Env"] == ["TOKEN=", "EMPTY="]
    assert "sesame" not in json.dumps(told)
    await served.post(event)
    task = await served.until(event["Task"]["ID"], "ended")
    sent = served.engine.containers[task["ContainerID"]].body
    assert {**sent, "Env": ["TOKEN=", "EMPTY="]} == told["Create"]


async def test_a_stop_creates_nothing(served: Served) -> None:
    assert await dry(served, await a_stop(served)) == {"Create": None, "Objections": []}


# -- every objection -----------------------------------------------------------------------------


async def test_every_objection_is_told_at_once(served: Served) -> None:
    event = an_event(
        ID=await served.is_running(),
        Image="Bad",
        Cpu=0.001,
        Env={"A=B": ""},
        Mounts=[{"Source": "/etc", "Target": "/in"}, {"Source": "/usr", "Target": "/too"}],
    )
    told = await dry(served, event)
    assert [(one["Field"], one["Code"]) for one in told["Objections"]] == [
        ("Task.Image", "bad_field"),
        ("Task.Env", "bad_field"),
        ("Task.Cpu", "bad_field"),
        ("Task.Mounts.Source", "not_allowed"),
        ("Task.Mounts.Source", "not_allowed"),
        ("Task.ID", "spec_changed"),
    ]
    assert all(one["Message"] for one in told["Objections"])
    assert told["Create"]["Image"] == "Bad"


async def test_what_the_machine_lacks_is_told_with_the_reason_the_task_would_fail_with(
    served: Served,
) -> None:
    served.engine.held_ports = {"8080/tcp", "5353/udp"}
    lacking: dict[str, dict[str, Any]] = {
        "image_unavailable": {"Image": "no/such:1", "PullPolicy": "never"},
        "port_taken": {"PortBindings": {"80/tcp": "8080", "53/tcp": "5353"}},
    }
    for code, asked in lacking.items():
        event = an_event(**asked)
        assert codes(await dry(served, event)) == [code]
        assert (await served.post(event)).status == 201
        task = await served.until(event["Task"]["ID"], "ended")
        assert (task["State"], task["Reason"]) == (4, code)


async def test_an_image_that_can_be_pulled_is_no_objection(served: Served) -> None:
    assert codes(await dry(served, an_event(Image="no/such:1"))) == []
    assert codes(await dry(served, an_event(Image=IMAGE, PullPolicy="never"))) == []


async def test_a_task_is_not_in_its_own_way(served: Served) -> None:
    """Its port is taken by itself, and nothing more would be made."""
    asked = {"PortBindings": {"80/tcp": "8080"}}
    task_id = await served.is_running(**asked)
    assert codes(await dry(served, an_event(ID=task_id, **asked))) == []
    assert codes(await dry(served, an_event(**asked))) == ["port_taken"]


async def test_while_the_engine_is_away_that_is_told(served: Served) -> None:
    """The real one is taken all the same, and waits."""
    served.engine.down()
    told = await dry(served, an_event())
    assert codes(told) == ["engine_unavailable"]
    assert told["Create"]["Image"] == IMAGE


async def test_a_worker_that_never_met_its_engine_says_so_once(
    tmp_path: Path, engine: FakeEngine
) -> None:
    engine.down()
    async with serving(tmp_path, engine) as served:
        event = an_event(Cpu=0.001)
        assert codes(await dry(served, event)) == ["bad_field", "engine_unavailable"]
        event = an_event()
        assert agree(await dry(served, event), await served.post(event))


async def test_what_cannot_be_recorded_cannot_be_judged(served: Served) -> None:
    served.store._writer.execute("PRAGMA query_only = ON")
    answer = await served.ask("POST", "/tasks?dry_run=1", json=an_event())
    assert answer.is_error(503, "cannot_record")
    served.store._writer.execute("PRAGMA query_only = OFF")


def test_every_refusal_names_the_field_that_it_is_about() -> None:
    """Those that are not of the task as a whole."""
    assert {kind.code for kind in trial.FIELDS} == {
        *("engine_unavailable", "event_reused", "stale_generation"),
    }
