"""A sound world for audits, and what it takes to break a corner of it."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from keelman.ending import Ending, Why
from keelman.facts import Answered, Facts, Record
from keelman.runtime import Container
from keelman.runtime.marks import container_name
from keelman.task import Reason, Spec, State, Task, Transition, Wish
from tests.unit.given_wire import an_id

NOW = 1_000_000.0
WORKER = "w"
ENGINE = "FAKE"

RUNS, DONE, FAILS, WAITS, STOPS, STRAY, ADOPTED = (an_id(number) for number in range(1, 8))
GONE = an_id(9)

P, S, R, C, F = State
ONCE = ((P, S), (S, R))


def a_spec(**asked: Any) -> Spec:
    return Spec(**{"image": "nginx:1", **asked})


def a_container(task_id: str, attempt: int = 1, **known: Any) -> Container:
    """One of ours, named as its labels say."""
    usual = {
        "container_id": f"c-{task_id}-{attempt}",
        "name": container_name(WORKER, task_id, attempt),
        "worker": WORKER,
        "live": True,
    }
    return Container(task_id=task_id, attempt=attempt, **{**usual, **known})


def moves_of(
    task_id: str, *edges: tuple[State, State], reason: Reason = Reason.NONE, **known: Any
) -> list[Transition]:
    """Transitions of a task without numbers; the Reason is that of the last."""
    usual = {"task_id": task_id, "attempt": 1, "time": NOW - 50}
    moves = [Transition(from_=before, to=after, **{**usual, **known}) for before, after in edges]
    return [*moves[:-1], msgspec.structs.replace(moves[-1], reason=reason)]


def numbered(*moves: list[Transition], first: int = 1) -> tuple[Transition, ...]:
    every = itertools.chain(*moves)
    return tuple(msgspec.structs.replace(one, seq=n) for n, one in enumerate(every, first))


def a_task(task_id: str, state: State, **known: Any) -> Task:
    usual = {"spec": a_spec(), "attempt": 1, "started": 1, "due": NOW - 60, "wish": 1}
    return Task(id=task_id, state=state, **{**usual, **known})


def _history() -> tuple[Transition, ...]:
    return numbered(
        moves_of(GONE, *ONCE, (R, C)),
        moves_of(RUNS, *ONCE, (R, R)),
        moves_of(DONE, *ONCE, (R, C), reason=Reason.EXITED),
        # It was started again, and failed; then asked for once more, and failed.
        moves_of(FAILS, *ONCE, (R, F), reason=Reason.EXITED),
        moves_of(FAILS, (F, S), (S, R), (R, F), reason=Reason.OOM_KILLED),
        moves_of(WAITS, *ONCE, (R, S), reason=Reason.EXITED),
        moves_of(STOPS, *ONCE),
        moves_of(STRAY, *ONCE, (R, C), reason=Reason.STOPPED),
        moves_of(STRAY, (C, S), (S, R), (R, C), reason=Reason.STOPPED, generation=2),
    )


def _tasks() -> tuple[Task, ...]:
    stopping = Ending(why=Why.STOPPED, since=NOW - 5, signalled=1)
    stray = Ending(why=Why.STRAY, since=NOW - 5, signalled=1)
    again = a_spec(restart_policy="on-failure")
    return (
        a_task(RUNS, R, wish=1),
        a_task(DONE, C, wish=2, reason=Reason.EXITED),
        a_task(FAILS, F, wish=3, attempt=2, started=2, reason=Reason.OOM_KILLED),
        a_task(WAITS, S, wish=4, spec=again, attempt=2, started=1, due=NOW + 10),
        a_task(STOPS, R, wish=6, ending=stopping),
        a_task(STRAY, C, wish=8, generation=2, attempt=2, started=2, ending=stray),
        a_task(ADOPTED, P, wish=0),
    )


def _wishes() -> tuple[Wish, ...]:
    wants = {RUNS: (1, R), DONE: (2, R), FAILS: (3, R), WAITS: (4, R), STOPS: (6, C), STRAY: (8, C)}
    return tuple(
        Wish(seq=seq, task_id=task_id, wants=state, spec=a_spec())
        for task_id, (seq, state) in wants.items()
    )


def _containers() -> tuple[Container, ...]:
    return (
        a_container(RUNS, container_id="c-runs"),
        a_container(DONE, live=False, exit_code=0),
        a_container(FAILS, 2, live=False, exit_code=137),
        a_container(WAITS, live=False, exit_code=1),  # until its successor is due
        a_container(STOPS),
        a_container(STRAY, 2, generation=2),  # somebody started it again: it is being ended
        a_container(ADOPTED, live=False),
        # What is not ours: a copy, another worker's.
        a_container(RUNS, container_id="copy", name="copy", restart_policy="always"),
        a_container(DONE, container_id="other", worker="w-2", name=container_name("w-2", DONE, 1)),
    )


def _record() -> Record:
    moves = _history()
    answered = [
        Answered(event_id=f"e-{number}", task_id=wish.task_id)
        for number, wish in enumerate(_wishes())
    ]
    return Record(
        worker=WORKER,
        engine_id=ENGINE,
        wishes=_wishes(),
        tasks=_tasks(),
        transitions=moves,
        answered=(*answered, Answered(event_id="e-gone", task_id=GONE, emptied=True)),
        tombstones=frozenset({GONE}),
        wish_seq=8,
        transition_seq=len(moves),
    )


SOUND = Facts(record=_record(), engine_id=ENGINE, containers=_containers())


# -- other worlds --------------------------------------------------------------------------------


def recorded(facts: Facts = SOUND, **changes: Any) -> Facts:
    """The world with another record."""
    return msgspec.structs.replace(facts, record=msgspec.structs.replace(facts.record, **changes))


def with_task(task_id: str, facts: Facts = SOUND, **changes: Any) -> Facts:
    """The world with another record of one task; its State, too, without anybody's leave."""
    tasks = [
        msgspec.structs.replace(task, **changes) if task.id == task_id else task
        for task in facts.record.tasks
    ]
    return recorded(facts, tasks=tuple(tasks))


def with_move(seq: int, **changes: Any) -> Facts:
    """The world with another Transition in place of one."""
    moves = [
        msgspec.structs.replace(move, **changes) if move.seq == seq else move
        for move in SOUND.record.transitions
    ]
    return recorded(transitions=tuple(moves))


def logged(*moves: list[Transition], facts: Facts = SOUND) -> Facts:
    """The world with more in its log."""
    log = facts.record.transitions
    more = numbered(*moves, first=log[-1].seq + 1)
    return recorded(facts, transitions=(*log, *more), transition_seq=more[-1].seq)


def holding(*more: Container, facts: Facts = SOUND) -> Facts:
    """The world with more containers."""
    return msgspec.structs.replace(facts, containers=(*facts.containers, *more))


def with_container(task_id: str, **changes: Any) -> Facts:
    """The world with the worker's own container of a task being otherwise."""
    containers = [
        msgspec.structs.replace(one, **changes)
        if one.task_id == task_id and one.name.startswith(f"keelman-{WORKER}-{task_id}")
        else one
        for one in SOUND.containers
    ]
    return msgspec.structs.replace(SOUND, containers=tuple(containers))


def without_container(task_id: str) -> Facts:
    containers = [one for one in SOUND.containers if one.task_id != task_id]
    return msgspec.structs.replace(SOUND, containers=tuple(containers))
