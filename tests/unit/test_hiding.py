"""Values of Env are hidden, names are not, and nothing else changes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman import hiding, wire
from keelman.errors import BadField
from keelman.hiding import HIDDEN
from keelman.task import Task
from keelman.wire import encode_task
from tests.unit.given import a_spec, a_task
from tests.unit.given_wire import a_body

SECRET = 's3cret <&> "pass" \\ wörd'
LINES = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nc3VwZXJzZWNyZXQ=\n-----END KEY-----"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENVS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=4)


def test_a_spec_keeps_its_names() -> None:
    one = a_spec(env={"A": "1", "B": ""})
    assert hiding.spec(one) == a_spec(env={"A": HIDDEN, "B": HIDDEN})
    assert hiding.spec(a_spec()) == a_spec()


@given(ENVS, st.dictionaries(TEXT, TEXT, max_size=3), TEXT)
def test_of_a_report_nothing_but_values_of_env_changes(
    env: dict[str, str], labels: dict[str, str], name: str
) -> None:
    """Whatever stands in other fields, and looks like an Env."""
    spec = {"env": env, "labels": {**labels, "Env": '"Env":{}'}, "name": f'"Env":{{}}{name}'}
    told = encode_task(a_task(asked=spec))
    shown = json.loads(hiding.report(told))
    assert shown == {**json.loads(told), "Env": dict.fromkeys(env, HIDDEN)}
    assert list(shown) == list(json.loads(told))


def test_what_is_shown_is_still_a_report() -> None:
    report = hiding.report(encode_task(a_task(asked={"env": {"A": "1"}})))
    assert msgspec.json.decode(report, type=wire.TaskReport).env == {"A": HIDDEN}


def test_a_hidden_value_is_not_taken_for_a_value() -> None:
    """Who reads a task and sends it back would overwrite what he did not see."""
    with pytest.raises(BadField, match=r"Task\.Env: 'TOKEN' is \*\*\*"):
        wire.decode_event(a_body(task={"Env": {"A": "1", "TOKEN": HIDDEN}}))


# -- words of others -----------------------------------------------------------------------------

QUOTED = [
    ("as it is", f"invalid: [{SECRET}]"),
    ("as JSON", json.dumps({"Env": [SECRET]}, ensure_ascii=False)),
    ("as Python's JSON", json.dumps({"Env": [SECRET]})),
    ("as Python", repr([SECRET])),
    (
        "as Go",
        json.dumps([SECRET], ensure_ascii=False).replace("<&>", "\\u003c\\u0026\\u003e"),
    ),
    ("twice", f"{SECRET}{SECRET}"),
    ("in a pair", f"TOKEN={SECRET}"),
]


@pytest.mark.parametrize("text", [text for _, text in QUOTED], ids=[name for name, _ in QUOTED])
def test_a_value_is_found_however_it_is_quoted(text: str) -> None:
    told = hiding.words(text, {"TOKEN": SECRET})
    assert HIDDEN in told
    assert "pass" not in told
    assert "rd" not in told


def test_a_part_of_a_value_of_many_lines_is_found() -> None:
    """What is left of a key when only the last lines of an output are kept."""
    for line in LINES.splitlines():
        assert hiding.words(f"oops: {line}", {"KEY": LINES}) == f"oops: {HIDDEN}"


def test_a_value_inside_of_another_does_not_leave_the_rest() -> None:
    env = {"A": "password1", "B": "password1-and-more"}
    assert hiding.words("it was password1-and-more", env) == f"it was {HIDDEN}"


def test_short_values_are_known_by_their_names_only() -> None:
    """Else the words would tell nothing any more."""
    env = {"PORT": "8080", "EMPTY": ""}
    assert hiding.words("port 8080 is taken", env) == "port 8080 is taken"
    assert hiding.words("invalid: PORT=8080, EMPTY=", env) == f"invalid: PORT={HIDDEN}, EMPTY="


@given(TEXT)
def test_words_that_quote_nothing_are_as_they_were(text: str) -> None:
    assert hiding.words(text, {"TOKEN": SECRET}) == text
    assert hiding.words(text, {}) == text


def test_the_name_that_holds_a_value_is_told_without_it() -> None:
    """Somebody meant NAME=VALUE."""
    with pytest.raises(BadField) as refused:
        wire.decode_event(a_body(task={"Env": {"TOKEN=s3cret-pass": ""}}))
    assert "'TOKEN='" in refused.value.message
    assert "s3cret" not in refused.value.message


def test_a_task_without_env_is_told_as_it_is() -> None:
    report = encode_task(Task(id="x", spec=a_spec()))
    assert hiding.report(report) is report
