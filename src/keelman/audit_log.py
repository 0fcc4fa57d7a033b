"""The audit log: who asked for what, when, and what was answered, a line of JSON each. PURE.

A line says who, what and with what answer; never a body, a token or a value of Env. What a client
chose freely cannot make up a line, nor steer the terminal that it is shown on, and has an end.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from keelman.errors import ForbiddenClient, ForbiddenPage, NotInvited, Unauthorized
from keelman.task import TaskEvent
from keelman.values import Value

WORD_MOST = 256  # characters
GONE = "client_gone"
CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
_STRANGERS = frozenset(
    one.code for one in (Unauthorized, ForbiddenClient, ForbiddenPage, NotInvited)
)


class Subject(Value, frozen=True, kw_only=True):
    """What a request is about, as far as it was understood; empty where it was not."""

    event_id: str = ""
    task_id: str = ""
    wants: str = ""
    name: str = ""
    image: str = ""


class Answered(Value, frozen=True, kw_only=True):
    """What came of it. `status` is None where nobody was left to be answered."""

    status: int | None
    code: str = ""

    @property
    def at_the_door(self) -> bool:
        """Whether it was turned away before it was looked at."""
        return self.code in _STRANGERS


class Asked(Value, frozen=True, kw_only=True):
    """A request's head, `at` seconds since the epoch; `caller` as the door knows him."""

    at: float
    caller: str
    peer: str
    method: str
    path: str
    dry_run: bool = False

    @property
    def changes(self) -> bool:
        """Whether it is of the kind that may change something."""
        return self.method not in CHANGES_NOTHING


class Entry(Value, frozen=True, kw_only=True):
    """One line, as it is written."""

    time: datetime
    worker: str
    caller: str
    peer: str
    method: str
    path: str
    dry_run: bool
    event_id: str
    task_id: str
    wants: str
    name: str
    image: str
    status: int | None
    code: str
    seconds: float


def subject(event: TaskEvent) -> Subject:
    """What an event is about, whether it is sound or not."""
    spec = event.spec
    return Subject(
        event_id=event.id or "",
        task_id=event.task_id,
        wants="stop" if spec is None else "run",
        name=spec.name if spec else "",
        image=spec.image if spec else "",
    )


def entry(worker: str, asked: Asked, about: Subject, answered: Answered, now: float) -> Entry:
    """The line for a request that was answered just now."""
    return Entry(
        time=datetime.fromtimestamp(asked.at, UTC),
        worker=worker,
        caller=word(asked.caller),
        peer=word(asked.peer),
        method=word(asked.method),
        path=word(asked.path),
        dry_run=asked.dry_run,
        event_id=about.event_id,
        task_id=about.task_id,
        wants=about.wants,
        name=word(about.name),
        image=word(about.image),
        status=answered.status,
        code=answered.code,
        seconds=round(now - asked.at, 6),
    )


def word(text: str) -> str:
    """What a client chose, printable and with an end."""
    shown = text[:WORD_MOST]
    return shown if shown.isprintable() else ascii(shown)[1:-1][:WORD_MOST]


def encode(line: Entry) -> bytes:
    """The line as JSON, with its end."""
    return msgspec.json.encode(line) + b"\n"
