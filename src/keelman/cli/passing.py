"""What follows IMAGE on a `run` line belongs to the container's command, options and all."""

from __future__ import annotations

from cyclopts import ArgumentCollection
from cyclopts.utils import UNSET

END_OF_OPTIONS = "--"


def guarded(words: list[str], options: ArgumentCollection) -> list[str]:
    """The words with `--` before the IMAGE of a `run`; those of other commands as they are."""
    if words[:1] != ["run"]:
        return words
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] == END_OF_OPTIONS:
            return words
        at += 2 if _takes_next(words[at], options) else 1
    return [*words[:at], END_OF_OPTIONS, *words[at:]]


def _takes_next(word: str, options: ArgumentCollection) -> bool:
    """Whether an option's value is the next word: not in `--name=x`, `-px` or a flag."""
    if word.startswith("--"):
        return "=" not in word and _takes_value(word, options)
    for place, letter in enumerate(word[1:], start=2):
        if _takes_value(f"-{letter}", options):
            return place == len(word)
    return False


def _takes_value(option: str, options: ArgumentCollection) -> bool:
    try:
        _, _, implicit = options.match(option)
    except ValueError:
        return False
    return implicit is UNSET
