"""Values of query parameters, told apart strictly. PURE."""

from __future__ import annotations

import re
from collections.abc import Mapping

from keelman.errors import BadField

_NUMBER = re.compile(r"[0-9]{1,19}\Z")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")


def integer(asked: Mapping[str, str], name: str, *, most: int) -> int | None:
    """A whole number from 0 to `most`; None when it is not given. Raises: BadField."""
    text = asked.get(name)
    if text is None:
        return None
    if not _NUMBER.match(text) or int(text) > most:
        raise BadField(f"{name}: {text[:80]!r} is not a whole number from 0 to {most}")
    return int(text)


def seconds(asked: Mapping[str, str], name: str, *, most: float) -> float | None:
    """A number of seconds from 0 to `most`; None when it is not given. Raises: BadField."""
    text = asked.get(name)
    if text is None:
        return None
    if not _SECONDS.match(text) or float(text) > most:
        raise BadField(f"{name}: {text[:80]!r} is not a number of seconds from 0 to {most:g}")
    return float(text)


def choice(asked: Mapping[str, str], name: str, *allowed: str) -> str | None:
    """One of the allowed words; None when it is not given. Raises: BadField."""
    text = asked.get(name)
    if text is not None and text not in allowed:
        raise BadField(f"{name}: {text[:80]!r} is none of {', '.join(allowed)}")
    return text


def flag(asked: Mapping[str, str], name: str) -> bool:
    """Whether a flag is set: 1 or true, 0 or false. Raises: BadField."""
    return choice(asked, name, "0", "1", "false", "true") in ("1", "true")
