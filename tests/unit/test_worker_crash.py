"""The worker dies at every await of a life, and on its return the story is the same.

A script is told once without a crash and then once for each thing that is awaited in it (each look,
each action, each write), with a crash just before and just after that is done. What outlives the
crash is the directory and the engine; whoever was not answered asks again.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec import Struct

from keelman.errors import UnknownTask
from keelman.task import EDGES, State, TaskEvent
from keelman.worker.worker import Worker
from tests.unit.given import TASK_ID
from tests.unit.given_wire import OTHER_EVENT_ID, a_delete, an_event
from tests.unit.given_worker import (
    FAILS,
    STUBBORN,
    SUCCEEDS,
    Crash,
    Fuse,
    Machine,
    pass_time,
    settle,
    story,
)
from tests.unit.virtual_time import in_virtual_time

Act = Callable[[Worker], Awaitable[object]]

CRASHES_MOST = 100
MEMORY = Path("/dev/shm")


def send(event: TaskEvent) -> Act:
    return lambda worker: worker.add_task(event)


async def wait(worker: Worker) -> None:
    await pass_time()


class DbLost(Crash):
    """The worker's process ends, and the files of its Db are gone."""


async def lose_db(worker: Worker) -> None:
    raise DbLost


async def cleaned_away(worker: Worker) -> None:
    worker._expired.add(TASK_ID)
    await settle(worker)
    assert worker.db.get(TASK_ID) is None


SCRIPTS: dict[str, Sequence[Act]] = {
    "runs and ends": [send(an_event(command=SUCCEEDS)), settle, wait, settle],
    "runs and fails": [send(an_event(command=FAILS)), settle, wait, settle],
    "fails, is restarted and fails": [
        send(an_event(command=FAILS, restart_policy="on-failure:1")),
        *(settle, wait, settle, wait, settle),
    ],
    "is stopped": [send(an_event()), settle, send(a_delete()), settle],
    "is stopped before it was looked at": [send(an_event()), send(a_delete()), settle],
    "is stopped against its will": [
        send(an_event(command=STUBBORN, stop_timeout=1)),
        *(settle, send(a_delete()), settle),
    ],
    "fails and is asked for again": [
        *(send(an_event(command=FAILS)), settle, wait, settle),
        *(send(an_event(event_id=OTHER_EVENT_ID)), settle),
    ],
    "has no image": [send(an_event(image="nobody/has:it", pull_policy="never")), settle],
    "runs into its Timeout": [send(an_event(timeout=2)), settle, wait, settle],
    "is adopted and stopped": [
        *(send(an_event()), settle, lose_db, settle, send(a_delete()), settle)
    ],
    "ended, and is adopted": [
        send(an_event(command=FAILS, restart_policy="always")),
        *(settle, wait, lose_db, settle),
    ],
    "is cleaned away": [send(an_event(command=FAILS)), settle, wait, settle, cleaned_away],
}


class Told(Struct, frozen=True):
    """What is left when the script is over: of containers, which of those made live and started.

    Without attempts: a start that was cut short begins a new one.
    """

    story: list[str]
    state: State | None
    restarts: int
    live: list[int]
    made: int
    starts: list[int]


async def live(machine: Machine, script: Sequence[Act], fuse: Fuse) -> Worker:
    """Act by act; after a crash a new worker begins, and the act that was cut short is redone."""
    worker = await born(machine, fuse)
    for act in script:
        while True:
            try:
                await act(worker)
                break
            except DbLost:
                machine.lose_db()
                worker = await born(machine, fuse)
                break
            except Crash:
                worker = await born(machine, fuse)
    return worker


async def born(machine: Machine, fuse: Fuse) -> Worker:
    while True:
        try:
            return await machine.met(fuse)
        except Crash:
            continue


def told(machine: Machine, worker: Worker) -> Told:
    try:
        task = worker.get_task(TASK_ID)
    except UnknownTask:
        task = None
    engine = machine.engine
    return Told(
        story=[re.sub(r" #\d+", "", line) for line in story(worker)],
        state=task.state if task else None,
        restarts=task.restart_count if task else 0,
        live=[engine.made.index(engine.made_as[one.id]) for one in engine.live],
        made=len(engine.made),
        starts=[engine.made.index(name) for name in engine.starts],
    )


def check_log(worker: Worker) -> None:
    """I4: the edges of the design, numbered without gaps."""
    moves = worker.db.transitions(0)
    assert [move.seq for move in moves] == list(range(1, len(moves) + 1))
    assert {(move.from_, move.to) for move in moves} <= EDGES


@pytest.fixture
def machines() -> Iterator[Callable[[], Machine]]:
    """New machines, one at a time, in memory where the system has such a place."""
    made: list[Machine] = []
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:

        def new_machine() -> Machine:
            for old in made:
                old.close()
            made.append(Machine(Path(directory) / str(len(made))))
            return made[-1]

        yield new_machine
        made[-1].close()


@pytest.mark.parametrize("late", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@in_virtual_time
async def test_a_crash_at_any_await_changes_no_story(
    machines: Callable[[], Machine], script: Sequence[Act], late: bool
) -> None:
    machine, fuse = machines(), Fuse()
    expected = told(machine, await live(machine, script, fuse))
    assert 0 < fuse.count < CRASHES_MOST
    for number in range(1, fuse.count + 1):
        machine = machines()
        worker = await live(machine, script, Fuse(number, late=late))
        assert told(machine, worker) == expected, f"after a crash at await {number}"
        check_log(worker)
