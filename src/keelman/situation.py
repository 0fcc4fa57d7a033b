"""A task in its situation: all that an Explanation is made of. PURE.

`Situation.after` asks the real rules what they would say of the world after a wait; nothing here
decides by itself.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from keelman import reconcile
from keelman.blockers import blocker
from keelman.explanation import Blocker
from keelman.moves import Step
from keelman.progress import Progress
from keelman.seen import Seen
from keelman.task import Task, Transition, Wish


class Parked(Struct, frozen=True, kw_only=True):
    """The last step met a bug, the `times`-th in a row: the next one is made at `until`."""

    until: float
    words: str
    times: int


class Unrecorded(Struct, frozen=True, kw_only=True):
    """The last step could not be recorded, so it was not made: it is tried again at `until`."""

    until: float
    words: str


Mishap = Parked | Unrecorded


class Beside(Struct, frozen=True, kw_only=True):
    """What the worker knows beside Seen. No step depends on it; it is only told.

    `before` is how many wait for a start slot before the task, `pull` how far its image's pull is
    (None before its turn), `away_since` since when the engine gives no answer, `kept_seconds` how
    long ended tasks are kept, `last` the task's newest Transition.
    """

    slots: int = 1
    before: int | None = None
    pull: Progress | None = None
    away_since: float | None = None
    kept_seconds: float = 0.0
    mishap: Mishap | None = None
    last: Transition | None = None


class Situation(Struct, frozen=True, kw_only=True):
    """What is wished, recorded and seen of a task at a time, and the step decided on that."""

    wish: Wish | None
    task: Task
    seen: Seen
    step: Step
    at: float
    beside: Beside = Beside()

    @property
    def waits_for(self) -> Blocker:
        """What the step waits for."""
        return blocker(self.task, self.seen, self.step, self.at)

    def after(self, seen: Seen, at: float) -> Situation:
        """Once this step is on record, this is what is seen then, and nobody was heard."""
        task = self.step.task
        if task.spec.stop_after_disconnect:
            silence = self.seen.silence + max(at - self.at, 0.0)
            seen = msgspec.structs.replace(seen, silence=silence)
        step = reconcile.step(self.wish, task, seen, at)
        return msgspec.structs.replace(self, task=task, seen=seen, step=step, at=at)
