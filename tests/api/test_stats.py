"""`GET /stats`, as a Cube manager decodes it, and `GET /metrics`, as Prometheus scrapes it."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Served, an_event, until
from tests.api.listening import listening

UINT64_MAX = 2**64 - 1
# The fields of goprocinfo's structs that a Cube manager reads or prints.
CUBE: dict[str, set[str]] = {
    "MemStats": {"mem_total", "mem_free", "mem_available"},
    "DiskStats": {"all", "used", "free", "freeInodes"},
    "CpuStats": {
        *("id", "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"),
        *("guest", "guest_nice"),
    },
    "LoadStats": {
        *("last1min", "last5min", "last15min"),
        *("process_running", "process_total", "last_pid"),
    },
}
FLOATS = {"last1min", "last5min", "last15min"}


async def stats(served: Served) -> Any:  # noqa: ANN401  # JSON
    answer = await served.get("/stats")
    assert answer.status == 200
    return answer.json


async def test_a_cube_manager_can_decode_the_machine(served: Served) -> None:
    """Whatever it reads is there, and of Go's type: uint64, but for averages and a name."""
    told = await stats(served)
    for name, fields in CUBE.items():
        assert fields <= told[name].keys(), name
        for field, value in told[name].items():
            if field in FLOATS:
                assert isinstance(value, float)
            elif field == "id":
                assert value == "cpu"
            else:
                assert type(value) is int, field
                assert 0 <= value <= UINT64_MAX, field
    assert told["TaskCount"] == 0


async def test_live_tasks_are_counted_with_what_they_asked_for(served: Served) -> None:
    await served.is_running(Cpu=0.5, Memory=64 << 20)
    await served.is_running(Cpu=0.25)
    await served.has_run("true", Cpu=4.0)
    told = await stats(served)
    assert told["TaskCount"] == 2
    assert told["Asked"] == {"Cpu": 0.75, "Memory": 64 << 20, "Disk": 0}
    capacity = told["Capacity"]
    assert told["Left"] == {
        "Cpu": capacity["Cpu"] - 0.75,
        "Memory": capacity["Memory"] - (64 << 20),
        "Disk": capacity["Disk"],
    }


async def test_a_stopped_task_asks_for_nothing_any_more(served: Served) -> None:
    task_id = await served.is_running(Cpu=0.5)
    await served.delete(f"/tasks/{task_id}")
    await served.until(task_id, "ended")
    told = await stats(served)
    assert (told["TaskCount"], told["Asked"]["Cpu"]) == (0, 0)


@pytest.mark.parametrize("path", ["/stats", "/metrics"])
async def test_nothing_can_be_asked_with(served: Served, path: str) -> None:
    assert (await served.get(f"{path}?x=1")).is_error(400, "bad_field")


# -- figures -------------------------------------------------------------------------------------


async def figures(served: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = await served.get("/metrics")
    assert answer.status == 200
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(answer.body.decode())
        for one in family.samples
    }


async def figure(served: Served, name: str, **labels: str) -> float:
    return (await figures(served)).get((f"keelman_{name}", frozenset(labels.items())), 0.0)


async def answered(served: Served, method: str, route: str, status: str) -> float:
    labels = {"method": method, "route": route, "status": status}
    return await figure(served, "http_requests_total", **labels)


async def test_figures_come_in_prometheus_own_format(served: Served) -> None:
    answer = await served.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE keelman_tasks gauge\n" in answer.body


async def test_a_task_is_in_the_figures(served: Served) -> None:
    await served.is_running()
    assert await figure(served, "tasks", state="RUNNING") == 1
    assert await figure(served, "wishes_total", wants="RUNNING") == 1
    assert await figure(served, "engine_requests_total", call="create", outcome="done") == 1
    assert await figure(served, "task_phase_seconds_count", phase="start") == 1
    assert await figure(served, "store_writes_total") > 0
    assert await figure(served, "engine_up") == 1


async def test_requests_are_counted_by_route_and_never_by_path(served: Served) -> None:
    """With and without a trailing slash."""
    task_id = await served.is_running()
    before = await answered(served, "GET", "/tasks/{taskID}", "200")
    await served.get(f"/tasks/{task_id}")
    await served.get(f"/tasks/{task_id}/")
    assert await answered(served, "GET", "/tasks/{taskID}", "200") == before + 2
    await served.get("/tasks/no-id")
    assert await answered(served, "GET", "/tasks/{taskID}", "400") == 1
    text = (await served.get("/metrics")).body.decode()
    assert task_id not in text
    assert "no-id" not in text


async def test_what_a_stranger_makes_up_is_one_figure(served: Served) -> None:
    """Neither paths nor methods of his become labels."""
    for number in range(3):
        await served.get(f"/nowhere/{number}")
    for method in ("PROPFIND", "SEARCH", "PURGE", "PUT"):
        await served.ask(method, "/tasks")
    assert await answered(served, "GET", "none", "404") == 3
    assert await answered(served, "other", "none", "405") == 3
    assert await answered(served, "PUT", "none", "405") == 1


async def test_refusals_and_bugs_are_counted_with_their_status(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await served.post({"ID": "x"})).status == 400
    assert await answered(served, "POST", "/tasks", "400") == 1
    monkeypatch.setattr(served.worker, "add_task", None)
    assert (await served.post(an_event())).status == 500
    assert await answered(served, "POST", "/tasks", "500") == 1


async def test_answers_are_timed_but_streams_are_not(served: Served) -> None:
    task_id = await served.has_run("talk-and-fail")
    await served.get("/tasks")
    await served.get(f"/tasks/{task_id}/logs")
    timed = {"method": "GET", "route": "/tasks"}
    assert await figure(served, "http_request_seconds_count", **timed) == 1
    assert await answered(served, "GET", "/tasks/{taskID}/logs", "200") == 1
    streamed = {"method": "GET", "route": "/tasks/{taskID}/logs"}
    assert await figure(served, "http_request_seconds_count", **streamed) == 0


async def test_listeners_are_counted_while_they_listen(served: Served) -> None:
    assert await figure(served, "event_listeners") == 0
    async with listening(served), listening(served):
        assert await figure(served, "event_listeners") == 2
    metrics = served.worker.metrics
    await until(lambda: metrics.registry.get_sample_value("keelman_event_listeners") == 0)
    assert await answered(served, "GET", "/events", "cancelled") == 2


async def test_a_request_whose_figure_cannot_be_taken_is_answered(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.worker.metrics, "_answers", None)
    assert (await served.get("/livez")).status == 200
    async with listening(served) as listener:
        task_id = await served.run("true")
        assert (await listener.events(1))[0].data["TaskID"] == task_id
