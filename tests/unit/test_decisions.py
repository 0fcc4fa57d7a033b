"""The table of decisions: a rule that changes shows there, cell by cell."""

from __future__ import annotations

from typing import get_args

from keelman.seen import Action, Body
from keelman.task import State
from tests.unit.decided import ACTIONS, TASKS, sights
from tests.unit.decisions import TABLE, table


def test_the_core_decides_what_the_table_says() -> None:
    """A change that is meant: `make decisions`, and the diff belongs to the change."""
    assert table().splitlines() == TABLE.read_text().splitlines()


def test_the_table_has_every_state_every_kind_of_sight_and_every_action() -> None:
    assert {task.state for task in TASKS.values()} == {*State}
    assert {type(seen.body) for seen in sights(2).values()} == {*get_args(Body)}
    assert {type(action) for _, action in ACTIONS.values()} == {*get_args(Action)}
