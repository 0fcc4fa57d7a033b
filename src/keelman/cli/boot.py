"""This run of the machine, as its kernel tells of it."""

from __future__ import annotations

import time
from pathlib import Path

from keelman.worker.heard import Boot

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_boot() -> Boot:
    """Which run of the machine this is, and how long it has been; nobody sets that clock."""
    return Boot(
        id=BOOT_ID.read_text().strip(), seconds=lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    )
