"""The data directory, for its owner alone: it holds what tasks have in Env, and who asked for what.

What is open to others is closed, where nobody can miss it: files that are the worker's own, and the
directory when there is nothing else in it. Else somebody else may need it as it is, and is told of.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

OTHERS = 0o077
_OURS = re.compile(
    r"lock|\.?keelman\.(db|mark).*|(flight|audit|audit-refused)\.jsonl(\.[0-9]+)?"
    r"|heard\.(json|new)|(joining\.json|joined\.(json|pem|key|ca\.pem))(\.new)?"
)


def close_to_others(directory: Path) -> None:
    """Take from others what rights they have there; what cannot be taken is told of."""
    try:
        found = sorted(directory.iterdir())
        ours = [path for path in found if _OURS.fullmatch(path.name) and _is_open(path)]
        if _is_open(directory) and all(_OURS.fullmatch(path.name) for path in found):
            ours = [directory, *ours]
        for path in ours:
            path.chmod(0o700 if path == directory else 0o600)
    except OSError as error:
        log.warning("data directory not closed to others", error=str(error))
        return
    if ours:
        log.warning("data directory closed to others", paths=[path.name for path in ours])
    if _is_open(directory):
        words = "there is more in it than the worker's own files"
        log.warning("data directory not closed to others", error=words)


def _is_open(path: Path) -> bool:
    """Whether others than its owner may do anything with it; no link is followed."""
    mode = path.lstat().st_mode
    return bool(mode & OTHERS) and not stat.S_ISLNK(mode)
