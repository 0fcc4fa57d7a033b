"""When all is quiet: what the worker says, what was wished, and what really is, agree (I1-I8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from keelman.policy import restart_due
from keelman.task import EDGES, Reason, State, Task, Transition, Wish
from tests.simulation.answers import check_answers
from tests.simulation.causes import check_cause
from tests.simulation.client import id_of
from tests.simulation.engine import short
from tests.simulation.starts import check_starts

if TYPE_CHECKING:
    from tests.simulation.sim import Simulation

SLACK_SECONDS = 5.0
NO_RESTART = {Reason.DEADLINE, Reason.STOPPED}


def check_stuck(sim: Simulation) -> None:
    """I8: a stop that is not done by now is told to be stuck."""
    if sim.process is None:
        return
    for task_id, wish, task in _known(sim):
        asked = wish is not None and wish.stops
        if asked and task and not task.state.ended and task.reason is not Reason.STUCK:
            sim.fails(f"I8: {short(task_id)} was to stop and is {_told(task)}")


def check_world(sim: Simulation) -> None:
    """All invariants, once everything had time to settle."""
    if sim.process is None:
        sim.fails("there is no worker")
        return
    for task_id, wish, task in _known(sim):
        _check_task(sim, task_id, wish, task)
    check_answers(sim)
    _check_log(sim)
    _check_heard(sim)
    _check_containers(sim)
    check_starts(sim)


def _known(sim: Simulation) -> list[tuple[str, Wish | None, Task | None]]:
    assert sim.process is not None
    queue, db = sim.process.worker.queue, sim.process.worker.db
    ids = [id_of(number + 1) for number in range(len(sim.script.tasks))]
    return [(task_id, queue.get(task_id), db.get(task_id)) for task_id in ids]


def _told(task: Task) -> str:
    return f"{task.state.name} #{task.attempt} {task.reason} {task.message[:80]}"


# -- one task ------------------------------------------------------------------------------------


def _check_task(sim: Simulation, task_id: str, wish: Wish | None, task: Task | None) -> None:
    who = short(task_id)
    if task is None:
        if wish is not None:
            sim.fails(f"{who} was wished for and is not on record")
        return
    live = sim.engine.live_of(task_id)
    if task.state.ended and live:
        sim.fails(f"I3: {who} has ended and {len(live)} containers of it live")
    if task.state is State.RUNNING and [one.id for one in live] != [task.container_id]:
        sim.fails(f"I3: {who} is RUNNING and {len(live)} of its containers live")
    if wish is not None and wish.stops and not task.state.ended:
        sim.fails(f"I8: {who} was to stop and is {_told(task)}")
    if wish is not None and wish.seq > task.wish:
        sim.fails(f"{who} does not serve its newest wish: {_told(task)}")
    _check_rest(sim, who, task)
    if wish is not None and not wish.stops:
        _check_end(sim, who, task)


def _check_rest(sim: Simulation, who: str, task: Task) -> None:
    """It is up, has ended, or waits for a time that is to come."""
    if task.state is State.PENDING:
        sim.fails(f"{who} was never taken up")
    if task.state is State.SCHEDULED and task.due < sim.clock() - SLACK_SECONDS:
        sim.fails(
            f"{who} neither starts nor waits: {_told(task)}, due {task.due - sim.clock():.1f}"
        )
    if task.state is State.RUNNING and task.spec.timeout:
        sim.fails(f"{who} runs in spite of its Timeout: {_told(task)}")
    if task.reason is Reason.INTERNAL_ERROR:
        sim.fails(f"{who} is {_told(task)}")


def _check_end(sim: Simulation, who: str, task: Task) -> None:
    """Wished to run, and ended: its policy does not say otherwise."""
    if not task.state.ended or sim.manager.losses or task.reason in NO_RESTART:
        return
    succeeded = task.state is State.COMPLETED
    policy = task.spec.restart_policy
    if restart_due(policy, succeeded=succeeded, failures=task.failures):
        over = task.deadline is not None and (task.finish_time or 0) >= task.deadline
        if not over:
            sim.fails(f"{who} ended against its policy {policy!r}: {_told(task)}")


# -- the log -------------------------------------------------------------------------------------


def _check_log(sim: Simulation) -> None:
    """I4: only edges, no gaps, and each task's Transitions are one chain."""
    assert sim.process is not None
    db = sim.process.worker.db
    moves = db.transitions(0, most=100_000)
    if [move.seq for move in moves] != list(range(1, len(moves) + 1)):
        sim.fails(f"I4: the log's numbers have a gap: {[move.seq for move in moves]}")
    last: dict[str, Transition] = {}
    for move in moves:
        for words in objections(last.get(move.task_id), move):
            sim.fails(words)
        last[move.task_id] = move
        check_cause(sim, move)
    for task_id, move in last.items():
        task = db.get(task_id)
        if task is not None and task.state is not move.to:
            sim.fails(f"I4: {short(task_id)} is {task.state.name}, its last move {move.to.name}")


def objections(before: Transition | None, move: Transition) -> Iterator[str]:
    """What is wrong with a move that follows another of the same task."""
    who = short(move.task_id)
    if (move.from_, move.to) not in EDGES:
        yield f"I4: {who} moved from {move.from_.name} to {move.to.name}"
    if before is None or _another_life(before, move):
        return
    if before.to is not move.from_:
        yield f"I4: {who} was {before.to.name} and moved from {move.from_.name}"
    if move.attempt < before.attempt:
        yield f"I4: {who} went back from attempt {before.attempt} to {move.attempt}"


def _another_life(before: Transition, move: Transition) -> bool:
    """Its record was cleaned away meanwhile, and a container was found."""
    return before.to.ended and move.from_ is State.PENDING


def _check_heard(sim: Simulation) -> None:
    """Whoever follows the log has every Transition, in order."""
    assert sim.process is not None
    db = sim.process.worker.db
    moves = db.transitions(0, most=100_000)
    heard = sim.manager.heard.get(db.log_id, [])
    if heard != moves:
        sim.fails(f"I4: {len(moves)} Transitions are on record, {len(heard)} were heard")


# -- the engine ----------------------------------------------------------------------------------


def _check_containers(sim: Simulation) -> None:
    """I3: each container of ours belongs to a task on record; nobody else's was touched."""
    assert sim.process is not None
    db, engine = sim.process.worker.db, sim.engine
    for one in engine.containers.values():
        task_id = engine.task_of(one.id)
        if task_id and db.get(task_id) is None and not one.name.startswith("renamed"):
            sim.fails(f"I3: {one.name} belongs to no task on record")
    for number in range(len(sim.script.tasks)):
        mine = [one for one in engine.of(id_of(number + 1)) if not one.name.startswith("renamed")]
        task = db.get(id_of(number + 1))
        moving = task is not None and task.state is State.SCHEDULED
        if len(mine) > (2 if moving else 1):
            sim.fails(f"I3: t{number + 1} has {len(mine)} containers")
    for container_id in engine.theirs:
        if container_id not in engine.containers:
            sim.fails("somebody else's container was removed")
