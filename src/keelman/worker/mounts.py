"""Host paths that tasks may mount: only below what the operator allowed.

Symbolic links and `..` are resolved first. It is asked when a task is sent, and again before its
container is made, since a link may have been changed meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from keelman.allowed import Refusal
from keelman.task import Spec


async def refused(spec: Spec, allowed: tuple[str, ...]) -> list[Refusal]:
    """`refusals`, on a thread: a path on a dead network mount may hang."""
    return await asyncio.to_thread(list, refusals(spec, allowed)) if spec.mounts else []


def refusals(spec: Spec, allowed: tuple[str, ...]) -> Iterator[Refusal]:
    """The mounts of a spec that are refused."""
    for mount in spec.mounts:
        real = os.path.realpath(mount.source)
        if not any(_below(real, os.path.realpath(root)) for root in allowed):
            words = f"{mount.source} is not below a path that this worker allows"
            yield Refusal("Mounts.Source", words, "--allow-mount")


def _below(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root
