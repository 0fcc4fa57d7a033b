"""PullPolicy `always`: each attempt has its image pulled once, also when it is here already."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.reconcile import step
from keelman.seen import Create, Exited, Image, Missing, Present, Pull, Pulled, Pulling, Unavailable
from keelman.task import Reason, State, Task
from tests.unit.given import NOW, RUN, STOP, a_task, absent, exited, next_action, next_task
from tests.unit.world import World
from tests.unit.worlds import EXITS_3, FOREVER, REGISTRY_DOWN

ALWAYS: dict[str, Any] = {"pull_policy": "always"}
WANTING = a_task(State.SCHEDULED, asked=ALWAYS)
PULL = Pull(image="nginx:1")
FRESH = Present(pull=Pulled(at=WANTING.due))


def denied(*, at: float = NOW, final: bool = False) -> Unavailable:
    return Unavailable(at=at, final=final, message="the registry's words")


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Missing(), id="missing"),
        pytest.param(Present(), id="here, and nothing known of a pull"),
        pytest.param(Present(pull=Pulled(at=WANTING.due - 1)), id="pulled before it was due"),
        pytest.param(Present(pull=denied(at=WANTING.due - 1)), id="failed before it was due"),
    ],
)
def test_an_image_is_pulled_also_when_it_is_here(image: Image) -> None:
    after = step(RUN, WANTING, absent(image), NOW)
    assert (after.action, after.task.pulled) == (PULL, 0)


@pytest.mark.parametrize("policy", ["", "missing", "never"])
@pytest.mark.parametrize("pull", [None, Pulling(), denied(), Pulled(at=0)])
def test_other_policies_take_what_is_here(
    policy: str, pull: Pulling | Unavailable | Pulled | None
) -> None:
    task = a_task(State.SCHEDULED, asked={"pull_policy": policy})
    after = step(RUN, task, absent(Present(pull=pull)), NOW)
    assert (after.action, after.task.pulled) == (Create(attempt=1), 0)


def test_a_pull_that_is_under_way_is_waited_for() -> None:
    after = step(RUN, WANTING, absent(Present(pull=Pulling())), NOW)
    assert (after.action, after.wake, after.task) == (None, None, WANTING.but(wish=RUN.seq))


def test_a_pull_that_began_since_it_was_due_is_enough() -> None:
    after = step(RUN, WANTING, absent(FRESH), NOW)
    assert (after.action, after.task.pulled) == (Create(attempt=1), 1)


def test_a_pull_is_not_lost_by_waiting_for_a_slot() -> None:
    after = step(RUN, WANTING, absent(FRESH, slot=False), NOW)
    assert (after.action, after.task.pulled) == (None, 1)
    assert next_action(RUN, after.task, absent(Present())) == Create(attempt=1)


def test_a_create_that_is_tried_again_pulls_nothing_anew() -> None:
    task = next_task(RUN, WANTING, absent(FRESH)).but(due=NOW + 1, retries=1)
    assert next_action(RUN, task, absent(FRESH), NOW + 2) == Create(attempt=1)


def test_an_image_that_is_gone_again_is_pulled_again() -> None:
    assert next_action(RUN, WANTING.but(pulled=1), absent(Missing())) == PULL


def test_the_next_attempt_pulls_again() -> None:
    task = a_task(State.RUNNING, asked={**ALWAYS, "restart_policy": "always"}, pulled=1)
    sight = exited(3)
    assert isinstance(sight.body, Exited)
    again = next_task(RUN, task, sight)
    assert (again.state, again.attempt) == (State.SCHEDULED, 2)
    assert next_action(RUN, again, absent(FRESH), again.due) == PULL


def test_a_pull_that_failed_is_no_success_because_the_image_is_here() -> None:
    after = next_task(RUN, WANTING, absent(Present(pull=denied())))
    assert (after.state, after.reason, after.retries) == (
        State.SCHEDULED, Reason.IMAGE_UNAVAILABLE, 1,
    )  # fmt: skip
    last = next_task(RUN, WANTING, absent(Present(pull=denied(final=True))))
    assert (last.state, last.reason) == (State.FAILED, Reason.IMAGE_UNAVAILABLE)
    assert last.message == "the registry's words"


def test_a_stop_waits_for_no_pull() -> None:
    assert next_task(STOP, WANTING, absent(Present(pull=Pulling()))).state is State.COMPLETED


def pulls_of(world: World) -> list[Task]:
    """The task at each pull, until the world is at rest or it has been at it for long."""
    pulls: list[Task] = []
    for _ in range(60):
        moving = world.turn()
        if world.is_pulling and world.task and (not pulls or world.task != pulls[-1]):
            pulls.append(world.task)
        if not moving and not world.sleeps():
            break
    return pulls


def test_one_pull_for_each_attempt() -> None:
    always: dict[str, Any] = {"restart_policy": "always", "pull_policy": "always"}
    world = World(EXITS_3, EXITS_3, FOREVER, image=Present(), **always)
    world.ask()
    assert [task.attempt for task in pulls_of(world)] == [1, 2, 3]
    assert world.state is State.RUNNING


def test_a_registry_in_trouble_is_tried_again() -> None:
    pulls = (REGISTRY_DOWN, REGISTRY_DOWN)
    world = World(FOREVER, image=Present(), pulls=pulls, pull_policy="always")
    world.ask()
    assert [task.retries for task in pulls_of(world)] == [0, 1, 2]
    assert world.state is State.RUNNING
