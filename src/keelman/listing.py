"""Which tasks a list is asked for, and which page of it. PURE.

Every task keeps its place in the list for as long as it is listed, and a page begins after the
place of a task, whatever that task is by then. So no page skips or repeats a task that was there
and matched all the time, however many come and go between two pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self
from uuid import UUID

import msgspec
from msgspec import Struct

from keelman import params
from keelman.errors import BadField, TaskGone
from keelman.routes import Parameter
from keelman.task import State

LIMIT_MOST = 10_000
_STATE = "|".join(
    f"{state.value}|" + "".join(f"[{letter}{letter.lower()}]" for letter in state.name)
    for state in State
)
PARAMETERS = (
    Parameter(
        "state",
        "only tasks in one of these states: names in any case or numbers, separated by commas",
        {"type": "string", "pattern": f"^({_STATE})(,({_STATE}))*$"},
    ),
    Parameter("name", "only tasks of exactly this Name", {"type": "string"}),
    Parameter(
        "label",
        "only tasks with this label, `KEY` or `KEY=VALUE`; may be given again: all of them",
        {"type": "string", "pattern": r"^[^=]"},
        repeats=True,
    ),
    Parameter("limit", "at most so many", {"type": "integer", "minimum": 1, "maximum": LIMIT_MOST}),
    Parameter(
        "after",
        "only what comes after this task in the list: the ID of the last one seen",
        {"type": "string", "format": "uuid"},
    ),
)


class Entry(Struct, frozen=True):
    """One task in the list: its place, its ID and its report in JSON."""

    place: int
    task_id: str
    report: bytes


class _Traits(Struct, frozen=True):
    """What of a report is asked about."""

    state: State = msgspec.field(name="State")
    name: str = msgspec.field(name="Name")
    labels: dict[str, str] = msgspec.field(name="Labels")


class Listing(Struct, frozen=True, kw_only=True):
    """What is asked of the list; what is left out is not looked at.

    `labels` have the value None where any will do.
    """

    states: frozenset[State] = frozenset(State)
    name: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    limit: int | None = None
    after: str | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str], labels: Sequence[str] = ()) -> Self:
        """From a query, in which `label` may stand more than once. Raises: BadField."""
        return cls(
            states=_states(asked.get("state")),
            name=asked.get("name"),
            labels=tuple(_label(text) for text in labels),
            limit=_limit(asked),
            after=_after(asked.get("after")),
        )

    def page(self, entries: Iterable[Entry]) -> list[bytes]:
        """The reports that are asked for, in the order of their places. Raises: TaskGone."""
        listed = sorted(entries, key=lambda entry: entry.place)
        if self.after is not None:
            listed = _rest(listed, self.after)
        if self._filters:
            listed = [entry for entry in listed if self._matches(entry.report)]
        return [entry.report for entry in listed[: self.limit]]

    @property
    def _filters(self) -> bool:
        return self.name is not None or bool(self.labels) or len(self.states) < len(State)

    def _matches(self, report: bytes) -> bool:
        traits = msgspec.json.decode(report, type=_Traits)
        return (
            traits.state in self.states
            and self.name in (None, traits.name)
            and all(
                key in traits.labels and value in (None, traits.labels[key])
                for key, value in self.labels
            )
        )


def _rest(listed: list[Entry], after: str) -> list[Entry]:
    for number, entry in enumerate(listed, start=1):
        if entry.task_id == after:
            return listed[number:]
    raise TaskGone(f"after: task {after} is not in the list (any more); list from the beginning")


def _states(text: str | None) -> frozenset[State]:
    if text is None:
        return frozenset(State)
    return frozenset(_state(word) for word in text.split(","))


def _state(word: str) -> State:
    for state in State:
        if word.upper() == state.name or word == str(state.value):
            return state
    known = ", ".join(f"{state.value} {state.name.lower()}" for state in State)
    raise BadField(f"state: {word[:80]!r} is none of {known}")


def _label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not key:
        raise BadField(f"label: {text[:80]!r} is neither KEY nor KEY=VALUE")
    return key, value if equals else None


def _limit(asked: Mapping[str, str]) -> int | None:
    limit = params.integer(asked, "limit", most=LIMIT_MOST)
    if limit == 0:
        raise BadField("limit: a page has at least one task")
    return limit


def _after(text: str | None) -> str | None:
    try:
        return None if text is None else str(UUID(text))
    except ValueError as error:
        raise BadField(f"after: {text!r:.82} is not a UUID") from error
