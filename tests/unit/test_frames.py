"""The frames of a log come out whole, wherever the reads between them end."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelman.runtime.frames import MOST_BYTES, STDERR, STDOUT, TROUBLE, Frame, split


def framed(frame: Frame) -> bytes:
    return struct.pack(">BxxxL", frame.stream, len(frame.payload)) + frame.payload


frames = st.lists(st.builds(Frame, st.sampled_from([0, STDOUT, STDERR, TROUBLE]), st.binary()))


@settings(deadline=None)  # a busy machine is no failure
@given(frames, st.data())
def test_frames_come_out_as_they_went_in_wherever_a_read_ends(
    sent: list[Frame], data: st.DataObject
) -> None:
    whole = b"".join(framed(frame) for frame in sent)
    told: list[Frame] = []
    rest = b""
    while whole:
        end = data.draw(st.integers(1, len(whole)))
        found, rest = split(rest + whole[:end])
        told += found
        whole = whole[end:]
    assert (told, rest) == (sent, b"")


@settings(deadline=None)  # a busy machine is no failure
@given(frames, st.integers(min_value=1))
def test_a_cut_leaves_the_unfinished_frame_as_rest(sent: list[Frame], back: int) -> None:
    whole = b"".join(framed(frame) for frame in sent)
    cut = whole[: max(len(whole) - back, 0)]
    told, rest = split(cut)
    assert told == sent[: len(told)]
    assert b"".join(framed(frame) for frame in told) + rest == cut


def test_the_longest_frame_is_waited_for() -> None:
    head = struct.pack(">BxxxL", STDOUT, MOST_BYTES)
    assert split(head) == ([], head)


@pytest.mark.parametrize(
    "received",
    [
        b"hello, world",
        struct.pack(">BxxxL", 4, 1) + b"x",
        b"\x01\x00\x01\x00\x00\x00\x00\x01x",
        struct.pack(">BxxxL", STDOUT, MOST_BYTES + 1),
    ],
    ids=["a terminal", "no stream", "no zeros", "too long"],
)
def test_what_is_no_frame_is_refused(received: bytes) -> None:
    with pytest.raises(ValueError, match="header of a log frame"):
        split(received)
