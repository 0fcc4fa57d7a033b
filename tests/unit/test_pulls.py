"""What a pull tells, line by line, in an engine's own words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from keelman.progress import Progress
from keelman.runtime.pulls import Layer, after, line_of, progress_of

SMALL, BIG = '"id": "5a1b"', '"id": "9c2d"'
NOTHING = '"progressDetail": {}'


def detail(current: int, total: int) -> str:
    return f'"progressDetail": {{"current": {current}, "total": {total}}}'


PULL = [
    ('{"status": "Pulling from library/busybox", "id": "1"}', Progress()),
    (f'{{"status": "Pulling fs layer", {NOTHING}, {SMALL}}}', Progress(layers=1)),
    (f'{{"status": "Pulling fs layer", {NOTHING}, {BIG}}}', Progress(layers=2)),
    (f'{{"status": "Waiting", {NOTHING}, {BIG}}}', Progress(layers=2)),
    (
        f'{{"status": "Downloading", {detail(10, 40)}, "progress": "[=> ]", {SMALL}}}',
        Progress(layers=2, bytes_done=10, bytes_total=40),
    ),
    (
        f'{{"status": "Downloading", {detail(100, 200)}, {BIG}}}',
        Progress(layers=2, bytes_done=110, bytes_total=240),
    ),
    (
        f'{{"status": "Verifying Checksum", {NOTHING}, {SMALL}}}',
        Progress(layers=2, bytes_done=140, bytes_total=240),
    ),
    (
        f'{{"status": "Retrying in 5 seconds", {NOTHING}, {BIG}}}',
        Progress(layers=2, bytes_done=140, bytes_total=240),
    ),
    (
        f'{{"status": "Downloading", {detail(5, 200)}, {BIG}}}',
        Progress(layers=2, bytes_done=45, bytes_total=240),
    ),
    (
        f'{{"status": "Extracting", {detail(1, 40)}, {SMALL}}}',
        Progress(layers=2, bytes_done=45, bytes_total=240),
    ),
    (
        f'{{"status": "Pull complete", {NOTHING}, {SMALL}}}',
        Progress(layers_done=1, layers=2, bytes_done=45, bytes_total=240),
    ),
    (
        f'{{"status": "Pull complete", {NOTHING}, {BIG}}}',
        Progress(layers_done=2, layers=2, bytes_done=240, bytes_total=240),
    ),
    (
        '{"status": "Digest: sha256:42"}',
        Progress(layers_done=2, layers=2, bytes_done=240, bytes_total=240),
    ),
]


def told(*lines: str) -> Progress:
    layers: Mapping[str, Layer] = {}
    for line in lines:
        layers = after(layers, line_of(line.encode()))
    return progress_of(layers.values())


@pytest.mark.parametrize("number", range(len(PULL)), ids=lambda number: PULL[number][0][:40])
def test_how_far_a_pull_is_after_each_line(number: int) -> None:
    assert told(*(line for line, _ in PULL[: number + 1])) == PULL[number][1]


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        (f'{{"status": "Already exists", {NOTHING}, {SMALL}}}', Progress(layers_done=1, layers=1)),
        (f'{{"status": "words of another engine", {NOTHING}, {SMALL}}}', Progress(layers=1)),
        (
            f'{{"status": "Downloading", {detail(7, -1)}, {SMALL}}}',  # a size that nobody knows
            Progress(layers=1, bytes_done=7, bytes_total=7),
        ),
        ('{"status": "Downloading", "progressDetail": null, "id": "1"}', Progress()),
        ('{"status": "Downloading", "progressDetail": {}}', Progress()),
        ("", Progress()),
        ("\r", Progress()),
        ("{}", Progress()),
    ],
)
def test_what_is_not_known_is_nothing(line: str, progress: Progress) -> None:
    assert told(line) == progress


def test_a_failure_is_told_as_such() -> None:
    line = b'{"errorDetail": {"message": "no space"}, "error": "no space", "more": 1}'
    assert line_of(line).error == "no space"


def test_what_is_no_line_of_a_pull_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        line_of(b"no json")
