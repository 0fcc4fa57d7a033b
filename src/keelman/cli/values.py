"""How values are written on the command line, as Docker has them: `64m`, `8080:80/udp`, `90s`.

Each function takes the text and answers what the wire wants. Whether a value makes sense is the
worker's to say; here is only what cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from keelman.cli.failures import Usage

_SIZES = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,12})([smhd]?)")
_PORT = re.compile(r"(?:(\d+):)?(\d+)(?:/(tcp|udp|sctp))?")


def size(text: str, option: str) -> int:
    """`64m`, `1.5g` or `1048576` in bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Usage(f"{option}: {text!r} is no size such as 64m or 1g")
    return int(float(match[1]) * _SIZES[match[2].lower()])


def seconds(text: str, option: str) -> int:
    """`90`, `90s`, `5m`, `2h` or `1d` in seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Usage(f"{option}: {text!r} is no time such as 90, 90s, 5m or 1h")
    return int(match[1]) * _SECONDS[match[2]]


def moment(text: str, now: datetime) -> float:
    """`10m` (ago), `2026-01-31T08:00Z` or seconds since the epoch, as the last of these."""
    if re.fullmatch(r"\d{9,12}(\.\d{1,9})?", text):
        return float(text)
    if _DURATION.fullmatch(text):
        return now.timestamp() - seconds(text, "--since")
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise Usage(f"--since: {text!r} is no time such as 10m or 2026-01-31T08:00Z") from error


def port(text: str) -> tuple[str, str | None]:
    """`8080:80/udp` as ("80/udp", "8080"); `80` as ("80/tcp", None): any free host port."""
    match = _PORT.fullmatch(text)
    if match is None:
        raise Usage(f"--publish: {text!r} is neither HOST:CONTAINER nor CONTAINER, as in 8080:80")
    return f"{match[2]}/{match[3] or 'tcp'}", match[1]


def mount(text: str) -> dict[str, object]:
    """`/srv/site:/www:ro` as a Mount."""
    match text.split(":"):
        case [source, target] | [source, target, "rw"] if source and target:
            return {"Source": source, "Target": target}
        case [source, target, "ro"] if source and target:
            return {"Source": source, "Target": target, "ReadOnly": True}
    raise Usage(f"--volume: {text!r} is not SOURCE:TARGET or SOURCE:TARGET:ro, as in /srv:/www:ro")


def variable(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """`KEY=VALUE`; a bare `KEY` has the value that it has here."""
    key, equals, value = text.partition("=")
    if not key or (not equals and key not in environ):
        raise Usage(f"--env: {text!r} is not KEY=VALUE, nor a variable that is set here")
    return key, value if equals else environ[key]


def label(text: str) -> tuple[str, str]:
    """`KEY=VALUE`, or `KEY` alone for an empty one."""
    key, _, value = text.partition("=")
    if not key:
        raise Usage(f"--label: {text!r} is not KEY=VALUE")
    return key, value
