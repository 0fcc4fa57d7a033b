"""Db: the current state. Each Task as it is, and every Transition.

Only the worker's loop writes it. A task and its Transition are one transaction; Transitions are
numbered without gaps and trimmed only at the old end.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from keelman import ledger
from keelman.admission import Known, shown
from keelman.listing import Entry, Listing
from keelman.machine import Resources
from keelman.store import ADOPTED, Store, get_fact, set_fact
from keelman.task import State, Task, Transition, Wish
from keelman.wire import encode_list, encode_task

TOMBSTONE_SECONDS = 7 * 24 * 3600.0
TRANSITIONS_MOST = 100_000
EVERYTHING = Listing()


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks as a JSON list, as of the Transition numbered `seq`."""

    body: bytes
    seq: int


class Db:
    """Tasks and Transitions, and the two facts kept beside them: whose log, whose engine."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.log_id = str(store.fact("log_id"))
        self._engine_id = store.fact("engine_id")
        self._listed: tuple[tuple[Any, ...], Listed] | None = None  # and of what, as of when

    # -- read ------------------------------------------------------------------------------------

    def get(self, task_id: str) -> Task | None:
        """The task on record."""
        rows = self._store.read("SELECT task FROM tasks WHERE task_id = ?", task_id)
        return _task(rows[0][0]) if rows else None

    def shown(self, task_id: str) -> Task | None:
        """The task as clients see it, wishes not yet taken up included."""
        rows = self._store.read(
            "SELECT q.wish, t.task FROM (SELECT ? AS task_id) LEFT JOIN queue q USING (task_id)"
            " LEFT JOIN tasks t USING (task_id)",
            task_id,
        )
        return _shown(*rows[0])

    def knows(self, task_id: str) -> bool:
        """Whether the task is on record, or a wish for it."""
        query = "SELECT 1 FROM queue WHERE task_id = ? UNION SELECT 1 FROM tasks WHERE task_id = ?"
        return bool(self._store.read(query, task_id, task_id))

    def listed(
        self, asked: Listing = EVERYTHING, shown: Callable[[bytes], bytes] = bytes
    ) -> Listed:
        """Tasks as clients see them, in the order in which they were first asked for.

        `shown` makes of a report what is shown of it. Who asks for all, again and again, gets what
        was made for the last who did, until anything is written. Raises: TaskGone.
        """
        version = self._store.version
        kept = version, asked, shown
        if self._listed and self._listed[0] == kept:
            return self._listed[1]
        with self._store.snapshot():
            listed = self._list(asked, shown)
        if asked == EVERYTHING and version is not None:
            self._listed = kept, listed
        return listed

    def _list(self, asked: Listing, shown: Callable[[bytes], bytes]) -> Listed:
        recorded, waiting, seq = self._recorded(), self._waiting(), self.last_seq()
        entries = {row[1]: Entry(*row) for row in recorded}
        for place, task_id, wish, task in waiting:
            if (view := _shown(wish, task)) is not None:
                entries[task_id] = Entry(place, task_id, encode_task(view))
        page = [shown(report) for report in asked.page(entries.values())]
        return Listed(body=encode_list(page), seq=seq)

    def _recorded(self) -> list[Any]:
        """Reports with their place in the list: an adopted task, never asked for, is before all."""
        return self._store.read(
            "SELECT coalesce(q.rowid, t.rowid + ?), t.task_id, t.report FROM tasks t"
            " LEFT JOIN queue q USING (task_id)",
            ADOPTED,
        )

    def _waiting(self) -> list[Any]:
        """Wishes that are not served yet, with the tasks that they are shown on."""
        return self._store.read(
            "SELECT q.rowid, q.task_id, q.wish, t.task FROM queue q LEFT JOIN tasks t"
            " USING (task_id) WHERE t.wish IS NULL OR t.wish < q.seq"
        )

    def live(self) -> dict[str, State]:
        """Tasks that have not ended, and where they are."""
        rows = self._store.read("SELECT task_id, state FROM tasks WHERE state < 3")
        return {task_id: State(state) for task_id, state in rows}

    def asked(self) -> list[Resources]:
        """What each live task asks of the machine, those not yet taken up included."""
        return [asks for _, asks in ledger.held(self._store.read(ledger.LIVE))]

    def counts(self) -> dict[State, int]:
        """How many tasks are in each state; one that is not taken up yet is PENDING."""
        rows = self._store.read(
            "SELECT state, count(*) FROM tasks GROUP BY state UNION ALL"
            " SELECT 0, count(*) FROM queue WHERE task_id NOT IN (SELECT task_id FROM tasks)"
        )
        counts = Counter[State]()
        for state, number in rows:
            counts[State(state)] += number
        return counts

    def buried(self, task_id: str) -> bool:
        """Whether only a tombstone is left of the task."""
        return bool(self._store.read("SELECT 1 FROM tombstones WHERE task_id = ?", task_id))

    def transitions(self, since: int, *, most: int = 1000) -> list[Transition]:
        """Transitions numbered above `since`, oldest first."""
        query = "SELECT move FROM transitions WHERE seq > ? ORDER BY seq LIMIT ?"
        return [_transition(move) for (move,) in self._store.read(query, since, most)]

    def history(self, task_id: str) -> list[Transition]:
        """One task's Transitions, oldest first."""
        query = "SELECT move FROM transitions WHERE task_id = ? ORDER BY seq"
        return [_transition(move) for (move,) in self._store.read(query, task_id)]

    def last_move(self, task_id: str) -> Transition | None:
        """One task's newest Transition that is still kept."""
        query = "SELECT move FROM transitions WHERE task_id = ? ORDER BY seq DESC LIMIT 1"
        rows = self._store.read(query, task_id)
        return _transition(rows[0][0]) if rows else None

    def last_seq(self) -> int:
        """The newest Transition's number, 0 before the first."""
        return int(self._store.fact("transition_seq") or 0)

    def first_seq(self) -> int:
        """The oldest Transition's number that is still kept; one past the newest when none is."""
        ((first,),) = self._store.read("SELECT min(seq) FROM transitions")
        return self.last_seq() + 1 if first is None else int(first)

    def engine_id(self) -> str | None:
        """The ID of the engine that this Db is about."""
        return self._engine_id

    def owner(self) -> str | None:
        """The name of the worker whose Db this is."""
        return self._store.fact("owner")

    def expired(self, before: float, *, keep: int, most: int) -> list[str]:
        """Ended tasks that finished before `before`, or beyond the `keep` newest, oldest first."""
        rows = self._store.read(
            "SELECT task_id FROM tasks WHERE state >= 3 AND (finished < ? OR task_id IN ("
            " SELECT task_id FROM tasks WHERE state >= 3 ORDER BY finished DESC LIMIT -1 OFFSET ?"
            ")) ORDER BY finished LIMIT ?",
            *(before, keep, most),
        )
        return [task_id for (task_id,) in rows]

    # -- write -----------------------------------------------------------------------------------

    async def put(
        self,
        task: Task,
        move: Transition | None = None,
        then: Callable[[Transition | None], None] | None = None,
    ) -> Transition | None:
        """Record a task and its move; returns the move with its number. Raises: CannotRecord.

        A FAILED that was decided on before a stop came is not recorded: the step after it sees the
        stop, which has the last word.
        """
        return await self._store.write(lambda connection: put(connection, task, move), then)

    async def set_engine_id(self, engine_id: str) -> None:
        """Tie this Db to an engine."""
        await self._store.write(
            lambda connection: set_fact(connection, "engine_id", engine_id),
            lambda _: self._met(engine_id),
        )

    def _met(self, engine_id: str) -> None:
        self._engine_id = engine_id

    async def set_owner(self, name: str) -> None:
        """Tie this Db to a worker's name."""
        await self._store.write(lambda connection: set_fact(connection, "owner", name))

    async def probe(self, now: float) -> None:
        """Write something, to know that writing works. Raises: CannotRecord."""
        await self._store.write(lambda connection: set_fact(connection, "probed", now))

    async def forget(self, task: Task, now: float) -> bool:
        """Drop an ended task and its wish, leaving a tombstone; False when a newer wish came."""
        return await self._store.write(lambda connection: forget(connection, task, now))

    async def sweep(self, now: float) -> None:
        """Drop what is over its time: tombstones, events but a task's newest, old Transitions."""
        await self._store.write(lambda connection: _sweep(connection, now))


def _transition(packed: bytes) -> Transition:
    return msgspec.json.decode(packed, type=Transition)


def _task(packed: bytes) -> Task:
    return msgspec.json.decode(packed, type=Task)


def _shown(wish: bytes | None, task: bytes | None) -> Task | None:
    asked = msgspec.json.decode(wish, type=Wish) if wish else None
    return shown(Known(wish=asked, task=_task(task) if task else None))


def put(connection: sqlite3.Connection, task: Task, move: Transition | None) -> Transition | None:
    """`Db.put`, inside a write."""
    if move is not None and move.to is State.FAILED and _stopped_since(connection, task):
        return None
    connection.execute(
        "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (task_id) DO UPDATE SET"
        " state = excluded.state, wish = excluded.wish, finished = excluded.finished,"
        " task = excluded.task, report = excluded.report",
        (
            *(task.id, task.state, task.wish, task.finish_time),
            *(msgspec.json.encode(task), encode_task(task)),
        ),
    )
    ledger.follow(connection, task)
    return None if move is None else _append(connection, move)


def _stopped_since(connection: sqlite3.Connection, task: Task) -> bool:
    """Whether a stop has come that the task does not serve yet."""
    query = "SELECT wish FROM queue WHERE task_id = ? AND seq > ?"
    newer = connection.execute(query, (task.id, task.wish)).fetchone()
    return newer is not None and msgspec.json.decode(newer[0], type=Wish).stops


def _append(connection: sqlite3.Connection, move: Transition) -> Transition:
    seq = int(get_fact(connection, "transition_seq") or 0) + 1
    set_fact(connection, "transition_seq", seq)
    move = msgspec.structs.replace(move, seq=seq)
    values = (seq, move.task_id, msgspec.json.encode(move))
    connection.execute("INSERT INTO transitions VALUES (?, ?, ?)", values)
    return move


def forget(connection: sqlite3.Connection, task: Task, now: float) -> bool:
    """`Db.forget`, inside a write."""
    query = "SELECT 1 FROM queue WHERE task_id = ? AND seq > ?"
    if connection.execute(query, (task.id, task.wish)).fetchone():
        return False
    connection.execute("DELETE FROM tasks WHERE task_id = ?", (task.id,))
    connection.execute("DELETE FROM queue WHERE task_id = ?", (task.id,))
    connection.execute("UPDATE task_events SET answer = '' WHERE task_id = ?", (task.id,))
    connection.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", (task.id, now))
    return True


def _sweep(connection: sqlite3.Connection, now: float) -> None:
    before = (now - TOMBSTONE_SECONDS,)
    connection.execute(
        "DELETE FROM task_events WHERE at < ? AND (task_id IN (SELECT task_id FROM tombstones"
        " WHERE ended < ?) OR at < (SELECT max(at) FROM task_events newer"
        " WHERE newer.task_id = task_events.task_id))",
        before * 2,
    )
    connection.execute(
        "DELETE FROM tombstones WHERE ended < ? AND NOT EXISTS (SELECT 1 FROM task_events"
        " WHERE task_events.task_id = tombstones.task_id)",  # one may be younger: clocks go back
        before,
    )
    connection.execute(
        "DELETE FROM transitions WHERE seq <= (SELECT max(seq) FROM transitions) - ?",
        (TRANSITIONS_MOST,),
    )
