"""`keelman`, with something left out of it, to see what that part costs.

`python -m tests.bench.inside WITHOUT worker …`; WITHOUT is `lanes`, or `write`. Nothing else of the
worker is changed: the rest of the line is `keelman`'s own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from keelman import cli
from keelman.admission import Known, admit, shown
from keelman.lanes import Lanes
from keelman.queue import Admitted, Queue
from keelman.task import TaskEvent
from keelman.wire import encode_task


def main() -> None:
    LEFT_OUT[sys.argv.pop(1)]()
    cli.main()


def without_lanes() -> None:
    """Wishes are accepted and nobody takes them up: what a POST alone costs."""
    setattr(Lanes, Lanes.wake.__name__, lambda self, task_id: None)


def without_write() -> None:
    """The same, and a wish is answered as it always is, but not put on the disk."""
    without_lanes()
    setattr(Queue, Queue.put.__name__, _answer)


async def _answer(
    self: Queue, event: TaskEvent, now: float, then: Callable[[Admitted], None] | None = None
) -> Admitted:
    wish = admit(event, Known(), seq=1)
    task = shown(Known(wish=wish))
    assert task is not None
    admitted = Admitted(answer=encode_task(task), wish=wish)
    if then is not None:
        then(admitted)
    return admitted


LEFT_OUT: dict[str, Callable[[], None]] = {"lanes": without_lanes, "write": without_write}

if __name__ == "__main__":
    main()
