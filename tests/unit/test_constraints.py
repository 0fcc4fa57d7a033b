"""Constraints: read strictly, and said back in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman.errors import BadField
from keelman.manager.constraints import CONSTRAINTS_MOST, Constraint, parse, parse_all

EU = Constraint(key="node.labels.zone", equal=True, value="eu")
NOT_EU = Constraint(key="node.labels.zone", equal=False, value="eu")
ON_A = Constraint(key="node.name", equal=True, value="a")
NOT_ON_A = Constraint(key="node.name", equal=False, value="a")


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("node.labels.zone==eu", EU),
        ("node.labels.zone!=eu", NOT_EU),
        ("node.name==a", ON_A),
        ("node.name!=a", NOT_ON_A),
        (" node.name == a ", ON_A),
        ("node.name  !=a", NOT_ON_A),
    ],
)
def test_a_constraint_is_read(text: str, constraint: Constraint) -> None:
    assert parse(text) == constraint


@pytest.mark.parametrize(
    ("key", "value"),
    [("node.labels.example.org/rack-2", "r 2"), ("node.labels.a", "b==c"), ("node.labels.1", "é")],
)
def test_names_and_values_of_labels_are_taken_as_they_are(key: str, value: str) -> None:
    assert parse(f"{key}=={value}") == Constraint(key=key, equal=True, value=value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no constraint such as node.labels.zone==eu or node.name!=node-1"),
        ("zone", "is no constraint such as"),
        ("node.labels.zone=eu", "is no constraint such as"),
        ("node.labels.zone<eu", "is no constraint such as"),
        ("node.name==a\nb", "is no constraint such as"),
        ("node.name==" + "a" * 1024, "is no constraint such as"),
        ("zone==eu", "must begin with node.name or node.labels.KEY, not with 'zone'"),
        ("==eu", "must begin with node.name or node.labels.KEY, not with ''"),
        ("node.names==a", "must begin with node.name or node.labels.KEY, not with 'node.names'"),
        ("node.labels==a", "must begin with node.name or node.labels.KEY"),
        ("Node.Name==a", "must begin with node.name or node.labels.KEY, not with 'Node.Name'"),
        ("node.labels.==eu", "has no name of a label after node.labels."),
        ("node.labels.a b==eu", "has no name of a label after node.labels."),
        ("node.labels.-a==eu", "has no name of a label after node.labels."),
        ("node.name==", "says nothing after =="),
        ("node.labels.zone!= ", "says nothing after !="),
        ("node.name===a", "has after == what is no name or value of a label"),
        ("node.name==a\tb", "has after == what is no name or value of a label"),
    ],
)
def test_what_is_none_is_refused_with_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(BadField) as refused:
        parse(text)
    assert refused.value.message.startswith(f"Task.Constraints: {text[:80]!r} ")
    assert words in refused.value.message


@given(st.text() | st.from_regex(r"node\.(name|labels\.[a-z]{0,2}) ?[!=]=.{0,5}"))
def test_whatever_is_taken_is_the_same_when_it_is_written_and_read_again(text: str) -> None:
    """And all else is refused in words."""
    try:
        constraint = parse(text)
    except BadField:
        return
    assert parse(str(constraint)) == constraint


def test_the_constraints_of_a_task_are_the_same_in_any_order() -> None:
    """So that tasks that ask for the same are seen to."""
    texts = ["node.name!=a", "node.labels.zone==eu", "node.name != a"]
    assert parse_all(texts) == parse_all(reversed(texts)) == (EU, NOT_ON_A)
    assert parse_all([]) == ()


def test_there_are_only_so_many() -> None:
    texts = [f"node.name!={number}" for number in range(CONSTRAINTS_MOST + 1)]
    assert len(parse_all(texts[1:])) == CONSTRAINTS_MOST
    with pytest.raises(BadField, match=r"Task\.Constraints: 65 are more than 64"):
        parse_all(texts)


@pytest.mark.parametrize(
    ("constraint", "name", "labels", "words"),
    [
        (EU, "a", {"zone": "eu"}, ""),
        (EU, "a", {"zone": "us"}, "node.labels.zone==eu is asked for, and it is us"),
        (EU, "a", {"zone": "EU"}, "node.labels.zone==eu is asked for, and it is EU"),
        (EU, "a", {}, "node.labels.zone==eu is asked for, and it has no such label"),
        (NOT_EU, "a", {"zone": "us"}, ""),
        (NOT_EU, "a", {}, ""),
        (NOT_EU, "a", {"zone": "eu"}, "node.labels.zone!=eu is asked for"),
        (ON_A, "a", {}, ""),
        (ON_A, "b", {}, "node.name==a is asked for"),
        (ON_A, "A", {"name": "a"}, "node.name==a is asked for"),
        (NOT_ON_A, "b", {}, ""),
        (NOT_ON_A, "a", {}, "node.name!=a is asked for"),
    ],
)
def test_a_node_is_meant_or_it_is_said_why_not(
    constraint: Constraint, name: str, labels: dict[str, str], words: str
) -> None:
    assert constraint.objection(name, labels) == words
    assert constraint.allows(name, labels) == (words == "")
