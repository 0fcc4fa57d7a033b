"""What the manager was told holds: I2, I8, and the order of wishes."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from keelman.task import State
from tests.simulation.client import Answer
from tests.simulation.engine import short

if TYPE_CHECKING:
    from tests.simulation.sim import Simulation


def check_answers(sim: Simulation) -> None:
    """What was acknowledged is known, and what was asked for last is what became of it."""
    last: dict[str, Answer] = {}
    for answer in _accepted(sim):
        if answer.stops:
            _check_failures(sim, answer, _next_run(sim, answer))
        _check_known(sim, answer)
        before = last.get(answer.event.task_id)
        if before is not None:
            _check_order(sim, before, answer)
        last[answer.event.task_id] = answer
    for answer in last.values():
        _check_last(sim, answer)


def _accepted(sim: Simulation) -> Iterator[Answer]:
    """Each event that was accepted, once: sent again it gets the same answer, and means nothing."""
    seen: set[str] = set()
    for answer in sim.manager.answers:
        if answer.accepted and answer.event.id not in seen:
            seen.add(answer.event.id or "")
            seen.discard("")
            yield answer


def _next_run(sim: Simulation, stop: Answer) -> float:
    """When it was asked to run once more, at the earliest."""
    later = [
        one.since
        for one in sim.manager.answers
        if one.event.task_id == stop.event.task_id and not one.stops and one.at >= stop.at
    ]
    return min(later, default=inf)


def _check_known(sim: Simulation, answer: Answer) -> None:
    assert sim.process is not None
    db, queue = sim.process.worker.db, sim.process.worker.queue
    event = answer.event
    if db.buried(event.task_id):
        return
    if queue.get(event.task_id) is None and db.get(event.task_id) is None:
        sim.fails(f"I2: {short(event.task_id)} was acknowledged and is not known")
    if event.id is not None and not queue.has_seen(event):
        sim.fails(f"I2: an acknowledged event for {short(event.task_id)} is not known")


def _check_order(sim: Simulation, before: Answer, after: Answer) -> None:
    who, lowest = short(after.event.task_id), before.event.generation
    meant = after.event.generation or (0 if after.stops else -1)
    if meant and meant < lowest and lowest > 0:
        sim.fails(f"{who}: Generation {meant} was accepted after {lowest}")
    same = before.event.generation in (0, after.event.generation)
    if before.stops and not after.stops and same and not _ended_by(sim, after):
        sim.fails(f"{who}: a stop was taken back")


def _ended_by(sim: Simulation, answer: Answer) -> bool:
    """Whether its task had ended when an event for it was, or may have been, accepted."""
    assert sim.process is not None
    if sim.manager.losses:
        return True
    moves = sim.process.worker.db.history(answer.event.task_id)
    earlier = [move.to for move in moves if move.time <= answer.since]
    return (bool(earlier) and State(earlier[-1]).ended) or any(
        (move.to.ended and answer.since <= move.time <= answer.at)
        or (move.from_.ended and move.to is State.SCHEDULED and move.time >= answer.at)
        for move in moves
    )


def _check_last(sim: Simulation, answer: Answer) -> None:
    assert sim.process is not None
    db, queue = sim.process.worker.db, sim.process.worker.queue
    task_id = answer.event.task_id
    wish, task = queue.get(task_id), db.get(task_id)
    ended = db.buried(task_id) or (task is not None and task.state.ended)
    if answer.stops and not ended:
        sim.fails(f"I8: {short(task_id)} was stopped last, and has not ended")
    if not answer.stops and wish is not None and wish.stops and not ended:
        sim.fails(f"{short(task_id)}: a stop came out of nowhere")


def _check_failures(sim: Simulation, stop: Answer, until: float) -> None:
    """I8: after a stop it FAILED at most by what had happened before the stop came."""
    assert sim.process is not None
    for move in sim.process.worker.db.history(stop.event.task_id):
        if move.to is State.FAILED and stop.at < move.time < until and not sim.manager.losses:
            ends = [one.at for one in sim.engine.history if one.container_id == move.container_id]
            if not ends or max(ends) > stop.at:
                who = short(stop.event.task_id)
                sim.fails(f"I8: {who} was stopped, and FAILED as {move.reason}")
