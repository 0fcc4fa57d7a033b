"""Where a task is placed: the manager's own memory of it, beside the Task. PURE.

Every placement has a number, greater than the one before: it is the Generation that the node is
told, so that of two copies it is always known which is the older.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from keelman.values import Value

TRY_AGAIN_SECONDS = 1.0
TRY_AGAIN_MOST_SECONDS = 30.0
REFUSED_SECONDS = 60.0


class Copy(Value, frozen=True, kw_only=True):
    """An older copy of a task that is to be stopped: on which node, of which number.

    `until` is when it is stopped although its successor does not run yet.
    """

    node: str
    number: int
    until: float = 0.0


class Refusal(Value, frozen=True, kw_only=True):
    """A node that did not take the task, in its words, and until when it is not asked again."""

    node: str
    words: str
    until: float


U = TypeVar("U", Copy, Refusal)


class Placement(Value, frozen=True, kw_only=True):
    """Where a task is, and how far that is known.

    `node` is empty while it is nowhere. `accepted`: the node has said that it took it; `taken`: it
    once had; `adopted`: as a copy that it had already, of which it tells nothing anew. `stopped` is
    the wish whose stop the node was told. `known`: what the node tells of the copy beside its
    Transitions is in the Task. `base` added to an attempt of the node's is that attempt in the Task
    (None: nothing was heard yet). `tries` counts the calls that failed in a row, `due` is when the
    next is made.
    """

    task_id: str
    number: int = 0
    node: str = ""
    accepted: bool = False
    taken: bool = False
    adopted: bool = False
    stopped: int = 0
    known: bool = False
    base: int | None = None
    tries: int = 0
    due: float = 0.0
    stale: tuple[Copy, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def but(self, **changes: Any) -> Placement:
        """A copy with other values."""
        return msgspec.structs.replace(self, **changes)

    @property
    def event_id(self) -> str:
        """The ID of the TaskEvent that asks for this copy: the same however often it is sent."""
        told = sha256(f"{self.task_id}/{self.number}".encode()).digest()
        return str(UUID(bytes=told[:16], version=5))

    @property
    def here(self) -> Copy:
        """The present copy."""
        return Copy(node=self.node, number=self.number)

    def on(self, node: str, **changes: Any) -> Placement:
        """Placed on a node, under a greater number. An older copy there becomes the present one."""
        stale = tuple(copy for copy in changes.pop("stale", self.stale) if copy.node != node)
        return self.but(
            **{
                "node": node,
                "number": self.number + 1,
                "accepted": False,
                "taken": False,
                "adopted": False,
                "known": False,
                "base": None,
                "tries": 0,
                "due": 0.0,
                "stale": stale,
                **changes,
            }
        )

    def nowhere(self) -> Placement:
        """The present copy is not, or no longer, where it was placed."""
        return self.but(node="", accepted=False, taken=False, known=True, tries=0, due=0.0)

    def refused(self, words: str, now: float, seconds: float) -> Placement:
        """It is not where it was placed, and that node is not asked for so many seconds."""
        refusal = Refusal(node=self.node, words=words[:500], until=now + seconds)
        others = [one for one in self.refusals if one.node != self.node and one.until > now]
        return self.nowhere().but(refusals=(*others, refusal))

    def beside(self, copy: Copy) -> Placement:
        """An older copy is about; what is known of one on its node already is kept."""
        if any(one.node == copy.node and one.number >= copy.number for one in self.stale):
            return self
        others = (one for one in self.stale if one.node != copy.node)
        return self.but(stale=(*others, copy))

    def without(self, copy: Copy) -> Placement:
        """An older copy is gone."""
        return self.but(stale=tuple(one for one in self.stale if one != copy))

    def later(self, now: float) -> Placement:
        """A call failed: the next one is made after a while."""
        wait = min(TRY_AGAIN_SECONDS * 2.0 ** min(self.tries, 10), TRY_AGAIN_MOST_SECONDS)
        return self.but(tries=self.tries + 1, due=now + wait)

    def within(self, now: float, drain_seconds: float) -> Placement:
        """Times to come are cut to their most: the clock may have been set back since."""
        due = min(self.due, now + TRY_AGAIN_MOST_SECONDS)
        ends = [min(one.until, now + REFUSED_SECONDS) for one in self.refusals]
        stops = [min(one.until, now + drain_seconds) for one in self.stale]
        return self.but(
            due=due,
            refusals=tuple(map(_until, self.refusals, ends)),
            stale=tuple(map(_until, self.stale, stops)),
        )

    def based(self, attempt: int, present: int) -> Placement:
        """The first attempt that is heard of is the Task's present one."""
        return self if self.base is not None else self.but(base=max(present, 1) - attempt)

    def attempt_of(self, attempt: int) -> int:
        """An attempt of the node's as one of the Task's."""
        return attempt + (self.base or 0)

    def refused_by(self, now: float) -> frozenset[str]:
        """Nodes that are not asked for now."""
        return frozenset(one.node for one in self.refusals if one.until > now)


def _until(one: U, until: float) -> U:
    return msgspec.structs.replace(one, until=until)
