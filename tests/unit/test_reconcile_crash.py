"""Crash: one death or one silence anywhere in a life, and it ends the same, states logged once."""

from __future__ import annotations

import pytest

from keelman.seen import Created, Present
from keelman.task import Reason, State
from tests.unit.engine import Program
from tests.unit.world import ANSWERS, Fault, World
from tests.unit.worlds import EXITS_0, EXITS_3, NO_SUCH_IMAGE, REFUSED, Life


def is_running(world: World) -> bool:
    return world.state is State.RUNNING


def is_made(world: World) -> bool:
    return bool(world.engine.made)


def is_pulling(world: World) -> bool:
    return world.state is State.SCHEDULED and not world.engine.made


def is_in_third_attempt(world: World) -> bool:
    return world.task is not None and world.task.restart_count == 2


LIVES = {
    "exit 0": Life(programs=(EXITS_0,)),
    "exit 3": Life(programs=(EXITS_3,)),
    "out of memory": Life(programs=(Program(runs_for=2, code=137, oom=True),)),
    "refused": Life(programs=(REFUSED,)),
    "no image": Life(pulls=(NO_SUCH_IMAGE,) * 9),
    "fails thrice": Life(programs=(EXITS_3,), asked={"restart_policy": "on-failure:2"}),
    "refused, then exit 0": Life(
        programs=(REFUSED, EXITS_0), asked={"restart_policy": "on-failure"}
    ),
    "stopped in back-off": Life(
        programs=(EXITS_3,), asked={"restart_policy": "always"}, stop_when=is_in_third_attempt
    ),
    "stopped": Life(stop_when=is_running),
    "stopped, outlives TERM": Life(programs=(Program(outlives=1),), stop_when=is_running),
    "stopped, outlives KILL": Life(programs=(Program(outlives=2),), stop_when=is_running),
    "stopped before it was started": Life(stop_when=is_made),
    "stopped in the pull": Life(stop_when=is_pulling),
    "deadline": Life(asked={"timeout": 30, "restart_policy": "always"}),
    "deadline, outlives TERM": Life(programs=(Program(outlives=1),), asked={"timeout": 30}),
}  # fmt: skip
LEFT_OUT = {Fault.NONE, Fault.LATE, Fault.CRASH_LATE, Fault.FAILS, Fault.REFUSES}
INTERRUPTIONS = [fault for fault in Fault if fault not in LEFT_OUT]


def lived(
    life: Life, fault: Fault = Fault.NONE, at: int = -1, away: float = 0, *, stop: bool = False
) -> World:
    """The world after that life, with one fault in its turn number `at` and some time lost.

    `stop` is whether a stop comes in that turn, between the record and the engine's answer.
    """
    world = life.begins()
    stopped = False
    for turn in range(150):
        if not stopped and life.stop_when(world):
            stopped = world.stop()
        fault_now = fault if turn == at else Fault.NONE
        busy = world.turn(fault_now, stopped_meanwhile=stop and turn == at)
        if turn == at:
            world.passes(away)
        if not busy and not world.sleeps():
            return world
    raise AssertionError("it does not come to rest")


@pytest.mark.parametrize("away", [0, 45], ids=["back at once", "back after 45 s"])
@pytest.mark.parametrize("fault", INTERRUPTIONS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("life", LIVES)
def test_one_crash_or_silence_anywhere_changes_nothing_of_how_it_ends(
    life: str, fault: Fault, away: float
) -> None:
    """Same end, as many containers, and each state logged once."""
    undisturbed = lived(LIVES[life])
    for at in range(40):
        disturbed = lived(LIVES[life], fault, at, away)
        assert disturbed.states == undisturbed.states, f"in turn {at}"
        assert told(disturbed) == told(undisturbed), f"in turn {at}"
        assert len(disturbed.engine.made) == len(undisturbed.engine.made), f"in turn {at}"


def told(world: World) -> tuple[object, ...]:
    task = world.task
    assert task is not None
    return (task.state, task.reason, task.message, task.exit_code, task.restart_count, task.ending)


@pytest.mark.parametrize("fault", [Fault.NONE, *ANSWERS], ids=lambda fault: fault.name)
@pytest.mark.parametrize("life", LIVES)
def test_a_stop_that_comes_during_any_action_has_the_last_word(life: str, fault: Fault) -> None:
    """Whatever the engine answers. A stop that came too late changed no wish."""
    for at in range(20):
        world = lived(LIVES[life], fault, at, stop=True)
        if world.wish is not None and world.wish.stops:
            assert told(world)[:2] == (State.COMPLETED, Reason.STOPPED), f"in turn {at}"


@pytest.mark.parametrize("fault", [Fault.LATE, Fault.CRASH_LATE], ids=lambda fault: fault.name)
@pytest.mark.parametrize("again", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("ends", [0, None], ids=["exits at once", "runs on"])
def test_a_start_that_outlives_whoever_sent_it_runs_nothing_a_second_time(
    fault: Fault, again: int, ends: float | None
) -> None:
    """A start of a container that has exited runs it again, whenever it comes."""
    for later in range(12):
        world = World(Program(runs_for=ends), image=Present())
        world.ask()
        world.turn()
        assert isinstance(world.look().body, Created)
        for turn in range(12):
            world.turn(fault if turn < again else Fault.NONE)
            world.passes(1)
            if turn == later:
                world.late_requests_arrive()
        world.late_requests_arrive()
        assert world.settles()
        assert world.starts == 1, f"done late after turn {later}"
        assert world.task is not None
        assert world.task.restart_count == 0
        assert world.state is (State.RUNNING if ends is None else State.COMPLETED)
