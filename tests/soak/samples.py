"""What is measured of a worker under a soak: the names of figures, all of one moment. PURE."""

from __future__ import annotations

from msgspec import Struct

DESCRIPTORS = "file descriptors"
THREADS = "threads"
TASKS = "asyncio tasks"
MEMORY = "memory (RSS), MiB"
CONTAINERS = "containers"
ROWS_OF = "rows of "
IN_USE = "database in use, MiB"
WAL = "write-ahead log, MiB"
JOURNALS = "journals, MiB"  # the flight record, and others that have a bound of their own
ON_DISK = "data directory, MiB"  # but for that log and the journals


class Sample(Struct, frozen=True, kw_only=True):
    """All figures at `seconds` after the beginning, with `tasks` done and others under way."""

    seconds: float
    tasks: int
    under_way: int
    values: dict[str, float]
