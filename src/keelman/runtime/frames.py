"""The frames in which the engine sends the output of a container without a terminal. PURE.

A frame is eight bytes of header (the stream, three zeros, the payload's length, big-endian) and the
payload. Both streams share one connection, and a read may end anywhere inside a frame.
"""

from __future__ import annotations

from typing import NamedTuple

STDOUT, STDERR, TROUBLE = 1, 2, 3
HEADER_BYTES = 8
MOST_BYTES = 16 * 1024 * 1024  # far above any engine's line: a longer frame is none


class Frame(NamedTuple):
    """One piece of output; `stream` is STDOUT, STDERR or TROUBLE (the engine's own words)."""

    stream: int
    payload: bytes


def split(received: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames that `received` begins with, and the rest, to be given again with more.

    Raises: ValueError when it is not made of frames.
    """
    frames = []
    at = 0
    while (size := _size(received, at)) is not None and at + HEADER_BYTES + size <= len(received):
        end = at + HEADER_BYTES + size
        frames.append(Frame(received[at], received[at + HEADER_BYTES : end]))
        at = end
    return frames, received[at:]


def _size(received: bytes, at: int) -> int | None:
    """The length of the payload of the frame at `at`; None while its header is not whole."""
    header = received[at : at + HEADER_BYTES]
    if len(header) < HEADER_BYTES:
        return None
    size = int.from_bytes(header[4:], "big")
    if header[0] > TROUBLE or any(header[1:4]) or size > MOST_BYTES:
        raise ValueError(f"{header.hex()} is not the header of a log frame")
    return size
