"""Host paths that tasks may mount: only below what the operator allowed.

Symbolic links and `..` are resolved first. It is asked when a task is sent, and again before its
container is made, since a link may have been changed meanwhile. What is judged must be what the
engine mounts: a path that cannot be followed to its end here, but may be there, is refused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from posixpath import normpath

from keelman.allowed import Refusal
from keelman.task import Spec


async def refused(spec: Spec, allowed: tuple[str, ...]) -> list[Refusal]:
    """`refusals`, on a thread: a path on a dead network mount may hang."""
    return await asyncio.to_thread(list, refusals(spec, allowed)) if spec.mounts else []


def refusals(spec: Spec, allowed: tuple[str, ...]) -> Iterator[Refusal]:
    """The mounts of a spec that are refused."""
    for mount in spec.mounts:
        if not all(_is_allowed(reading, allowed) for reading in _readings(mount.source)):
            plain = _end_of(mount.source) == mount.source
            resolved = "" if plain else ", with links and .. resolved,"
            words = f"{mount.source}{resolved} is not below a path that this worker allows"
            yield Refusal("Mounts.Source", words, "--allow-mount")


def _readings(source: str) -> tuple[str, str]:
    """How an engine may read a path: Docker drops `..` with the name before it, also a link's."""
    return source, normpath(source)


def _is_allowed(path: str, allowed: tuple[str, ...]) -> bool:
    real = _end_of(path)
    roots = (_end_of(root) for root in allowed)
    return real is not None and any(root is not None and _below(real, root) for root in roots)


def _end_of(path: str) -> str | None:
    """Where a path leads; None where that cannot be seen: too long, or in a closed directory.

    The kernel follows a link also where the way to it is longer than a path may be.
    """
    try:
        return os.path.realpath(path, strict=True)
    except FileNotFoundError:  # no engine mounts what is not there
        return os.path.realpath(path)
    except OSError:
        return None


def _below(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root
