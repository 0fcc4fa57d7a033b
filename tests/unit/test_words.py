"""How long and how much, in words; and what a Message says first."""

from __future__ import annotations

import pytest

from keelman.words import about, ago, headline, size, span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 m 0 s"),
        (312, "5 m 12 s"),
        (3599, "59 m 59 s"),
        (3600, "1 h 0 m"),
        (86_399, "23 h 59 m"),
        (86_400, "1 d 0 h"),
        (183_600, "2 d 3 h"),
    ],
)
def test_two_units_at_most(seconds: int, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words", "past"),
    [
        (-5.0, "less than 1 s", "just now"),
        (0.99, "less than 1 s", "just now"),
        (1.0, "1 s", "1 s ago"),
        (36.6, "37 s", "37 s ago"),
        (59.9, "1 m 0 s", "1 m 0 s ago"),
    ],
)
def test_what_is_not_exact_is_told_in_whole_seconds(seconds: float, words: str, past: str) -> None:
    assert (about(seconds), ago(seconds)) == (words, past)


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 << 29, "1.5 GiB"),
        (-(1 << 40), "-1.0 TiB"),
    ],
)
def test_how_much_is_told_in_the_largest_unit(size_bytes: int, words: str) -> None:
    assert size(size_bytes) == words


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("", ""),
        ("exited with code 3", "exited with code 3"),
        ("exited with code 3; its last lines:\none\ntwo", "exited with code 3"),
        ("\nfirst\nsecond", "first"),
    ],
)
def test_a_headline_is_the_first_line(message: str, words: str) -> None:
    assert headline(message) == words
