"""Host paths that tasks may mount: only below what the operator allowed.

Symbolic links and `..` are resolved first. It is asked when a task is sent, and again before its
container is made, since a link may have been changed meanwhile.
"""

from __future__ import annotations

import os

from keelman.task import Spec


def refused(spec: Spec, allowed: tuple[str, ...]) -> str | None:
    """Why a spec's mounts are refused, in words; None when they are not."""
    for mount in spec.mounts:
        real = os.path.realpath(mount.source)
        if not any(_below(real, os.path.realpath(root)) for root in allowed):
            return (
                f"Task.Mounts.Source: {mount.source} is not below a path that this worker allows;"
                " its operator can allow one with --allow-mount"
            )
    return None


def _below(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root
