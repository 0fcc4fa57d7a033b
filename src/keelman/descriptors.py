"""File descriptors: as many as the process may have, for its connections."""

from __future__ import annotations

import resource

MOST = 65_536


def raise_most() -> None:
    """As many as the process may have: the usual 1,024 are fewer than its connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
