"""Where things are on this machine, when nobody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def usual_data_dir() -> Path:
    """Where a worker keeps its memory: the system's place for root, the user's for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/keelman")
    return Path("~/.local/share/keelman")
