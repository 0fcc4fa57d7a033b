"""Safety: whatever goes wrong, no step breaks a law and no story an invariant."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from keelman.task import State
from tests.unit.world import ANSWERS, Fault, World
from tests.unit.worlds import REPEATABLE, WORLDS, check_a_stop_ends_it

Move = Callable[[World], object]


def turns(world: World) -> None:
    world.turn()
    world.pull_ends()


def retention(world: World) -> None:
    world.expired = world.ended
    world.turn()
    world.expired = False


# What may happen next, and how often it does against the rest.
MOVES: dict[str, tuple[int, Move]] = {
    "an undisturbed turn": (30, turns),
    "a tenth of a second": (1, lambda world: world.passes(0.1)),
    "a second and a half": (4, lambda world: world.passes(1.5)),
    "eleven seconds": (3, lambda world: world.passes(11)),
    "ten minutes": (2, lambda world: world.passes(600)),
    "the clock is set back": (1, lambda world: world.passes(-1000)),
    "asked to run": (2, lambda world: world.ask()),
    "asked to run anew": (1, lambda world: world.ask(newer=1)),
    "asked to stop": (1, lambda world: world.stop()),
    "asked to stop during an action": (1, lambda world: world.turn(stopped_meanwhile=True)),
    **{
        f"asked to stop, and {fault}": (1, partial(World.turn, fault=fault, stopped_meanwhile=True))
        for fault in ANSWERS
    },
    "exit 0": (1, lambda world: world.exits(0)),
    "exit 3": (2, lambda world: world.exits(3)),
    "out of memory": (1, lambda world: world.exits(137, oom=True)),
    "the container vanishes": (1, lambda world: world.vanishes()),
    "late requests arrive": (2, lambda world: world.late_requests_arrive()),
    "no slot": (1, lambda world: world.has_slot(False)),
    "a slot": (3, lambda world: world.has_slot(True)),
    "retention": (1, retention),
    **{str(fault): (1, partial(World.turn, fault=fault)) for fault in Fault},
}
SCRIPTS = st.lists(
    st.sampled_from([name for name, (weight, _) in MOVES.items() for _ in range(weight)]),
    min_size=40,
    max_size=80,
)


@settings(REPEATABLE, max_examples=400)
@given(world=WORLDS, script=SCRIPTS)
def test_whatever_goes_wrong_the_invariants_hold_and_a_stop_ends_it(
    world: World, script: list[str]
) -> None:
    """Every turn is held to the laws by World.turn; here is what needs the whole story."""
    world.ask()
    for name in script:
        MOVES[name][1](world)
        check_invariants(world)
    check_a_stop_ends_it(world)


def check_invariants(world: World) -> None:
    assert world.engine.live <= 1, "I1"
    if world.spec.restart_policy in {"", "no"}:
        assert world.starts <= 1, "I6"
    if world.log:
        assert world.log[0].from_ is State.PENDING
    if world.wish is not None and world.wish.stops:
        assert State.FAILED not in {move.to for move in world.log[world.stopped_at :]}, "I8"
    for one, next_ in pairwise(world.log):
        assert next_.from_ is one.to, "the log has a hole"
