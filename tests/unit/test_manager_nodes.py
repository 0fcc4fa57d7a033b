"""What a node's silence means, and what makes it unusable."""

from __future__ import annotations

import pytest

from keelman.errors import BadField, Malformed
from keelman.manager import nodes
from keelman.manager.nodes import Heard, Node, Patience, Status, Use
from keelman.node_report import decode_node
from tests.unit.given import NOW
from tests.unit.given_cluster import a_report

PATIENCE = Patience(suspect_seconds=15.0, lost_seconds=60.0)
WELL = Heard(at=NOW, report=a_report())


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (0.0, Status.READY),
        (14.9, Status.READY),
        (15.0, Status.SUSPECT),
        (59.9, Status.SUSPECT),
        (60.0, Status.LOST),
        (1e9, Status.LOST),
    ],
)
def test_silence_makes_a_node_suspect_then_lost(seconds: float, status: Status) -> None:
    """After so many seconds."""
    assert nodes.status(WELL, PATIENCE, NOW + seconds) is status


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (Heard(at=NOW), "not met yet"),
        (Heard(at=NOW, report=a_report(trouble="no engine")), "no engine"),
        (Heard(at=NOW, report=a_report(), trouble="401"), "401"),
    ],
)
def test_a_node_that_answers_may_not_be_ready(heard: Heard, words: str) -> None:
    """Nothing is placed there, and nothing is taken from there."""
    assert nodes.status(heard, PATIENCE, NOW) is Status.NOT_READY
    assert words in nodes.unusable(Node(name="a", url="u"), heard, PATIENCE, NOW)


@pytest.mark.parametrize("use", [Use.CORDONED, Use.DRAINING])
def test_an_operator_s_word_comes_first(use: Use) -> None:
    """Whatever the node says."""
    assert nodes.unusable(Node(name="a", url="u", use=use), WELL, PATIENCE, NOW) == f"it is {use}"
    assert nodes.unusable(Node(name="a", url="u"), WELL, PATIENCE, NOW) == ""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", Malformed),
        (b"[]", BadField),
        (b"\xff", Malformed),
        (b'{"Name": "a"}', BadField),
        (b'{"Name": "a b", "URL": "x"}', BadField),
        (b'{"Name": "", "URL": "x"}', BadField),
        (b'{"Name": "a", "URL": "x", "Zone": "eu"}', BadField),
        (b'{"Name": "a", "URL": "x", "Labels": {"a b": "c"}}', BadField),
    ],
)
def test_what_is_no_node_is_refused(body: bytes, error: type[Exception]) -> None:
    """Naming the field."""
    with pytest.raises(error):
        decode_node(body)
