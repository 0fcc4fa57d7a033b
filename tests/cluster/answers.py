"""What the client was told holds: nothing that was acknowledged is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelman.manager.manager import Manager
from tests.simulation.client import Answer
from tests.simulation.engine import short

if TYPE_CHECKING:
    from tests.cluster.sim import Cluster


def check_answers(sim: Cluster, manager: Manager) -> None:
    """Every acknowledged event is known, and the last of a task is what it serves."""
    last: dict[str, Answer] = {}
    seen: set[str | None] = set()
    for answer in sim.client.answers:
        if answer.refusal is not None or (answer.event.id is not None and answer.event.id in seen):
            continue
        seen.add(answer.event.id)
        _check_known(sim, manager, answer)
        _check_order(sim, last.get(answer.event.task_id), answer)
        last[answer.event.task_id] = answer
    for answer in last.values():
        _check_last(sim, manager, answer)


def _check_known(sim: Cluster, manager: Manager, answer: Answer) -> None:
    event, who = answer.event, short(answer.event.task_id)
    if manager.queue.get(event.task_id) is None:
        sim.fails(f"{who} was acknowledged and is not known")
    if event.id is not None and not manager.queue.has_seen(event):
        sim.fails(f"{who}: an acknowledged event is not known")


def _check_order(sim: Cluster, before: Answer | None, after: Answer) -> None:
    lower = before is not None and after.event.generation < before.event.generation
    if lower and not after.stops:
        sim.fails(f"{short(after.event.task_id)}: a lower Generation was accepted after a higher")


def _check_last(sim: Cluster, manager: Manager, answer: Answer) -> None:
    task_id = answer.event.task_id
    wish, task = manager.queue.get(task_id), manager.db.get(task_id)
    ended = task is not None and task.state.ended
    if answer.stops and not ended:
        sim.fails(f"{short(task_id)} was stopped last, and has not ended")
    if not answer.stops and wish is not None and wish.stops and not ended:
        sim.fails(f"{short(task_id)}: a stop came out of nowhere")
