"""A worker and its user: whatever is asked and whatever happens, it is as the user expects.

The real Queue, Db, Worker and Watch on the engine in memory, in virtual time, against `Model`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from keelman.db import EVERYTHING
from keelman.errors import KeelmanError, UnknownTask
from keelman.task import EDGES, State, TaskEvent, Transition
from keelman.worker.limits import Limits
from keelman.worker.watch import RETIRE_SECONDS, Watch
from keelman.worker.worker import Worker
from tests.simulation.model import ENDED, OK, POLICIES, SPECS, WITHOUT_IMAGE, Body, Container, Model
from tests.unit.given_wire import an_event, an_id
from tests.unit.given_worker import NAME, STUBBORN, Crash, Fuse, FusedRuntime, FusedStore, Machine
from tests.unit.virtual_time import VirtualLoop, the_loop
from tests.unit.worlds import REPEATABLE

T = TypeVar("T")

MEMORY = Path("/dev/shm")
ROUND_SECONDS = 15.0  # longer than any grace here
ROUNDS_MOST = 60  # more than the longest back-off takes
ASKED: dict[str, dict[str, Any]] = {
    **{spec: {"restart_policy": policy} for spec, policy in POLICIES.items()},
    "stubborn": {"command": STUBBORN},
    WITHOUT_IMAGE: {"image": "nobody/has:it", "pull_policy": "never"},
}

TASK_IDS = st.sampled_from([an_id(number) for number in (1, 2, 3)])
MORE = st.sampled_from([0, 0, 0, 1, -1])  # than the Generation that is known
ONE_OF_MANY = st.integers(0, 1000)


def event_of(event_id: str | None, body: Body) -> TaskEvent:
    what, task_id, spec, generation = body
    given: dict[str, Any] = {"event_id": event_id, "task_id": task_id, "generation": generation}
    if what == "stop":
        return an_event(State.COMPLETED, **given)
    return an_event(**given, **{"name": spec, **ASKED[spec]})


def one_of(things: list[T], which: int) -> T:
    return things[which % len(things)]


class Machinery:
    """A worker with all its loops on an engine, which dies and comes back; asked from outside."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self._machine = Machine(Path(self._directory.name))
        self.engine = self._machine.engine
        self.engine.latency = dict.fromkeys(("look", "create", "start", "signal", "remove"), 0.2)
        self.keeps = 1000
        self.do(self._begin())

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Have something done; then no thread is at work, and a worker that died is back."""
        result = self._runner.run(what)
        self._runner.run(self._quiet())
        return result

    async def _quiet(self) -> None:
        while the_loop().busy:  # noqa: ASYNC110  # no event tells: a thread is not the loop's
            await asyncio.sleep(0)
        if self._life.done():
            await self.dies()
            await self._quiet()

    def close(self) -> None:
        self._runner.run(self._end())
        self._runner.close()
        self._machine.close()
        self._directory.cleanup()

    # -- coming and going ------------------------------------------------------------------------

    async def _begin(self) -> None:
        self.worker = self._machine.worker(keep_ended_tasks=self.keeps)
        self._life = asyncio.create_task(self._live(self.worker))
        await asyncio.sleep(0.1)  # it meets the engine, if that is there

    async def _live(self, worker: Worker) -> None:
        watch = Watch(worker, NAME, lambda engine_id: None)
        try:
            async with asyncio.TaskGroup() as group:
                for loop in watch.loops:
                    group.create_task(loop())
        except BaseExceptionGroup as died:
            if died.subgroup(Crash) is None:
                raise

    async def _end(self) -> None:
        """Nothing is cleaned up: the loops just go no further."""
        self._life.cancel()
        await asyncio.wait([self._life])
        if not self._life.cancelled():
            self._life.result()

    async def dies(self) -> None:
        await self._end()
        await self._begin()

    def dies_at(self, number: int, *, late: bool) -> None:
        """The worker will die at the n-th thing it awaits from now."""
        runtime, store = self.worker.runtime, self.worker.db._store
        assert isinstance(runtime, FusedRuntime)
        assert isinstance(store, FusedStore)
        runtime._fuse = store.fuse = Fuse(number, late=late)

    # -- asking ----------------------------------------------------------------------------------

    async def send(self, event: TaskEvent) -> tuple[str, bytes]:
        """OK and the answer, or the code of the error. Who gets no answer asks again."""
        while True:
            try:
                return OK, await self.worker.add_task(event)
            except KeelmanError as error:
                return error.code, b""
            except Crash:
                await self.dies()

    async def settle(self) -> None:
        for _ in range(ROUNDS_MOST):
            await asyncio.sleep(ROUND_SECONDS)
            if self._life.done():
                await self.dies()
            elif self._at_rest():
                return
        raise AssertionError("it never comes to rest")

    def _at_rest(self) -> bool:
        lanes = self.worker.lanes
        busy = lanes.active or lanes._timers or self.worker.queue.waiting()
        return not busy and not self.worker.engine_trouble

    async def expire(self) -> None:
        """What has ended is let go of, as if its time were over."""
        self.keeps = 0  # also by a worker that comes after
        self.worker.limits = Limits(keep_ended_tasks=0)
        while self.worker.db.expired(0.0, keep=0, most=1):
            await asyncio.sleep(RETIRE_SECONDS)
            if self._life.done():
                await self.dies()
        self.keeps = 1000
        self.worker.limits = Limits(keep_ended_tasks=1000)

    async def ends(self, task_id: str, how: Container) -> None:
        (one,) = self.live(task_id)
        if isinstance(how, int):
            self.engine.exit(one, how)
        else:
            self.engine.vanish(one)

    def live(self, task_id: str) -> list[str]:
        """Ids of the task's containers whose process lives."""
        return [one.id for one in self.engine.live if task_id in one.name]

    def listed(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = json.loads(self.worker.get_tasks(EVERYTHING).body)
        return told

    def log(self) -> list[Transition]:
        return self.worker.db.transitions(0, most=100_000)


class WorkerAndUser(RuleBasedStateMachine):
    """Rules are what may happen, invariants what the user sees after each."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.real = Machinery()
        self.answers: dict[str, bytes] = {}
        self.is_up = True
        self._numbers = count(1000)

    def teardown(self) -> None:
        self.real.close()

    # -- asked -----------------------------------------------------------------------------------

    def send(self, event_id: str | None, body: Body) -> None:
        self._settle_what_races()
        expected = self.model.send(event_id, body)
        answer, told = self.real.do(self.real.send(event_of(event_id, body)))
        assert answer == expected, f"{body} was answered {answer}"
        if answer == OK and event_id is not None:
            assert self.answers.setdefault(event_id, told) == told, "another answer than before"
        if body[2] == WITHOUT_IMAGE:
            self._settle_what_races()

    def _settle_what_races(self) -> None:
        """Where an answer hangs on whether a task has ended by now, the user waits for that."""
        racing = [task["stopped"] or task["spec"] == WITHOUT_IMAGE for task in self._moving()]
        if any(racing) and self.is_up:
            self.settle()

    def _moving(self) -> list[Any]:
        return [task for task in self.model.tasks.values() if task["moving"]]

    @rule(task_id=TASK_IDS, spec=st.sampled_from(["the same"] * 4 + SPECS), more=MORE)
    def run_it(self, task_id: str, spec: str, more: int) -> None:
        task = self.model.tasks.get(task_id)
        if spec == "the same":
            spec = task["spec"] if task else SPECS[0]
        self.send(self._new_id(), ("run", task_id, spec, self._generation(task_id, more)))

    @rule(task_id=TASK_IDS, more=st.none() | MORE, deletes=st.booleans())
    def stop_it(self, task_id: str, more: int | None, deletes: bool) -> None:
        generation = 0 if more is None else self._generation(task_id, more)
        self.send(None if deletes else self._new_id(), ("stop", task_id, "", generation))

    def _new_id(self) -> str:
        return an_id(next(self._numbers))

    def _generation(self, task_id: str, more: int) -> int:
        task = self.model.tasks.get(task_id)
        return max((task["generation"] if task else 0) + more, 0)

    @precondition(lambda self: self.model.events)
    @rule(which=ONE_OF_MANY)
    def send_an_event_again(self, which: int) -> None:
        event_id, body = self._one_sent(which)
        self.send(event_id, body)

    @precondition(lambda self: self.model.events)
    @rule(which=ONE_OF_MANY, task_id=TASK_IDS, spec=st.sampled_from(SPECS))
    def use_an_events_id_for_something_else(self, which: int, task_id: str, spec: str) -> None:
        event_id, _ = self._one_sent(which)
        self.send(event_id, ("run", task_id, spec, 0))

    def _one_sent(self, which: int) -> tuple[str, Body]:
        return one_of(list(self.model.events.items()), which)

    # -- what happens ----------------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule()
    def settle(self) -> None:
        self.real.do(self.real.settle())
        self.model.settle()

    @rule(seconds=st.sampled_from([0.1, 0.25, 0.4, 1.0]))
    def a_moment_passes(self, seconds: float) -> None:
        self.real.do(asyncio.sleep(seconds))

    @precondition(lambda self: not self.is_up)
    @rule()
    def time_passes_without_an_engine(self) -> None:
        self.real.do(asyncio.sleep(600))

    @precondition(lambda self: self._running())
    @rule(which=ONE_OF_MANY, how=st.sampled_from([0, 3, 3, "gone"]))
    def a_container_ends(self, which: int, how: Container) -> None:
        task_id = one_of(self._running(), which)
        self.real.do(self.real.ends(task_id, how))
        self.model.container_ends(task_id, how)
        if self.is_up:
            self.settle()

    def _running(self) -> list[str]:
        """Tasks whose container runs for certain."""
        return [
            task_id
            for task_id, task in self.model.tasks.items()
            if task["container"] == "runs" and not (task["moving"] and self.is_up)
        ]

    @precondition(lambda self: self.is_up)
    @rule()
    def the_engine_goes_away(self) -> None:
        self._settle_what_races()
        self.is_up = False
        self.real.engine.down()

    @precondition(lambda self: not self.is_up)
    @rule()
    def the_engine_comes_back(self) -> None:
        self.is_up = True
        self.real.engine.up()
        self.settle()

    @rule()
    def the_worker_dies(self) -> None:
        self.real.do(self.real.dies())

    @rule(number=st.integers(1, 12), late=st.booleans())
    def the_worker_will_die(self, number: int, late: bool) -> None:
        self.real.dies_at(number, late=late)

    @precondition(lambda self: self.is_up)
    @rule()
    def what_has_ended_is_let_go_of(self) -> None:
        self.settle()
        self.real.do(self.real.expire())
        self.model.expire()

    # -- what the user sees ----------------------------------------------------------------------

    @invariant()
    def every_task_that_was_accepted_is_listed_as_it_is(self) -> None:
        listed = self.real.listed()
        assert [task["ID"] for task in listed] == list(self.model.tasks)
        for task in listed:
            self._check(task)

    def _check(self, told: dict[str, Any]) -> None:
        task = self.model.tasks[told["ID"]]
        state = State(told["State"]).name
        assert (told["Name"], told["Generation"]) == (task["spec"], task["generation"])
        if task["moving"]:
            assert state not in ENDED or (task["stopped"] and state == "COMPLETED")
        else:
            assert (state, told["Reason"]) == (task["state"], task["reason"])

    @invariant()
    def a_single_task_is_told_of_as_in_the_list(self) -> None:
        for task in self.real.listed():
            assert self.real.worker.get_task(task["ID"]).state == task["State"]
        for task_id in self.model.buried:
            with pytest.raises(UnknownTask):
                self.real.worker.get_task(task_id)

    @invariant()
    def no_more_runs_than_was_asked_for(self) -> None:
        started = self.real.engine.starts
        for task_id, task in self.model.tasks.items():
            lives = len(self.real.live(task_id))
            assert lives <= 1
            assert sum(task_id in name for name in started) <= task["starts_most"]
            if self.is_up and not task["moving"]:
                assert lives == (task["state"] == "RUNNING")

    @invariant()
    def the_log_has_no_holes_and_only_legal_moves(self) -> None:
        log = self.real.log()
        assert [move.seq for move in log] == list(range(1, len(log) + 1))
        for task_id in {move.task_id for move in log}:
            moves = [move for move in log if move.task_id == task_id]
            assert moves[0].from_ is State.PENDING
            assert all(one.to is after.from_ for one, after in pairwise(moves))
            assert {(move.from_, move.to) for move in moves} <= EDGES


def test_a_worker_does_what_its_user_expects() -> None:
    run_state_machine_as_test(
        WorkerAndUser,
        settings=settings(
            REPEATABLE,
            max_examples=60,
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no failure
        ),
    )
