"""Queue: the desired state. The newest wish for each task, numbered and durable.

Only handlers write it, through `put`. A wish, the event it came from and the answer given to it are
one transaction, so that the same event gets the same answer for as long as it is remembered. Which
tasks want attention is not kept here: `then` wakes their lanes, and `waiting` finds them after a
restart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from hashlib import sha256

import msgspec

from keelman import ledger, room
from keelman.admission import Known, admit, shown
from keelman.errors import EventReused, KeelmanError, TaskEnded
from keelman.machine import Resources
from keelman.store import ADOPTED, Store, get_fact, set_fact
from keelman.task import Task, TaskEvent, Wish
from keelman.wire import encode_task

_LATER = ("Constraints", "StopAfterDisconnect")


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event: the answer's body, and the wish where it made one."""

    answer: bytes
    wish: Wish | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an event would come to: the wish it would make, or why it would be refused."""

    known: Known
    wish: Wish | None = None
    refusal: KeelmanError | None = None


class _Undone(Exception):
    """No error: it takes a write back, and carries out what that came to."""


class Queue:
    """Wishes by task id. `capacity` is what tasks may ask for all together."""

    def __init__(self, store: Store, capacity: Resources = room.UNBOUNDED) -> None:
        self._store = store
        self._capacity = capacity

    async def put(
        self, event: TaskEvent, now: float, then: Callable[[Admitted], None] | None = None
    ) -> Admitted:
        """Record what an event asks for; `then` is called as soon as that is durable.

        Raises: Conflict and its kin (`admission.admit`, `ledger.promise`), EventReused,
        CannotRecord.
        """
        given = self._capacity
        return await self._store.write(lambda connection: _put(connection, event, now, given), then)

    async def judge(self, event: TaskEvent, now: float) -> Verdict:
        """What `put` would make of an event: it is put, and taken back. Raises: CannotRecord."""
        given = self._capacity
        try:
            return await self._store.write(lambda connection: _judge(connection, event, now, given))
        except _Undone as undone:
            verdict: Verdict = undone.args[0]
            return verdict

    def get(self, task_id: str) -> Wish | None:
        """The newest wish for a task."""
        rows = self._store.read("SELECT wish FROM queue WHERE task_id = ?", task_id)
        return _wish(rows[0][0]) if rows else None

    def has_seen(self, event: TaskEvent) -> bool:
        """Whether the event was answered before."""
        query = "SELECT 1 FROM task_events WHERE event_id = ?"
        return bool(self._store.read(query, event.id))

    def waiting(self) -> list[str]:
        """Ids of tasks whose newest wish the Db does not serve yet."""
        rows = self._store.read(
            "SELECT q.task_id FROM queue q LEFT JOIN tasks t USING (task_id)"
            " WHERE t.wish IS NULL OR t.wish < q.seq ORDER BY q.seq"
        )
        return [task_id for (task_id,) in rows]


def _wish(packed: bytes) -> Wish:
    return msgspec.json.decode(packed, type=Wish)


def _put(
    connection: sqlite3.Connection, event: TaskEvent, now: float, given: Resources
) -> Admitted:
    told = _told(event)
    if (answer := _answered(connection, event, told)) is not None:
        return Admitted(answer=answer)
    known = _known(connection, event.task_id)
    wish = admit(event, known, seq=int(get_fact(connection, "wish_seq") or 0) + 1)
    if wish is not None:
        ledger.promise(connection, wish, given)
        _store_wish(connection, wish)
        known = msgspec.structs.replace(known, wish=wish)
    task = shown(known)
    answer = encode_task(task) if task is not None else b""
    if event.id is not None:
        row = (event.id, event.task_id, now, told, answer)
        connection.execute("INSERT INTO task_events VALUES (?, ?, ?, ?, ?)", row)
    return Admitted(answer=answer, wish=wish)


def _told(event: TaskEvent) -> str:
    """What tells bodies apart; of fields that came later nothing where they are not given."""
    fields = msgspec.to_builtins(event, order="deterministic")
    for name in _LATER if fields["Spec"] is not None else ():
        if not fields["Spec"][name]:
            del fields["Spec"][name]
    return sha256(msgspec.json.encode(fields)).hexdigest()


def _judge(
    connection: sqlite3.Connection, event: TaskEvent, now: float, given: Resources
) -> Verdict:
    known = _known(connection, event.task_id)
    try:
        admitted = _put(connection, event, now, given)
    except KeelmanError as error:
        return Verdict(known=known, refusal=error)
    raise _Undone(Verdict(known=known, wish=admitted.wish))


def _answered(connection: sqlite3.Connection, event: TaskEvent, told: str) -> bytes | None:
    """The answer that this event got before; None when it is new."""
    query = "SELECT digest, answer FROM task_events WHERE event_id = ?"
    row = connection.execute(query, (event.id,)).fetchone()
    if row is None:
        return None
    if row[0] != told:
        raise EventReused(f"event {event.id} was already sent with another body; use a new ID")
    if not row[1]:
        raise TaskEnded(f"event {event.id} belongs to task {event.task_id}, which is long over")
    return bytes(row[1])


def _known(connection: sqlite3.Connection, task_id: str) -> Known:
    query = (
        "SELECT (SELECT wish FROM queue WHERE task_id = ?1), (SELECT task FROM tasks WHERE"
        " task_id = ?1), EXISTS (SELECT 1 FROM tombstones WHERE task_id = ?1)"
    )
    wish, task, buried = connection.execute(query, (task_id,)).fetchone()
    return Known(
        wish=_wish(wish) if wish else None,
        task=msgspec.json.decode(task, type=Task) if task else None,
        buried=bool(buried),
    )


def _store_wish(connection: sqlite3.Connection, wish: Wish) -> None:
    """The row's own number is the task's place in lists: given once, and never to another task."""
    set_fact(connection, "wish_seq", wish.seq)
    connection.execute(
        "INSERT INTO queue (rowid, task_id, seq, wish) VALUES"
        " (coalesce((SELECT rowid + ? FROM tasks WHERE task_id = ?), ?), ?, ?, ?)"
        " ON CONFLICT (task_id) DO UPDATE SET seq = excluded.seq, wish = excluded.wish",
        (ADOPTED, wish.task_id, wish.seq, wish.task_id, wish.seq, msgspec.json.encode(wish)),
    )
