"""Mishaps: steps that ended in a bug or could not be recorded, and how long their task is left.

In memory only: what a task met is told while it lasts, and forgotten with the first step that ends
well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from keelman import policy
from keelman.errors import CannotRecord
from keelman.situation import Mishap, Parked, Unrecorded

RECORD_AGAIN_SECONDS = 1.0


class Mishaps:
    """The tasks whose last step went wrong for no fault of theirs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: Counter[str] = Counter()
        self._last: dict[str, Mishap] = {}

    def of(self, task_id: str) -> Mishap | None:
        """What the task's last step met; None when that ended well."""
        return self._last.get(task_id)

    def parked(self, task_id: str, error: Exception) -> Parked:
        """A bug was met: the task is left alone, each time for longer."""
        self._times[task_id] += 1
        times = self._times[task_id]
        wait = policy.BACKOFF_FIRST_SECONDS * 2.0 ** min(times, 20)
        until = self._clock() + min(wait, policy.BACKOFF_MOST_SECONDS)
        mishap = Parked(until=until, words=repr(error), times=times)
        self._last[task_id] = mishap
        return mishap

    def unrecorded(self, task_id: str, error: CannotRecord) -> Unrecorded:
        """The Db took no write: the step is made again soon."""
        mishap = Unrecorded(until=self._clock() + RECORD_AGAIN_SECONDS, words=error.message)
        self._last[task_id] = mishap
        return mishap

    def over(self, task_id: str) -> None:
        """A step ended well."""
        self._times.pop(task_id, None)
        self._last.pop(task_id, None)
