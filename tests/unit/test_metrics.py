"""The worker's figures: each counts what it says, none changes or breaks what it measures."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from keelman.errors import (
    CannotRecord,
    ContainerGone,
    EngineAway,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    NameTaken,
)
from keelman.metrics import Metrics, harmless
from keelman.runtime import LogOptions
from keelman.runtime.fake import FakeRuntime
from keelman.runtime.measured import Call, MeasuredRuntime, outcome_of
from keelman.seen import Create
from keelman.store import FILE_NAME, Store
from keelman.task import State, Task, Transition
from keelman.worker.levels import Levels
from keelman.worker.limits import Limits
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID, a_task, a_wish
from tests.unit.given_store import new_id, put
from tests.unit.given_wire import a_delete, an_event
from tests.unit.given_worker import (
    NAME,
    FusedStore,
    Machine,
    at_work,
    clock,
    meet,
    pass_time,
    send,
    settle,
    state_of,
)
from tests.unit.virtual_time import in_virtual_time

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Clock:
    return Clock()


@pytest.fixture
def metrics(time: Clock) -> Metrics:
    return Metrics(time)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """A figure, 0 when it was never taken."""
    return metrics.registry.get_sample_value(f"keelman_{name}", labels) or 0.0


def a_move(from_: State, to: State, task_id: str = TASK_ID) -> Transition:
    return Transition(task_id=task_id, from_=from_, to=to, time=0.0)


# -- what happened -------------------------------------------------------------------------------


def test_wishes_and_moves_are_counted_by_what_they_are(metrics: Metrics) -> None:
    metrics.accepted(a_wish())
    metrics.accepted(a_wish(COMPLETED))
    metrics.moved(a_move(PENDING, SCHEDULED))
    metrics.moved(a_move(PENDING, SCHEDULED))
    assert value(metrics, "wishes_total", wants="RUNNING") == 1
    assert value(metrics, "wishes_total", wants="COMPLETED") == 1
    assert value(metrics, "transitions_total", **{"from": "PENDING", "to": "SCHEDULED"}) == 2


def phase(metrics: Metrics, name: str) -> tuple[float, float]:
    """How many were timed, and all their seconds."""
    return (
        value(metrics, "task_phase_seconds_count", phase=name),
        round(value(metrics, "task_phase_seconds_sum", phase=name), 6),
    )


@pytest.mark.parametrize("before", [PENDING, COMPLETED, FAILED])
def test_a_task_is_queued_from_its_wish_until_it_is_taken_up(
    metrics: Metrics, time: Clock, before: State
) -> None:
    metrics.accepted(a_wish())
    time.now += 2
    metrics.moved(a_move(before, SCHEDULED))
    assert phase(metrics, "queued") == (1, 2)


@pytest.mark.parametrize("before", [SCHEDULED, RUNNING])
def test_a_restart_is_not_queued(metrics: Metrics, time: Clock, before: State) -> None:
    """A wish for a live task, which changed its Generation, is not what it waited for."""
    metrics.accepted(a_wish())
    metrics.moved(a_move(before, SCHEDULED))
    metrics.moved(a_move(PENDING, SCHEDULED))
    assert phase(metrics, "queued") == (0, 0)


def test_a_stop_is_not_queued(metrics: Metrics) -> None:
    metrics.accepted(a_wish(COMPLETED))
    metrics.moved(a_move(PENDING, SCHEDULED))
    assert phase(metrics, "queued") == (0, 0)


def test_a_start_lasts_from_its_call_until_the_container_is_seen_to_run(
    metrics: Metrics, time: Clock
) -> None:
    metrics.called(Call(name="start", outcome="done", seconds=1.0, task_id=TASK_ID))
    time.now += 3
    metrics.moved(a_move(SCHEDULED, RUNNING))
    assert phase(metrics, "start") == (1, 4)


def test_a_phase_whose_begin_is_not_known_is_left_out(metrics: Metrics) -> None:
    """As after a restart of the worker, a start that failed, or one of an earlier attempt."""
    metrics.moved(a_move(PENDING, SCHEDULED))
    metrics.moved(a_move(SCHEDULED, RUNNING))
    metrics.called(Call(name="start", outcome="failed", seconds=1.0, task_id=TASK_ID))
    metrics.moved(a_move(SCHEDULED, RUNNING))
    metrics.called(Call(name="start", outcome="done", seconds=1.0, task_id=TASK_ID))
    metrics.moved(a_move(SCHEDULED, SCHEDULED))
    metrics.moved(a_move(SCHEDULED, RUNNING))
    assert phase(metrics, "queued") == phase(metrics, "start") == (0, 0)


@pytest.mark.parametrize("call", ["create", "pull"])
def test_creates_and_pulls_that_are_done_are_phases(metrics: Metrics, call: str) -> None:
    metrics.called(Call(name=call, outcome="done", seconds=2.0))
    metrics.called(Call(name=call, outcome="failed", seconds=9.0))
    assert phase(metrics, call) == (1, 2)


def test_calls_are_counted_by_what_came_of_them_and_timed(metrics: Metrics) -> None:
    metrics.called(Call(name="look", outcome="done", seconds=0.5))
    metrics.called(Call(name="look", outcome="away", seconds=1.5))
    assert value(metrics, "engine_requests_total", call="look", outcome="done") == 1
    assert value(metrics, "engine_requests_total", call="look", outcome="away") == 1
    assert value(metrics, "engine_request_seconds_sum", call="look") == 2


def test_a_stream_is_counted_and_not_timed(metrics: Metrics) -> None:
    metrics.called(Call(name="logs", outcome="done", seconds=None))
    assert value(metrics, "engine_requests_total", call="logs", outcome="done") == 1
    assert value(metrics, "engine_request_seconds_count", call="logs") == 0


def test_two_workers_have_figures_of_their_own(time: Clock) -> None:
    """And leave alone those that other code in the process may have."""
    one, other = Metrics(time), Metrics(time)
    one.accepted(a_wish())
    assert value(other, "wishes_total", wants="RUNNING") == 0
    assert REGISTRY.get_sample_value("keelman_wishes_total", {"wants": "RUNNING"}) is None


def test_a_figure_that_cannot_be_taken_fails_nothing() -> None:
    """Whatever goes wrong."""

    @harmless
    def broken(_number: int) -> None:
        raise LookupError("a bug")

    broken(1)


@pytest.mark.parametrize(
    "record",
    [
        lambda metrics: metrics.accepted(None),
        lambda metrics: metrics.moved(None),
        lambda metrics: metrics.called(None),
        lambda metrics: metrics.committed(None, None),
        lambda metrics: metrics.listening("no number"),
    ],
    ids=["accepted", "moved", "called", "committed", "listening"],
)
def test_nothing_that_takes_a_figure_raises(
    metrics: Metrics, record: Callable[[Metrics], None]
) -> None:
    record(metrics)


# -- the engine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EngineAway(), "away"),
        (EngineBusy(), "busy"),
        (EngineFailed(), "failed"),
        (EngineRefused(), "refused"),
        (NameTaken(), "refused"),
        (ContainerGone(), "gone"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "done"),
        (LookupError(), "broken"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_what_came_of_a_call_is_a_word_of_a_closed_list(error: BaseException, outcome: str) -> None:
    assert outcome_of(error) == outcome


class Refusing(FakeRuntime):
    """Will not do anything, and breaks off what it says."""

    async def do(self, task: Task, action: object) -> None:
        raise EngineRefused("no")

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise EngineAway("gone")


class Heard(list[Call]):
    """What was told of calls."""

    @property
    def short(self) -> list[tuple[str, str]]:
        return [(call.name, call.outcome) for call in self]


@in_virtual_time
async def test_answers_and_errors_of_the_engine_go_through_as_they_are(machine: Machine) -> None:
    heard = Heard()
    runtime = MeasuredRuntime(Refusing(machine.engine, NAME), clock, heard.append)
    assert await runtime.identity() == machine.engine.identity
    assert await runtime.rows() == []
    with pytest.raises(EngineRefused, match="no"):
        await runtime.do(a_task(), Create(attempt=1))
    chunks = runtime.logs("c", LogOptions())
    assert await anext(chunks) == b"one"
    with pytest.raises(EngineAway, match="gone"):
        await anext(chunks)
    assert heard.short == [
        ("identity", "done"),
        ("rows", "done"),
        ("create", "refused"),
        ("logs", "away"),
    ]
    assert heard[2].task_id == TASK_ID


@in_virtual_time
async def test_a_call_takes_the_engines_time(machine: Machine) -> None:
    machine.engine.latency["rows"] = 2.5
    heard = Heard()
    await MeasuredRuntime(FakeRuntime(machine.engine, NAME), clock, heard.append).rows()
    assert heard[0].seconds == pytest.approx(2.5)


@in_virtual_time
async def test_a_reader_that_has_enough_is_no_failure_and_closes_the_stream(
    machine: Machine,
) -> None:
    heard = Heard()
    runtime = MeasuredRuntime(Refusing(machine.engine, NAME), clock, heard.append)
    async with aclosing(runtime.logs("c", LogOptions())) as chunks:
        assert await anext(chunks) == b"one"
    assert heard.short == [("logs", "done")]


@in_virtual_time
async def test_the_stream_of_changes_is_counted_once_it_is_open(machine: Machine) -> None:
    """What whoever reads it raises is not the engine's, and comes out as it is."""
    heard = Heard()
    runtime = MeasuredRuntime(FakeRuntime(machine.engine, NAME), clock, heard.append)
    with pytest.raises(LookupError, match="a reader's"):
        await broken_reading(runtime)
    assert heard.short == [("changes", "done")]


async def broken_reading(runtime: MeasuredRuntime) -> None:
    async with runtime.changes():
        raise LookupError("a reader's")


# -- a worker ------------------------------------------------------------------------------------


class Measured:
    """A worker that is put together as a process does it."""

    def __init__(self, machine: Machine) -> None:
        self.metrics = Metrics(clock)
        self.store = FusedStore(machine.directory, new_id)
        self.store._committed = self.metrics.committed
        runtime = MeasuredRuntime(FakeRuntime(machine.engine, NAME), clock, self.metrics.called)
        self.worker = Worker(
            store=self.store,
            runtime=runtime,
            clock=clock,
            limits=Limits(start_slots=1),
            metrics=self.metrics,
        )

    def scraped(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All that a scrape shows."""
        text = self.metrics.text(Levels(self.worker)).decode()
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }

    def level(self, name: str, **labels: str) -> float:
        return self.scraped()[f"keelman_{name}", tuple(sorted(labels.items()))]


@pytest.fixture
def measured(machine: Machine) -> Iterator[Measured]:
    measured = Measured(machine)
    yield measured
    measured.store.close()


@in_virtual_time
async def test_a_tasks_way_up_is_in_the_figures(machine: Machine, measured: Measured) -> None:
    machine.engine.latency.update(create=2.0, start=3.0)
    await meet(measured.worker)
    await measured.worker.add_task(an_event())
    assert measured.level("queue_waiting") == 1
    assert measured.level("tasks", state="PENDING") == 1
    await pass_time(1)
    await settle(measured.worker)
    assert measured.level("queue_waiting") == 0
    assert measured.level("tasks", state="PENDING") == 0
    assert measured.level("tasks", state="RUNNING") == 1
    assert phase(measured.metrics, "queued") == (1, 1.0)
    assert phase(measured.metrics, "create") == (1, 2.0)
    assert phase(measured.metrics, "start") == (1, 3.0)
    for call in ("create", "start"):
        assert value(measured.metrics, "engine_requests_total", call=call, outcome="done") == 1
    moves = {"from": "SCHEDULED", "to": "RUNNING"}
    assert value(measured.metrics, "transitions_total", **moves) == 1


@in_virtual_time
async def test_a_worker_whose_figures_cannot_be_taken_works_as_any_other(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every one of them."""
    for name in ("_wishes", "_transitions", "_engine_calls", "_commit_seconds", "_phases"):
        monkeypatch.setattr(measured.metrics, name, None)
    await meet(measured.worker)
    await measured.worker.add_task(an_event())
    await settle(measured.worker)
    assert state_of(measured.worker) is RUNNING
    await measured.worker.add_task(a_delete())
    await settle(measured.worker)
    assert state_of(measured.worker) is COMPLETED


@in_virtual_time
async def test_lanes_and_start_slots_are_shown_as_they_are(
    machine: Machine, measured: Measured
) -> None:
    machine.engine.latency.update(create=10.0)
    async with at_work(measured.worker):
        await send(measured.worker, 1, 2, 3)
        await pass_time(1)
        assert measured.level("start_slots_held") == 1
        assert measured.level("start_slots_waiting") == 2
        assert measured.level("lanes_active") == 1
        await pass_time(60)
        assert measured.level("start_slots_held") == 0
        assert measured.level("start_slots_waiting") == 0
        assert measured.level("lanes_active") == 0


@in_virtual_time
async def test_the_tasks_of_the_event_loop_come_and_go_with_the_work(
    machine: Machine, measured: Measured
) -> None:
    machine.engine.latency.update(create=10.0)
    async with at_work(measured.worker):
        await pass_time(1)
        at_rest = measured.level("asyncio_tasks")
        await send(measured.worker, 1)
        await pass_time(1)
        assert measured.level("asyncio_tasks") == at_rest + 1
        await pass_time(60)
        assert measured.level("asyncio_tasks") == at_rest


@in_virtual_time
async def test_pulls_wait_until_they_are_over(machine: Machine, measured: Measured) -> None:
    machine.engine.latency["pull"] = 10.0
    async with at_work(measured.worker):
        await measured.worker.add_task(an_event(image="nginx:2"))
        await pass_time(1)
        assert measured.level("pulls_waiting") == 1
        await pass_time(60)
        assert measured.level("pulls_waiting") == 0
        assert phase(measured.metrics, "pull") == (1, 10.0)


@in_virtual_time
async def test_the_engine_is_up_when_it_answers_and_is_the_right_one(measured: Measured) -> None:
    assert measured.level("engine_up") == 0
    await meet(measured.worker)
    assert measured.level("engine_up") == 1
    measured.worker.engine_is("no answer")
    assert measured.level("engine_up") == 0


@in_virtual_time
async def test_a_bug_in_a_lane_is_counted(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    await meet(measured.worker)
    await measured.worker.add_task(an_event())
    monkeypatch.setattr(measured.worker, "look", None)
    await measured.worker.run_task_safely(TASK_ID)
    assert value(measured.metrics, "internal_errors_total") == 1


@in_virtual_time
async def test_every_state_has_a_figure_from_the_beginning(measured: Measured) -> None:
    """So that an alert has something to compare with."""
    assert [measured.level("tasks", state=state.name) for state in State] == [0] * len(State)


@in_virtual_time
async def test_a_scrape_goes_on_when_the_database_does_not(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is when it is needed. What the Db would have told is left out, not made up."""

    def broken() -> None:
        raise CannotRecord("the disk is gone")

    monkeypatch.setattr(measured.worker.db, "counts", broken)
    names = {name for name, _ in measured.scraped()}
    assert "keelman_engine_up" in names
    assert "keelman_tasks" not in names
    assert "keelman_queue_waiting" not in names


@in_virtual_time
async def test_a_scrape_tells_of_the_process_and_not_when_counting_began(
    measured: Measured,
) -> None:
    measured.metrics.accepted(a_wish())
    names = {name for name, _ in measured.scraped()}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= names
    assert not [name for name in names if name.endswith("_created")]


# -- the store -----------------------------------------------------------------------------------


async def test_writes_are_counted_by_the_batch_and_lost_ones_apart(
    tmp_path: Path, metrics: Metrics
) -> None:
    """One that is wrong in itself is not lost: the database did what it could."""
    store = Store(tmp_path, new_id, metrics.committed)
    await asyncio.gather(store.write(put("a")), store.write(put("b")))
    batches = value(metrics, "store_commit_seconds_count")
    assert batches in (1, 2)
    assert value(metrics, "store_writes_total") == 2
    with pytest.raises(Exception, match="UNIQUE"):
        await store.write(put("a"))
    assert value(metrics, "store_writes_lost_total") == 0
    (tmp_path / FILE_NAME).rename(tmp_path / "moved")
    with pytest.raises(CannotRecord):
        await store.write(put("c"))
    assert value(metrics, "store_writes_lost_total") == 1
    assert value(metrics, "store_writes_total") == 4
    assert value(metrics, "store_commit_seconds_count") == batches + 2
    store.close()


# -- the docs ------------------------------------------------------------------------------------


@in_virtual_time
async def test_every_figure_is_documented_with_its_type_and_labels(measured: Measured) -> None:
    """And none that there is not."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| `keelman_")]
    documented = {(name.strip(" `"), kind.strip()) for name, kind, _ in rows}
    text = measured.metrics.text(Levels(measured.worker)).decode()
    kinds = re.findall(r"^# TYPE (keelman_\w+) (\w+)$", text, re.MULTILINE)
    assert documented == set(kinds)
    labels = {row[0].strip(" `"): tuple(re.findall(r"`(\w+)`", row[2])) for row in rows}
    for name in ("_wishes", "_transitions", "_internal_errors", "_phases", "_engine_calls"):
        figure = getattr(measured.metrics, name)
        (family,) = figure.collect()
        full = family.name + ("_total" if family.type == "counter" else "")
        assert labels[full] == figure._labelnames


def test_every_outcome_is_documented() -> None:
    """In the words of the code."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    (item,) = re.findall(r"^- `outcome`: (.*?)(?=^- )", page, re.MULTILINE | re.DOTALL)
    errors = (EngineAway, EngineBusy, EngineFailed, EngineRefused, ContainerGone, KeyError)
    words = {"done", "cancelled", *(outcome_of(error()) for error in errors)}
    assert set(re.findall(r"`(\w+)`", item)) == words
