"""What is sent to a worker, as bytes and as the TaskEvent that they become."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from keelman.task import Spec, State, TaskEvent
from tests.unit.given import TASK_ID, a_spec

EVENT_ID = "6be4cb6b-61d1-40cb-bc7b-9cacefefa60c"
OTHER_EVENT_ID = "6be4cb6b-61d1-40cb-bc7b-9cacefefa60d"


def an_id(number: int) -> str:
    """One of many UUIDs, told apart by a number above 0."""
    return str(UUID(int=number))


def a_body(*, task: dict[str, Any] | None = None, **event: Any) -> bytes:
    """A TaskEvent as JSON that asks to run something, but for what is said otherwise.

    Not strictly JSON on purpose: Python writes NaN and numbers of any size.
    """
    asked = {"ID": TASK_ID, "Name": "web", "Image": "nginx:1", **(task or {})}
    return json.dumps({"ID": EVENT_ID, "State": 2, "Task": asked, **event}).encode()


def an_event(
    state: State = State.RUNNING,
    *,
    event_id: str | None = EVENT_ID,
    task_id: str = TASK_ID,
    generation: int = 0,
    **asked: Any,
) -> TaskEvent:
    spec: Spec | None = None if state is State.COMPLETED else a_spec(**asked)
    return TaskEvent(id=event_id, state=state, task_id=task_id, generation=generation, spec=spec)


def a_delete(*, task_id: str = TASK_ID, generation: int = 0) -> TaskEvent:
    """What DELETE becomes: a stop that has no event ID."""
    return an_event(State.COMPLETED, event_id=None, task_id=task_id, generation=generation)
