"""How far a pull is. PURE."""

from __future__ import annotations

from keelman.values import Value

MEGABYTE = 1_000_000


class Progress(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """How far a pull is, as far as the engine tells; what is not known yet is 0."""

    layers_done: int = 0
    layers: int = 0
    bytes_done: int = 0
    bytes_total: int = 0


def words_of(image: str, progress: Progress | None) -> str:
    """How far a pull is, for people."""
    if progress is None:
        return f"pulling {image}: other pulls are before it"
    if not progress.layers:
        return f"pulling {image}"
    words = f"pulling {image}: {progress.layers_done} of {progress.layers} layers"
    if not progress.bytes_total:
        return words
    done, total = progress.bytes_done / MEGABYTE, progress.bytes_total / MEGABYTE
    return f"{words}, {done:.1f} of {total:.1f} MB"
