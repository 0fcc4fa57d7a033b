"""Deliberate faults, to prove that the nets work: each is a mistake that somebody could make.

`planted(name)` puts one into the worker's code for as long as the context lasts.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any
from unittest import mock

import msgspec

from keelman import admission, db, ladder, moves, queue, reconcile
from keelman.admission import Known
from keelman.ending import Why
from keelman.errors import EngineError, KeelmanError
from keelman.moves import Step
from keelman.queue import Admitted, Queue
from keelman.runtime import Row, marks
from keelman.runtime.fake import FakeRuntime
from keelman.seen import (
    Absent,
    Create,
    Created,
    Exited,
    Kill,
    Present,
    Pull,
    Rename,
    Running,
    Seen,
    Start,
    Unknown,
)
from keelman.store import Job, get_fact, set_fact
from keelman.task import State, Task, TaskEvent, Transition, Wish
from keelman.worker.adoption import Adoption
from keelman.worker.watch import Watch
from keelman.worker.worker import Worker

Planted = dict[str, Any]  # what is replaced: "module attribute", and by what

_store_wish = queue._store_wish
_answered = queue._answered
_look, _record = Worker.look, Worker.record
_exited = reconcile._run_exited


def a_second_writer(connection: sqlite3.Connection, wish: Wish) -> None:
    """A handler writes the Db's record too: stopped, so COMPLETED."""
    _store_wish(connection, wish)
    row = connection.execute("SELECT task FROM tasks WHERE task_id = ?", (wish.task_id,)).fetchone()
    if row and wish.stops:
        task = msgspec.json.decode(row[0], type=Task)
        done = msgspec.structs.replace(task, state=State.COMPLETED)
        db.put(connection, done, None)


def finds_nothing(self: FakeRuntime, task: Task) -> Seen:
    """Only what the record knows is looked for."""
    found = _fake_look(self, task)
    return found if task.container_id else Seen(body=Absent(image=Present()))


_fake_look = FakeRuntime._look


def leaves_the_old(task: Task, body: Created | Exited | Running) -> Step:
    """The next attempt is made beside the last one's container."""
    return Step(task=task, action=Create(attempt=task.attempt))


async def tells_first(self: Worker, before: Task, step: Step) -> None:
    if step.transition is not None:
        seq = self.db.last_seq() + 1
        self.events.publish(msgspec.structs.replace(step.transition, seq=seq))
    if step.task != before or step.transition is not None:
        await self.db.put(step.task, step.transition)


async def acts_first(self: Worker, before: Task, step: Step) -> None:
    if step.action is not None and not isinstance(step.action, Pull):
        with suppress(EngineError):
            await self.runtime.do(step.task, step.action)
    await _record(self, before, step)


def reuses_the_attempt(*given: Any, **named: Any) -> Step:
    after = _restarted(*given, **named)
    return msgspec.structs.replace(after, task=after.task.but(attempt=given[0].attempt, started=0))


_restarted = moves.restarted


def forgets_when_it_began(*given: Any, **named: Any) -> Step:
    """The Timeout counts from the last restart."""
    after = _restarted(*given, **named)
    return msgspec.structs.replace(after, task=after.task.but(first_running=None))


def starts_in_doubt(task: Task, body: Created, seen: Seen, now: float) -> Step:
    """A start whose fate is unknown is asked for once more, by the same name."""
    after = _run_created(task, body, seen, now)
    if not isinstance(after.action, Rename):
        return after
    again = Start(container_id=body.container_id, attempt=task.attempt)
    return msgspec.structs.replace(after, action=again)


def takes_stops_back(event: TaskEvent, known: Known, seq: int) -> Wish | None:
    if known.wish is not None and known.wish.stops and not known.ended and event.spec:
        kept = {"task_id": event.task_id, "spec": event.spec, "generation": known.generation}
        return Wish(seq=seq, wants=State.RUNNING, **kept)  # type: ignore[arg-type]
    return _admit_run(event, known, seq)


_admit_run = admission._admit_run


async def answers_first(
    self: Queue, event: TaskEvent, now: float, then: Callable[[Admitted], None] | None = None
) -> Admitted:
    verdict = await self.judge(event, now)
    if isinstance(verdict.refusal, KeelmanError):
        raise verdict.refusal
    job = Job(lambda connection: queue._put(connection, event, now, self._capacity))
    self._store._jobs.put((job, lambda: then(job.result) if then and job.result else None))
    return Admitted(answer=b"")


async def takes_silence_for_an_end(self: Worker, task: Task) -> Seen:
    seen = await _look(self, task)
    silent = isinstance(seen.body, Unknown)
    return Seen(body=Absent(image=Present())) if silent else seen


def starts_unrecorded(task: Task, body: Created, seen: Seen, now: float) -> Step:
    after = _run_created(task, body, seen, now)
    if not isinstance(after.action, Start):
        return after
    return msgspec.structs.replace(after, task=after.task.but(started=task.started))


_run_created = reconcile._run_created


def signals_unrecorded(task: Task, body: Running, why: Why, now: float) -> Step:
    after = _descend(task, body, why, now)
    return msgspec.structs.replace(after, task=task) if after.action is not None else after


_descend = ladder.descend


def runs_for_the_same_wish(wish: Wish, task: Task) -> bool:
    return not wish.stops and task.state is State.FAILED


async def never_relists(self: Watch) -> None:
    await asyncio.Event().wait()


async def overlooks_others(self: Worker, task: Task) -> Seen:
    return msgspec.structs.replace(await _look(self, task), others=())


async def restarts_orphans(self: Adoption, row: Row) -> Task | None:
    task = await _adopt(self, row)
    if task is None or task.ending is None:
        return task
    task = task.but(ending=None)
    await self._db.put(task)
    return task


_adopt = Adoption.adopt


async def trusts_any_engine(self: Worker) -> str:
    return await self.runtime.identity()


def kills_at_once(task: Task, body: Running) -> Kill:
    return Kill(container_id=body.container_id)


def forgets_the_wish(wish: Wish | None, *given: Any) -> Step:
    return _failed(None, *given)


_failed = reconcile.failed


def forgets_events(connection: sqlite3.Connection, event: TaskEvent, told: str) -> bytes | None:
    connection.execute("DELETE FROM task_events WHERE event_id = ?", (event.id,))
    return None


def swallows_exit_codes(task: Task, body: Exited, now: float) -> Step:
    return _exited(task, msgspec.structs.replace(body, code=0, oom=False), now)


_seq = [0]


def numbers_in_memory(connection: sqlite3.Connection, move: Transition) -> Transition:
    """The next number is not part of the transaction that uses it."""
    _seq[0] = max(_seq[0], int(get_fact(connection, "transition_seq") or 0)) + 1
    set_fact(connection, "transition_seq", _seq[0])
    move = msgspec.structs.replace(move, seq=_seq[0])
    values = (move.seq, move.task_id, msgspec.json.encode(move))
    connection.execute("INSERT INTO transitions VALUES (?, ?, ?)", values)
    return move


FAULTS: dict[str, Planted] = {
    "second-writer": {"keelman.queue._store_wish": a_second_writer},
    "no-find-before-start": {"keelman.runtime.fake.FakeRuntime._look": finds_nothing},
    "restart-without-removal": {"keelman.reconcile._remove": leaves_the_old},
    "tell-before-record": {"keelman.worker.worker.Worker.record": tells_first},
    "act-before-record": {"keelman.worker.worker.Worker.record": acts_first},
    "attempt-reused": {"keelman.moves.restarted": reuses_the_attempt},
    "stop-taken-back": {"keelman.admission._admit_run": takes_stops_back},
    "answer-before-commit": {"keelman.queue.Queue.put": answers_first},
    "silence-is-an-end": {"keelman.worker.worker.Worker.look": takes_silence_for_an_end},
    "start-unrecorded": {"keelman.reconcile._run_created": starts_unrecorded},
    "signal-unrecorded": {"keelman.ladder.descend": signals_unrecorded},
    "same-wish-again": {"keelman.task.Wish.begins_anew": runs_for_the_same_wish},
    "events-are-the-truth": {"keelman.worker.watch.Watch.relist_tasks": never_relists},
    "others-overlooked": {"keelman.worker.worker.Worker.look": overlooks_others},
    "orphans-restarted": {"keelman.worker.adoption.Adoption.adopt": restarts_orphans},
    "any-engine-trusted": {"keelman.worker.worker.Worker.check_engine": trusts_any_engine},
    "no-grace": {"keelman.ladder.rung": kills_at_once},
    "failed-over-a-stop": {
        "keelman.reconcile.failed": forgets_the_wish,
        "keelman.db._stopped_since": lambda connection, task: False,
    },
    "started-again-in-doubt": {"keelman.reconcile._run_created": starts_in_doubt},
    "event-forgotten": {"keelman.queue._answered": forgets_events},
    "generation-ignored": {"keelman.admission._check_generation": lambda event, known: None},
    "deadline-starts-anew": {"keelman.moves.restarted": forgets_when_it_began},
    "exit-code-swallowed": {"keelman.reconcile._run_exited": swallows_exit_codes},
    "slot-leaked": {"keelman.worker.slots.Slots.leave": lambda self, task_id: None},
    "no-back-off": {"keelman.moves.backoff_seconds": lambda task, failures: 0.0},
    "number-outside-transaction": {"keelman.db._append": numbers_in_memory},
    "labels-are-enough": {
        "keelman.runtime.marks.mark_of": lambda names, labels: marks.claimed(labels)
    },
}


def planted(name: str) -> AbstractContextManager[None]:
    """The worker with one of the FAULTS in it."""
    stack = ExitStack()
    for target, instead in FAULTS[name].items():
        stack.enter_context(mock.patch(target, instead))
    return stack  # type: ignore[return-value]
