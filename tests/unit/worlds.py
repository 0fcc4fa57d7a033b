"""Worlds to draw tests from: programs, pulls and specs, and what must hold of each in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from keelman.seen import Image, Missing, Present, Unavailable
from keelman.task import State
from tests.unit.engine import Program
from tests.unit.given import PORT_TAKEN
from tests.unit.world import World

REPEATABLE = settings(derandomize=True, database=None, deadline=None)

FOREVER = Program()
EXITS_0 = Program(runs_for=2)
EXITS_3 = Program(runs_for=2, code=3)
REFUSED = Program(refused=PORT_TAKEN)

NO_SUCH_IMAGE = Unavailable(at=0, final=True, message="no such image")
REGISTRY_DOWN = Unavailable(at=0, final=False, message="registry is down")

POLICIES = st.sampled_from(["", "no", "always", "unless-stopped", "on-failure", "on-failure:2"])
PROGRAMS = st.builds(
    Program,
    runs_for=st.sampled_from([None, 0.0, 2.0, 45.0, 900.0]),
    code=st.sampled_from([0, 3, 137]),
    oom=st.booleans(),
    refused=st.sampled_from([None, None, None, PORT_TAKEN]),
    outlives=st.sampled_from([0, 0, 1, 2, 3]),
    deaf=st.sampled_from([False, False, False, True]),
)
PULLS = st.lists(st.sampled_from([Present(), REGISTRY_DOWN, NO_SUCH_IMAGE, Missing()]), max_size=8)
ASKED = st.fixed_dictionaries(
    {
        "restart_policy": POLICIES,
        "timeout": st.sampled_from([0, 0, 30]),
        "stop_timeout": st.sampled_from([None, 0, 60]),
        "pull_policy": st.sampled_from(["", "", "never", "always"]),
    }
)


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What a task's containers do, what was asked for, and when a stop is sent in."""

    programs: tuple[Program, ...] = (FOREVER,)
    asked: dict[str, Any] = {}
    pulls: tuple[Image, ...] = ()
    stop_when: Callable[[World], bool] = lambda world: False

    def begins(self) -> World:
        world = World(*self.programs, pulls=self.pulls, **self.asked)
        world.ask()
        return world


def a_world(
    asked: dict[str, Any], programs: list[Program], pulls: list[Image], *, image_here: bool
) -> World:
    image = Present() if image_here else Missing()
    return World(*programs, pulls=tuple(pulls), image=image, **asked)


WORLDS = st.builds(
    a_world,
    ASKED,
    st.lists(PROGRAMS, min_size=1, max_size=4),
    PULLS,
    image_here=st.sampled_from([True, True, False]),
)


def check_a_stop_ends_it(world: World) -> None:
    """I8; and each container that ran, and that nobody else took away, is told of as RUNNING."""
    world.turn()
    was_live = world.task is not None and not world.ended
    world.stop()
    rests = world.settles()
    assert rests or world.stuck or (world.ended and world.engine.live), "it never comes to rest"
    assert world.state is State.COMPLETED or world.stuck or not was_live
    told = {move.attempt for move in world.log if move.to is State.RUNNING}
    assert set(world.engine.started) - set(world.engine.lost) <= told
