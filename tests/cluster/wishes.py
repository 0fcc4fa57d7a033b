"""What the cluster's client asks for."""

from __future__ import annotations

import json

from keelman.task import TaskEvent
from keelman.wire import decode_event
from tests.cluster.ops import Wanted
from tests.simulation.client import body_of, id_of
from tests.simulation.ops import Asked

EVENTS_FROM = 0x1000


def event_of(number: int, event: int, asked: Asked, *, generation: int, tag: str) -> TaskEvent:
    """The event that asks to run a task."""
    assert isinstance(asked, Wanted)
    body = body_of(number, id_of(EVENTS_FROM + event), asked, generation=generation, tag=tag)
    told = json.loads(body)
    told["Task"] |= {"Cpu": asked.cpu, "StopAfterDisconnect": asked.alone}
    if asked.zone:
        told["Task"] |= {"Constraints": [f"node.labels.zone==z{asked.zone}"]}
    return decode_event(json.dumps(told).encode())


def task_number(task_id: str) -> int:
    """The number of a task, by its ID."""
    return int(task_id[-4:], 16)
