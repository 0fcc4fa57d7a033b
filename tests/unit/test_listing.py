"""Which tasks a list has, and what pages do while tasks come and go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman.errors import BadField, TaskGone
from keelman.listing import LIMIT_MOST, PARAMETERS, Entry, Listing
from keelman.task import State, Task
from keelman.wire import encode_task
from tests.unit.given import a_spec
from tests.unit.given_wire import an_id

P, S, R, C, F = State


def an_entry(number: int, state: State = R, **spec: Any) -> Entry:
    """The task of that number, at that place."""
    task = Task(id=an_id(number), spec=a_spec(**spec), state=state)
    return Entry(number, task.id, encode_task(task))


def ids(reports: list[bytes]) -> list[str]:
    return [msgspec.json.decode(report)["ID"] for report in reports]


def numbers(reports: list[bytes]) -> list[int]:
    known = {an_id(number): number for number in range(100)}
    return [known[task_id] for task_id in ids(reports)]


# -- which ---------------------------------------------------------------------------------------

SOME = [
    an_entry(1, P, name="web", labels={"tier": "front", "zone": "a"}),
    an_entry(2, R, name="web", labels={"tier": "back"}),
    an_entry(3, R, name="Web", labels={"zone": ""}),
    an_entry(4, C, name=""),
    an_entry(5, F, name="web", labels={"tier": "front", "zone": "b=c"}),
]


@pytest.mark.parametrize(
    ("asked", "labels", "found"),
    [
        pytest.param({}, [], [1, 2, 3, 4, 5], id="everything"),
        pytest.param({"state": "running"}, [], [2, 3], id="a state by name"),
        pytest.param({"state": "RuNNing"}, [], [2, 3], id="in any case"),
        pytest.param({"state": "2"}, [], [2, 3], id="a state by number"),
        pytest.param({"state": "pending,3,Failed"}, [], [1, 4, 5], id="one of several states"),
        pytest.param({"state": "1"}, [], [], id="a state that none is in"),
        pytest.param({"state": "0,1,2,3,4"}, [], [1, 2, 3, 4, 5], id="all states"),
        pytest.param({"name": "web"}, [], [1, 2, 5], id="exactly this name"),
        pytest.param({"name": "we"}, [], [], id="no part of a name"),
        pytest.param({"name": ""}, [], [4], id="those without a name"),
        pytest.param({}, ["tier"], [1, 2, 5], id="a label, whatever its value"),
        pytest.param({}, ["tier=front"], [1, 5], id="a label and its value"),
        pytest.param({}, ["zone="], [3], id="an empty value is a value"),
        pytest.param({}, ["zone=b=c"], [5], id="a value with = in it"),
        pytest.param({}, ["tier=front", "zone"], [1, 5], id="all labels, not one of them"),
        pytest.param({}, ["tier=front", "tier=back"], [], id="no label has two values"),
        pytest.param({"state": "4", "name": "web"}, ["tier"], [5], id="all that is asked"),
        pytest.param({"limit": "2"}, [], [1, 2], id="a page"),
        pytest.param({"limit": "2", "after": an_id(2)}, [], [3, 4], id="the next page"),
        pytest.param({"limit": "9", "after": an_id(4)}, [], [5], id="a last page is short"),
        pytest.param({"after": an_id(5)}, [], [], id="after the last is nothing"),
        pytest.param({"limit": "1", "state": "3"}, [], [4], id="a limit counts what matches"),
        pytest.param(
            {"after": an_id(1), "state": "3"}, [], [4], id="after one that does not match"
        ),
    ],
)
def test_a_list_has_what_is_asked_for_in_its_order(
    asked: dict[str, str], labels: list[str], found: list[int]
) -> None:
    """However the entries come."""
    assert numbers(Listing.of(asked, labels).page(reversed(SOME))) == found


def test_an_id_to_go_on_from_may_be_written_in_capitals() -> None:
    """As in paths."""
    assert numbers(Listing.of({"after": an_id(4).upper()}).page(SOME)) == [5]


def test_going_on_from_a_task_that_is_not_listed_is_refused() -> None:
    """Where its place was is not known any more: a guess would skip or repeat."""
    with pytest.raises(TaskGone, match=f"after: task {an_id(9)} is not in the list"):
        Listing.of({"after": an_id(9)}).page(SOME)


@pytest.mark.parametrize(
    ("asked", "labels", "words"),
    [
        ({"state": ""}, [], "state: '' is none of 0 pending, 1 scheduled"),
        ({"state": "5"}, [], "state: '5' is none of"),
        ({"state": "02"}, [], "state: '02' is none of"),
        ({"state": "2,"}, [], "state: '' is none of"),
        ({"state": "2, 3"}, [], "state: ' 3' is none of"),
        ({"state": "stopped"}, [], "state: 'stopped' is none of"),
        ({}, [""], "label: '' is neither KEY nor KEY=VALUE"),
        ({}, ["a", "=b"], "label: '=b' is neither"),
        ({"limit": "0"}, [], "limit: a page has at least one task"),
        ({"limit": str(LIMIT_MOST + 1)}, [], "limit: .* is not a whole number"),
        ({"limit": "ten"}, [], "limit: 'ten' is not a whole number"),
        ({"after": ""}, [], "after: '' is not a UUID"),
        ({"after": "x" * 500}, [], "after: 'x{80,81} is not a UUID"),
    ],
)
def test_what_makes_no_sense_is_named(asked: dict[str, str], labels: list[str], words: str) -> None:
    """And never taken for something else."""
    with pytest.raises(BadField, match=words):
        Listing.of(asked, labels)


def test_every_parameter_is_looked_at() -> None:
    """What the route table takes is not passed over here."""
    asked = {"state": "2", "name": "x", "limit": "1", "after": an_id(1)}
    listing = Listing.of(asked, ["a"])
    assert {one.name for one in PARAMETERS} == {*asked, "label"}
    for field in Listing.__struct_fields__:
        assert getattr(listing, field) != getattr(Listing(), field), field


# -- pages ---------------------------------------------------------------------------------------

STAY = frozenset(range(0, 40, 3))
NUMBERED = {
    (n, ended): an_entry(n, C if ended else R) for n in range(40) for ended in (False, True)
}


@given(
    limit=st.integers(1, 7),
    gone=st.lists(st.sets(st.integers(0, 39).filter(lambda n: n not in STAY)), max_size=20),
    moved=st.lists(st.sets(st.integers(0, 39)), min_size=1, max_size=20),
)
def test_pages_neither_skip_nor_repeat_what_was_there_all_the_time(
    limit: int, gone: list[set[int]], moved: list[set[int]]
) -> None:
    """Whatever comes, goes or no longer matches between two pages.

    Tasks in STAY are there and run all the time. Others come and go, at any place, and some of
    those have ended and do not match. The last one seen may have ended, but is still listed.
    """
    seen: list[int] = []
    asked = {"state": "running", "limit": str(limit)}
    for turn in range(60):
        last = set(seen[-1:])
        there = set(range(40)) - (gone[turn % len(gone)] if gone else set()) | last
        ended = moved[turn % len(moved)] - STAY
        asked |= {"after": an_id(max(last))} if last else {}
        entries = [NUMBERED[n, n in ended] for n in sorted(there, reverse=True)]
        page = numbers(Listing.of(asked).page(entries))
        seen += page
        if len(page) < limit:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) >= STAY
