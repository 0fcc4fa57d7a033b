"""What the worker knows of a task's container or image beside what the engine says: health, pulls.

`attended` is for the task's own step: from there on it is probed, and woken when its pull is over.
`known` is for whoever only asks, and changes nothing.
"""

from __future__ import annotations

from msgspec import Struct

from keelman.seen import Absent, Body, Running
from keelman.task import Task
from keelman.worker.images import Images
from keelman.worker.probes import Probes


class Knowledge(Struct, frozen=True):
    """The pulls and the probes of one worker."""

    images: Images
    probes: Probes

    def attended(self, task: Task, body: Body) -> Body:
        """The body with what is known of it; the task has the worker's attention now."""
        if isinstance(body, Running):
            return self.probes.seen(task, body)
        self.probes.drop(task.id)
        if isinstance(body, Absent):
            return Absent(image=self.images.state(task, body.image))
        return body

    def known(self, task: Task, body: Body) -> Body:
        """The body with what is known of it."""
        match body:
            case Running():
                return self.probes.known(task, body)
            case Absent(image=image):
                return Absent(image=self.images.known(task, image))
            case _:
                return body
