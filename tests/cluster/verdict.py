"""When all is quiet: what the manager says, what was wished, and what really runs, agree."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from keelman.manager.manager import Manager
from keelman.task import Reason, State, Task, Transition, Wish
from tests.cluster.answers import check_answers
from tests.simulation.client import id_of
from tests.simulation.engine import short
from tests.simulation.verdict import objections

if TYPE_CHECKING:
    from tests.cluster.sim import Cluster

EXITS = (Reason.EXITED, Reason.KILLED_BY_OTHER, Reason.OOM_KILLED)


def check_world(sim: Cluster) -> None:
    """All laws, once everything had time to settle."""
    if sim.manager is None:
        sim.fails("there is no manager")
        return
    manager = sim.manager.keeper
    for number in range(1, len(sim.plan.tasks) + 1):
        _check_task(sim, manager, id_of(number))
    for task_id, name in sim.waits.unplaced(manager):
        sim.fails(f"{short(task_id)} has no place, and {name} could have it")
    if untold := manager.state.untold():
        sim.fails(f"news are not read of {[short(task_id) for task_id in untold]}")
    check_answers(sim, manager)
    _check_log(sim, manager)


# -- one task ------------------------------------------------------------------------------------


def _check_task(sim: Cluster, manager: Manager, task_id: str) -> None:
    wish, task, who = manager.queue.get(task_id), manager.db.get(task_id), short(task_id)
    if wish is None:
        return
    if task is None:
        sim.fails(f"{who} was wished for and is not on record")
        return
    if wish.seq > task.wish:
        sim.fails(f"{who} does not serve its newest wish: {_told(task)}")
    if wish.stops and not task.state.ended:
        sim.fails(f"{who} was to stop and is {_told(task)}")
    _check_copies(sim, manager, task)
    _check_placement(sim, manager, task, wish)


def _told(task: Task) -> str:
    where = f"on {task.node}" if task.node else "nowhere"
    return f"{task.state.name} #{task.attempt} {where} {task.reason} {task.message[:80]}"


def _check_copies(sim: Cluster, manager: Manager, task: Task) -> None:
    """It lives once where it is placed when it is RUNNING, and nowhere when it has ended."""
    copies, who = dict(sim.laws.copies(task.id)), short(task.id)
    if task.state.ended and copies:
        sim.fails(f"{who} is {_told(task)}, and lives on {copies}")
    if task.state is State.RUNNING and list(copies) != [task.node]:
        sim.fails(f"{who} is {_told(task)}, and lives on {copies}")
    if len(copies) > 1:
        sim.fails(f"{who} lives on {copies}")


def _check_placement(sim: Cluster, manager: Manager, task: Task, wish: Wish) -> None:
    placement, who = manager.state.placement(task.id), short(task.id)
    if placement.stale:
        sim.fails(f"{who}: older copies are left: {placement.stale}")
    if task.state.ended or not placement.node:
        return
    if placement.node != task.node:
        sim.fails(f"{who} is said to be on {task.node}, and placed on {placement.node}")
    node = next(node for node in sim.nodes if node.name == placement.node)
    there = node.process.worker.db.get(task.id) if node.process is not None else None
    if there is None or not placement.accepted:
        sim.fails(f"{who} is placed on {node.name}, which does not have it: {placement}")
    elif there.generation != placement.number or (
        there.state is not task.state and not wish.spec.restart_policy
    ):
        sim.fails(f"{who} is {_told(task)}, and {node.name} has {_told(there)} {there.generation}")
    elif not placement.known and not wish.spec.restart_policy:
        sim.fails(f"{who}: not all is known of it: {placement}")


# -- the log -------------------------------------------------------------------------------------


def _check_log(sim: Cluster, manager: Manager) -> None:
    """Only edges, no gaps, each task's Transitions are one chain, and whoever follows has all."""
    moves = manager.db.transitions(0, most=100_000)
    if [move.seq for move in moves] != list(range(1, len(moves) + 1)):
        sim.fails(f"the log's numbers have a gap: {[move.seq for move in moves]}")
    if sim.client.heard.get(manager.db.log_id, []) != moves:
        sim.fails("who follows the events has not heard what is on record")
    of_task: defaultdict[str, list[Transition]] = defaultdict(list)
    for move in moves:
        before = of_task[move.task_id][-1] if of_task[move.task_id] else None
        for words in objections(before, move):
            sim.fails(words)
        of_task[move.task_id].append(move)
        _check_cause(sim, move)
    for task_id, mine in of_task.items():
        task = manager.db.get(task_id)
        if task is None or task.state is not mine[-1].to:
            sim.fails(f"{short(task_id)} is not where its last move led: {task and _told(task)}")
        if manager.db.history(task_id) != mine:
            sim.fails(f"{short(task_id)}: its own Transitions are not those of the log")


def _check_cause(sim: Cluster, move: Transition) -> None:
    """No end that nobody made, no exit code that nobody gave, and nothing told twice."""
    if move.from_ is State.RUNNING and move.to is State.RUNNING:
        sim.fails(f"{short(move.task_id)} is told to run twice: nobody probes its health")
    if not move.to.ended:
        return
    ends = [
        one.code
        for node in sim.nodes
        for one in node.engine.history
        if one.what == "ended" and one.task_id == move.task_id
    ]
    stopped = any(one.stops and one.event.task_id == move.task_id for one in sim.client.answers)
    if move.reason is Reason.STOPPED and (not stopped or move.to is not State.COMPLETED):
        sim.fails(f"{short(move.task_id)} is {move.to.name} as stopped, which nobody asked for")
    if move.reason in EXITS and move.exit_code not in ends:
        sim.fails(f"{short(move.task_id)}: no process of it gave {move.exit_code}")
    if move.reason not in (*EXITS, Reason.STOPPED, Reason.VANISHED):
        sim.fails(f"{short(move.task_id)} is {move.to.name} as {move.reason}: {move.message}")
