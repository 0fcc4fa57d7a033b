"""Values of query parameters."""

from __future__ import annotations

import pytest

from keelman import params
from keelman.errors import BadField


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("100", 100)], ids=str
)
def test_a_whole_number_is_read(text: str, number: int) -> None:
    assert params.integer({"tail": text}, "tail", most=100) == number


@pytest.mark.parametrize(
    "text",
    ["", " 7", "7 ", "-1", "+1", "1.0", "1e2", "0x1", "1_0", "101", "9" * 20, "\u0661", "7\n"],
)
def test_what_is_no_whole_number_up_to_the_most_is_refused(text: str) -> None:
    with pytest.raises(BadField, match=r"^tail: .* is not a whole number from 0 to 100$"):
        params.integer({"tail": text}, "tail", most=100)


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0.0), ("0.25", 0.25), ("60", 60.0), ("1.000000000", 1.0)], ids=str
)
def test_seconds_are_read(text: str, number: float) -> None:
    assert params.seconds({"timeout": text}, "timeout", most=60) == number


@pytest.mark.parametrize(
    "text",
    ["", "-1", ".5", "5.", "1e1", "nan", "inf", "60.1", "1s", "1,5", "0." + "1" * 10, "\u0661"],
)
def test_what_is_no_number_of_seconds_up_to_the_most_is_refused(text: str) -> None:
    with pytest.raises(BadField, match=r"^timeout: .* is not a number of seconds from 0 to 60$"):
        params.seconds({"timeout": text}, "timeout", most=60)


def test_a_choice_is_one_of_the_allowed_words() -> None:
    assert params.choice({"wait": "ended"}, "wait", "running", "ended") == "ended"
    with pytest.raises(BadField, match=r"^wait: 'Ended' is none of running, ended$"):
        params.choice({"wait": "Ended"}, "wait", "running", "ended")


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("true", True), ("0", False), ("false", False)], ids=str
)
def test_a_flag_is_one_or_true_zero_or_false(text: str, value: bool) -> None:
    assert params.flag({"follow": text}, "follow") is value


@pytest.mark.parametrize("text", ["", "yes", "True", "2", "on"])
def test_any_other_word_is_no_flag(text: str) -> None:
    with pytest.raises(BadField, match=r"^follow: "):
        params.flag({"follow": text}, "follow")


def test_what_is_not_given_is_none_and_a_flag_is_not_set() -> None:
    assert params.integer({}, "tail", most=1) is None
    assert params.seconds({}, "timeout", most=1) is None
    assert params.choice({}, "wait", "x") is None
    assert params.flag({}, "follow") is False


def test_a_long_value_is_not_thrown_back_whole() -> None:
    with pytest.raises(BadField) as caught:
        params.integer({"tail": "x" * 100_000}, "tail", most=1)
    assert len(caught.value.message) < 200
