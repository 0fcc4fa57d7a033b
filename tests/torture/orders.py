"""What is asked for: kinds of tasks, and what must become of each. PURE but for the folder read.

Each container writes its own name into a file of its task before it does anything else, so that how
often a task was started is known without the worker and without the engine.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from msgspec import Struct

IMAGE = "keelman/busybox:1"
SCHEDULED, RUNNING, COMPLETED, FAILED = 1, 2, 3, 4
LIVE = (SCHEDULED, RUNNING)
KILLED = (128, 137, 143, 255)  # how a container ends that its engine took down


class Kind(Struct, frozen=True, kw_only=True):
    """A task: what its container does, and the exit code by which it ends (None: it does not).

    `starts` is the most containers that it may have; None: as many as its Attempt says.
    """

    name: str
    script: str
    ends: int | None = None
    policy: str = ""
    starts: int | None = 1
    stop_timeout: int = 5
    init: bool = True
    reason: str = ""  # with which it must be FAILED, unless it is stopped
    fields: dict[str, Any] = {}


SHORT = Kind(name="short", script="exit 0", ends=0)
FAILING = Kind(name="failing", script="sleep 0.3; echo no cargo; exit 3", ends=3)
LONG = Kind(name="long", script="exec sleep 100000")
STUBBORN = Kind(
    name="stubborn",
    script="trap '' TERM; while true; do sleep 1; done",
    stop_timeout=1,
    init=False,
)
SERVICE = Kind(name="service", script="exec sleep 100000", policy="always", starts=None)
FLAPPING = Kind(name="flapping", script="sleep 2", policy="always", starts=None)
TWICE_MORE = Kind(name="twice more", script="exit 1", ends=1, policy="on-failure:2", starts=3)
KINDS = (SHORT, SHORT, FAILING, LONG, STUBBORN, SERVICE, FLAPPING, TWICE_MORE)


class Order:
    """One task that was asked for, and what its worker said to it."""

    def __init__(self, kind: Kind, task_id: str) -> None:
        self.kind, self.task_id = kind, task_id
        self.accepted = False  # a 201
        self.stopped = False  # a 204 or the 201 of a stop sent as an event
        self.refused = ""

    def task(self, starts: Path) -> dict[str, Any]:
        """The Task as it is sent."""
        line = f"hostname >> /starts/{self.task_id}; {self.kind.script}"
        return {
            "ID": self.task_id,
            "Name": self.kind.name,
            "Image": IMAGE,
            "Command": ["sh", "-c", line],
            "Init": self.kind.init,
            "RestartPolicy": self.kind.policy,
            "StopTimeout": self.kind.stop_timeout,
            "Mounts": [{"Source": str(starts), "Target": "/starts"}],
            **self.kind.fields,
        }

    def fits(self, task: dict[str, Any], excused: frozenset[int] = frozenset()) -> bool:
        """Whether its task is where it must be; `excused` are exit codes that are not its own."""
        state, code = task["State"], task["ExitCode"]
        if self.stopped and state == COMPLETED:
            return True
        if self.kind.reason:
            return (state, task["Reason"]) == (FAILED, self.kind.reason)
        if state == FAILED and code in excused and (self.stopped or self.kind.policy != "always"):
            return True
        if self.kind.ends is not None:
            return (state, code) == (FAILED if self.kind.ends else COMPLETED, self.kind.ends)
        if self.stopped:
            return False
        return state in LIVE if self.kind.policy else state == RUNNING


def starts_of(folder: Path, task_id: str) -> list[str]:
    """The containers that a task has had, as they themselves told."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / task_id).read_text().split()
    return []
