"""Words for people that more than one place needs: spans, sizes, a Message's first line. PURE."""

from __future__ import annotations

ANNOUNCED = "; its last lines:"  # what stands before the last output in a failed task's Message
_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))

_SIGNS = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def span(seconds: int) -> str:
    """`42 s`, `5 m 12 s`, `3 h 5 m` or `2 d 3 h`: two units at most."""
    for unit, sign, part, small in _UNITS:
        if seconds >= unit:
            return f"{seconds // unit} {sign} {seconds % unit // part} {small}"
    return f"{seconds} s"


def about(seconds: float) -> str:
    """The same of what is not that exact: to whole seconds."""
    return span(round(seconds)) if seconds >= 1 else "less than 1 s"


def ago(seconds: float) -> str:
    """How long ago something was: `12 s ago`, `just now`."""
    return f"{about(seconds)} ago" if seconds >= 1 else "just now"


def size(size_bytes: int) -> str:
    """`1.5 GiB`, `64.0 MiB` or `0 B`."""
    most = abs(size_bytes)
    unit, sign = next(((unit, sign) for unit, sign in _SIGNS if most >= unit), (1, "B"))
    return f"{size_bytes} B" if unit == 1 else f"{size_bytes / unit:.1f} {sign}"


def headline(message: str) -> str:
    """The first line of a Message, without the announcement of what follows it."""
    return message.strip().split("\n")[0].removesuffix(ANNOUNCED)
