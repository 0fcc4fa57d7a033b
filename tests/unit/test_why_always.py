"""Every Explanation agrees with the step, whatever is wished, recorded and seen."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings

from keelman.explanation import Blocker
from keelman.task import EDGES, State, Wish, new_task
from keelman.why import MOVES
from tests.unit.given_why import check_explanation
from tests.unit.test_reconcile_product import SIGHTS, TASKS, WISHES
from tests.unit.test_reconcile_safety import MOVES as WHAT_HAPPENS
from tests.unit.test_reconcile_safety import SCRIPTS
from tests.unit.world import World
from tests.unit.worlds import REPEATABLE, WORLDS


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_step_has_its_words(state: State, wish: Wish | None) -> None:
    for task, seen in product(TASKS[state][::7], SIGHTS[::2]):
        check_explanation(wish, task, seen)


@settings(REPEATABLE, max_examples=100)
@given(world=WORLDS, script=SCRIPTS)
def test_whatever_happens_can_be_explained(world: World, script: list[str]) -> None:
    """Asked before each thing that happens, of what is so then."""
    world.ask()
    for name in script:
        check_world(world)
        WHAT_HAPPENS[name][1](world)


def check_world(world: World) -> None:
    task = world.task or (new_task(world.wish) if world.wish else None)
    if task is not None:
        check_explanation(world.wish, task, world.look(), world.now)


def test_a_story_has_many_reasons() -> None:
    """The tests above meet every kind of wait but those of the worker itself."""
    met = {
        Blocker(check_explanation(wish, task, seen).blocked.by)
        for wish, state in product(WISHES.values(), State)
        for task, seen in product(TASKS[state][::13], SIGHTS)
    }
    assert met == set(Blocker) - {Blocker.INTERNAL_ERROR, Blocker.CANNOT_RECORD}


def test_every_edge_has_its_words() -> None:
    assert set(MOVES) == EDGES
