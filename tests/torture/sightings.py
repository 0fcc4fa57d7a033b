"""What the engine itself says of the containers of a whole cluster, asked without Keelman.

Of each container that was started it is kept whose it was: which node's, and of which number the
copy. Of two copies of a task that live at once, both are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tests.torture.truth import Truth

ANY_WORKER = "keelman.worker"


class Copy(Struct, frozen=True, kw_only=True):
    """One container of a task: its node, and the number that the manager gave to the copy."""

    task_id: str
    node: str
    number: int
    container: str


class Sightings(Truth):
    """All containers of all workers that the engine at `socket` has."""

    def __init__(self, socket: str) -> None:
        super().__init__(socket, "")
        self._label = ANY_WORKER
        self.started: dict[str, Copy] = {}  # by container
        self.overlaps: set[tuple[Copy, Copy]] = set()  # the older first

    def _happened(self, event: dict[str, Any], listed: int) -> None:
        if event["Action"] == "start":
            copy = copy_of(event["Actor"]["ID"], event["Actor"]["Attributes"])
            self.started[copy.container] = copy
        super()._happened(event, listed)

    def _starts(self, task_id: str, container: str) -> None:
        """Two at once are no fault by themselves here: which two, the judge looks at."""
        others = self._live[task_id] - {container}
        self._live[task_id].add(container)
        if (new := self.started.get(container)) is not None:
            self.overlaps |= {(self.started[one], new) for one in others if one in self.started}


def copy_of(container: str, labels: Mapping[str, str]) -> Copy:
    """Whose a container is, as its labels tell."""
    return Copy(
        task_id=labels["keelman.task"],
        node=labels["keelman.worker"],
        number=int(labels["keelman.generation"]),
        container=container,
    )
