"""The clock of a process that runs for long."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady_clock() -> Callable[[], float]:
    """Seconds since the epoch by the wall clock of now, and from here on without a jump."""
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()
