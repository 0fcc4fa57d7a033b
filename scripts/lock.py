"""What is locked in a requirements file: each package in one version, with its hashes.

Strict: a line that is anything else (an option, an address, a package without a version or hashes)
is an error. So what reads a file with this knows that nothing else can be installed from it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
# The worker itself; what builds it; what changes are tried with; what looks at all that.
LOCKS = (
    "requirements.txt",
    "requirements-build.txt",
    "requirements-dev.txt",
    "requirements-audit.txt",
)

_PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==([0-9][0-9a-z.]*)((?: --hash=sha256:[0-9a-f]{64})+)")


class NotLocked(ValueError):
    """A line that does not say exactly what is installed."""


class Pin(NamedTuple):
    """One package: its version, and the SHA-256 of each file that it may come as."""

    name: str
    version: str
    hashes: frozenset[str]


def pins(text: str) -> list[Pin]:
    """Those of a requirements file, in its order. Raises: NotLocked."""
    joined = text.replace("\\\n", "")
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in joined.splitlines()]
    return [_pin(" ".join(line.split())) for line in lines if line.strip()]


def _pin(line: str) -> Pin:
    found = _PIN.fullmatch(line)
    if found is None:
        raise NotLocked(f"not NAME==VERSION with its hashes: {line[:80]}")
    return Pin(found[1], found[2], frozenset(re.findall(r"sha256:(\w+)", found[3])))


def read(name: str) -> list[Pin]:
    """Those of one of LOCKS. Raises: NotLocked, OSError."""
    return pins((ROOT / name).read_text(encoding="utf-8"))
