"""Progress: left alone, a task comes to rest, and a stop ends it within its time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from keelman.policy import PULL_RETRIES
from keelman.seen import Missing
from keelman.task import Reason, State
from tests.unit.engine import Program
from tests.unit.world import World
from tests.unit.worlds import (
    EXITS_0,
    EXITS_3,
    FOREVER,
    NO_SUCH_IMAGE,
    REFUSED,
    REGISTRY_DOWN,
    REPEATABLE,
    WORLDS,
    Life,
    check_a_stop_ends_it,
)

RUNNING, COMPLETED, FAILED = State.RUNNING, State.COMPLETED, State.FAILED


@settings(REPEATABLE, max_examples=200)
@given(world=WORLDS)
def test_left_alone_a_task_comes_to_rest_or_is_restarted_for_ever(world: World) -> None:
    world.ask()
    rests = world.settles(within=100)
    assert rests or world.stuck or (world.task is not None and world.task.attempt > 3)
    check_a_stop_ends_it(world)


@pytest.mark.parametrize(
    ("life", "state", "reason", "made"),
    [
        pytest.param(Life(programs=(EXITS_0,)), COMPLETED, Reason.EXITED, 1, id="exit 0"),
        pytest.param(Life(programs=(EXITS_3,)), FAILED, Reason.EXITED, 1, id="exit 3"),
        pytest.param(Life(), RUNNING, Reason.NONE, 1, id="runs for ever"),
        pytest.param(Life(programs=(REFUSED,)), FAILED, Reason.PORT_TAKEN, 1, id="port taken"),
        pytest.param(
            Life(programs=(EXITS_3,), asked={"restart_policy": "on-failure:2"}),
            FAILED, Reason.EXITED, 3, id="fails three times",
        ),
        pytest.param(
            Life(programs=(EXITS_3, EXITS_3, EXITS_0), asked={"restart_policy": "on-failure"}),
            COMPLETED, Reason.EXITED, 3, id="fails twice",
        ),
        pytest.param(
            Life(programs=(EXITS_0, EXITS_3, REFUSED, FOREVER), asked={"restart_policy": "always"}),
            RUNNING, Reason.NONE, 4, id="runs at last",
        ),
        pytest.param(
            Life(pulls=(REGISTRY_DOWN,) * PULL_RETRIES),
            RUNNING, Reason.NONE, 1, id="registry down for a while",
        ),
        pytest.param(
            Life(pulls=(REGISTRY_DOWN,) * (PULL_RETRIES + 1)),
            FAILED, Reason.IMAGE_UNAVAILABLE, 0, id="registry down for too long",
        ),
        pytest.param(
            Life(pulls=(NO_SUCH_IMAGE,)), FAILED, Reason.IMAGE_UNAVAILABLE, 0, id="no such image"
        ),
        pytest.param(
            Life(pulls=(Missing(), Missing())), RUNNING, Reason.NONE, 1, id="engine away in a pull"
        ),
        pytest.param(Life(asked={"timeout": 30}), FAILED, Reason.DEADLINE, 1, id="deadline"),
        pytest.param(
            Life(programs=(EXITS_3,), asked={"timeout": 5, "restart_policy": "always"}),
            FAILED, Reason.DEADLINE, 2, id="deadline in back-off",
        ),
    ],
)  # fmt: skip
def test_left_alone_a_task_ends_as_its_programs_do(
    life: Life, state: State, reason: Reason, made: int
) -> None:
    world = life.begins()
    assert world.settles()
    assert world.task is not None
    assert (world.state, world.task.reason) == (state, reason)
    assert world.engine.made == list(range(1, made + 1))
    assert made == 0 or world.task.restart_count == made - 1


@pytest.mark.parametrize(
    ("program", "asked", "seconds", "code"),
    [
        pytest.param(Program(), {}, 0, 143, id="heeds TERM"),
        pytest.param(Program(outlives=1), {}, 10, 137, id="heeds KILL"),
        pytest.param(Program(outlives=1), {"stop_timeout": 0}, 0, 137, id="heeds KILL, no grace"),
        pytest.param(
            Program(outlives=1), {"stop_timeout": 60}, 60, 137, id="heeds KILL, long grace"
        ),
        pytest.param(Program(outlives=2), {}, 20, None, id="goes by removal"),
        pytest.param(Program(deaf=True), {}, 40, None, id="no signal is answered"),
    ],
)
def test_a_stop_ends_completed_within_its_time(
    program: Program, asked: dict[str, Any], seconds: float, code: int | None
) -> None:
    world = Life(programs=(program,), asked=asked).begins()
    world.settles()
    asked_at = world.now
    world.stop()
    assert world.settles()
    assert world.task is not None
    assert (world.state, world.task.reason) == (COMPLETED, Reason.STOPPED)
    assert world.task.exit_code == code
    assert seconds <= world.now - asked_at <= seconds + 5


def test_a_stop_of_what_nothing_ends_is_reported_as_stuck_and_tried_for_ever() -> None:
    world = Life(programs=(Program(outlives=3),)).begins()
    world.settles()
    world.stop()
    assert not world.settles()
    assert (world.state, world.stuck) == (RUNNING, True)
    container = world.engine.containers.pop()
    world.engine.containers.append(msgspec.structs.replace(container, program=FOREVER))
    assert world.settles()
    assert world.state is COMPLETED
