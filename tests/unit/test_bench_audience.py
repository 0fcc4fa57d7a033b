"""What many listeners heard: every Transition once, and how late."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.bench.audience import Listener, told

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_frame(seq: int) -> bytes:
    body = b'{"Seq":%d,"TaskID":"a","Time":"2026-01-02T03:04:05Z"}' % seq
    return b"id: log:%d\nevent: transition\ndata: %s\n\n" % (seq, body)


def a_listener(*chunks: tuple[float, bytes]) -> Listener:
    """`chunks` with how many seconds after the Transitions' Time each came."""
    one = Listener()
    one.chunks = [(BEGAN.timestamp() + late, chunk) for late, chunk in chunks]
    return one


def test_a_transition_was_heard_when_the_last_of_it_came() -> None:
    """A frame may be cut anywhere."""
    first = a_frame(1)
    one = a_listener((0.0, b"HTTP/1.1 200 OK\r\n\r\n"), (0.1, first[:40]), (0.3, first[40:]))
    heard = told([one], last=1)
    assert (heard.heard, heard.lost) == (1, 0)
    assert round(heard.lags.median) == 300


def test_what_a_listener_did_not_hear_is_lost() -> None:
    """Each of them is asked for each."""
    all_of_it = a_listener((0.0, a_frame(1) + a_frame(2) + a_frame(3)))
    a_gap = a_listener((0.0, a_frame(1)), (0.0, a_frame(3)))
    heard = told([all_of_it, a_gap], last=3)
    assert (heard.heard, heard.lost) == (5, 1)


def test_what_only_keeps_a_stream_open_is_no_transition() -> None:
    """Comments, and the id at its beginning."""
    one = a_listener((0.0, b": keelman\nid: log:0\n\n: still here\n\n"), (0.0, a_frame(1)))
    assert told([one], last=1).heard == 1
