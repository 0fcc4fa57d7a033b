"""What the engine tells of a pull while it goes on, line by line. PURE.

A failure is in a field of its own. How far a layer is, is in words only: whoever tells it in others
loses the progress and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct

from keelman.progress import Progress
from keelman.runtime.told import PullLine

DONE = frozenset({"Pull complete", "Already exists"})
FETCHED = frozenset({"Verifying Checksum", "Download complete", "Extracting"})


class Layer(Struct, frozen=True, kw_only=True):
    """How far one layer is; `size` in bytes, 0 while it is not known."""

    done: bool = False
    fetched: int = 0
    size: int = 0


def line_of(text: bytes) -> PullLine:
    """A line, decoded; an empty one tells nothing. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(text, type=PullLine) if text.strip() else PullLine()


def after(layers: Mapping[str, Layer], line: PullLine) -> Mapping[str, Layer]:
    """The layers once a line was read. Only the lines of a layer have a `progressDetail`."""
    if not line.id or line.progress_detail is None:
        return layers
    return {**layers, line.id: _after(layers.get(line.id, Layer()), line)}


def _after(layer: Layer, line: PullLine) -> Layer:
    if line.status in DONE or line.status in FETCHED:
        return Layer(done=line.status in DONE, fetched=layer.size, size=layer.size)
    told = line.progress_detail
    if line.status != "Downloading" or told is None:
        return layer
    fetched = max(told.current, 0)
    return Layer(fetched=fetched, size=max(told.total, fetched))


def progress_of(layers: Collection[Layer]) -> Progress:
    """All layers in one."""
    return Progress(
        layers_done=sum(layer.done for layer in layers),
        layers=len(layers),
        bytes_done=sum(layer.fetched for layer in layers),
        bytes_total=sum(layer.size for layer in layers),
    )
