"""The invariants that the record keeps or breaks by itself: I2, I4, I6, I8. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from keelman import policy
from keelman.audit_engine import is_ending
from keelman.facts import Broken, Facts, Record
from keelman.task import EDGES, Reason, State, Task, Transition, Wish

# How long an ID is remembered after its end (`db`): then it may begin anew.
TOMBSTONE_SECONDS = 7 * 24 * 3600.0

RUNS = (State.SCHEDULED, State.RUNNING)


# -- I2 ------------------------------------------------------------------------------------------


def answers_are_kept(facts: Facts, _now: float) -> Iterator[Broken]:
    """What was answered is on record, and the record is sound."""
    record = facts.record
    if record.journal_mode != "wal":
        yield Broken(f"the database's journal is {record.journal_mode}, not wal")
    for words in record.complaints:
        yield Broken(f"the database is damaged: {words}")
    for row in record.damage:
        yield Broken(row.words, row.task_id)
    yield from _lost_tasks(record)
    yield from _lost_wishes(record)


def _lost_tasks(record: Record) -> Iterator[Broken]:
    wished = {wish.task_id for wish in record.wishes}
    known = wished | record.by_id.keys() | record.tombstones
    for event in record.answered:
        if not event.emptied and event.task_id not in known:
            words = f"event {event.event_id} was answered, and nothing is left of its task"
            yield Broken(words, event.task_id)


def _lost_wishes(record: Record) -> Iterator[Broken]:
    newest = {wish.task_id: wish.seq for wish in record.wishes}
    for wish in record.wishes:
        if wish.seq > record.wish_seq:
            words = f"its wish is number {wish.seq}, and only {record.wish_seq} were given out"
            yield Broken(words, wish.task_id)
    for task in record.tasks:
        if task.wish > newest.get(task.id, 0):
            yield Broken(f"it serves wish {task.wish}, which is not in the queue", task.id)


# -- I4 ------------------------------------------------------------------------------------------


def moves_are_legal(facts: Facts, _now: float) -> Iterator[Broken]:
    """The log has no gaps, keeps to the edges, and ends where its tasks are."""
    record, last = facts.record, dict[str, Transition]()
    yield from _gaps(record)
    for move in record.transitions:
        before = last.get(move.task_id)
        for words in (_off_the_edges(move), _out_of_line(before, move, record)):
            if words:
                yield Broken(f"Transition {move.seq} {words}", move.task_id)
        last[move.task_id] = move
    yield from _other_ends(record, last)


def _gaps(record: Record) -> Iterator[Broken]:
    for before, after in pairwise(move.seq for move in record.transitions):
        if after != before + 1:
            yield Broken(f"after Transition {before} the log goes on with {after}")
    newest = record.transitions[-1].seq if record.transitions else 0
    if newest != record.transition_seq:
        words = f"the log ends with Transition {newest}, and its counter is at"
        yield Broken(f"{words} {record.transition_seq}")


def _off_the_edges(move: Transition) -> str:
    edge = (move.from_, move.to)
    return "" if edge in EDGES else f"is from {move.from_.name} to {move.to.name}: no edge"


def _out_of_line(before: Transition | None, move: Transition, record: Record) -> str:
    if before is None:
        new = move.from_ is State.PENDING or not record.whole
        return "" if new else f"is its first, and from {move.from_.name}"
    if move.from_ is State.PENDING and _is_forgotten(before, move):
        return ""
    if before.to is not move.from_:
        return f"is from {move.from_.name}, and {before.seq} before it was to {before.to.name}"
    if before.to is State.COMPLETED and move.generation <= before.generation:
        return f"leaves COMPLETED, and Generation {move.generation} is not higher than before"
    return ""


def _is_forgotten(before: Transition, move: Transition) -> bool:
    """Whether an ID began anew after its tombstone was gone."""
    return before.to.ended and move.time - before.time >= TOMBSTONE_SECONDS


def _other_ends(record: Record, last: dict[str, Transition]) -> Iterator[Broken]:
    tasks = record.by_id
    for task in record.tasks:
        move = last.get(task.id)
        if move is None and task.state is not State.PENDING and record.whole:
            yield Broken(f"it is {task.state.name}, and the log has nothing of it", task.id)
        elif move is not None and move.to is not task.state:
            words = f"it is {task.state.name}, and its last Transition, {move.seq}, was to"
            yield Broken(f"{words} {move.to.name}", task.id)
    for move in last.values():
        if move.task_id not in tasks and not move.to.ended:
            words = f"its last Transition, {move.seq}, was to {move.to.name}"
            yield Broken(f"{words}, and it is not on record", move.task_id)


# -- I6 ------------------------------------------------------------------------------------------


def starts_once(facts: Facts, _now: float) -> Iterator[Broken]:
    """Of the present life: only of that the spec is on record."""
    histories = facts.record.histories
    for task in without_policy(facts):
        starts = _starts(histories.get(task.id, ()))
        if starts > 1:
            yield Broken(f"it has no restart policy, and was started {starts} times", task.id)


def without_policy(facts: Facts) -> list[Task]:
    """The tasks that nothing starts again under the same wish."""
    return [
        task
        for task in facts.record.tasks
        if not policy.restart_due(task.spec.restart_policy, succeeded=False, failures=0)
    ]


def _starts(moves: Iterable[Transition]) -> int:
    """How often it came to run since it was last taken up for a wish."""
    starts = 0
    for move in moves:
        if move.from_ is State.PENDING or move.from_.ended:
            starts = 0
        starts += (move.from_, move.to) == RUNS
    return starts


# -- I8 ------------------------------------------------------------------------------------------


def stops_end(facts: Facts, now: float) -> Iterator[Broken]:
    """One that FAILED before its stop came has ended as well."""
    tasks = facts.record.by_id
    for wish in facts.record.wishes:
        if wish.stops and (words := _not_stopped(wish, tasks.get(wish.task_id), now)):
            yield Broken(words, wish.task_id)


def _not_stopped(wish: Wish, task: Task | None, now: float) -> str:
    """What is wrong with a task that is to stop; empty when it ended, is stuck, or in time."""
    if task is None or (task.wish < wish.seq and not task.state.ended):
        return f"its stop, wish {wish.seq}, is not taken up"
    if task.state.ended or task.reason is Reason.STUCK or is_ending(task, now):
        return ""
    rung = "it is not being ended" if task.ending is None else f"rung {task.ending.signalled}"
    return f"its stop, wish {wish.seq}, does not end and is not told as stuck: {rung}"
