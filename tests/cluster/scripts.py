"""Plans: long ones drawn from a seed, and short ones to crash at every callback of."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from tests.cluster import ops
from tests.cluster.ops import Fate, Op, Plan, Shape, Wanted, Way
from tests.simulation import ops as common

SECONDS = 150.0
HOUR = 3600.0
PROGRAMS = ("serves",) * 6 + ("succeeds late", "succeeds", "fails", "is flaky")
POLICIES = ("", "", "", "always", "on-failure")
VERBS = ("send", "send", "send", "stop", "stop", "look", "list", "follow", "beat")

Draw = Callable[[Random, float, int, int], Op]

# What may happen, and how often beside the others.
DRAWS: tuple[tuple[int, Draw], ...] = (
    (6, lambda chance, at, task, node: common.Send(at=at, task=task)),
    (2, lambda chance, at, task, node: common.Repeat(at=at, task=task)),
    (1, lambda chance, at, task, node: common.Change(at=at, task=task)),
    (4, lambda chance, at, task, node: common.Newer(at=at, task=task)),
    (6, lambda chance, at, task, node: common.Stop(at=at, task=task)),
    (1, lambda chance, at, task, node: common.Exit(at=at, task=task, code=chance.choice((0, 3)))),
    (1, lambda chance, at, task, node: common.Vanish(at=at, task=task)),
    (1, lambda chance, at, task, node: common.Murder(at=at, task=task)),
    (10, lambda chance, at, task, node: _cut(chance, at, node)),
    (12, lambda chance, at, task, node: _message(chance, at, node)),
    (8, lambda chance, at, task, node: _crash(chance, at)),
    (1, lambda chance, at, task, node: ops.ManagerDisk(at=at, seconds=chance.uniform(0.1, 20))),
    (4, lambda chance, at, task, node: _worker_crash(chance, at, node)),
    (2, lambda chance, at, task, node: ops.Reboot(at=at, node=node, pause=_pause(chance))),
    (2, lambda chance, at, task, node: ops.WorkerDb(at=at, node=node, pause=_pause(chance))),
    (1, lambda chance, at, task, node: _engine_away(chance, at, node)),
    (2, lambda chance, at, task, node: ops.Gap(at=at, node=node)),
    (2, lambda chance, at, task, node: _jump(chance, at, node)),
    (2, lambda chance, at, task, node: ops.Cordon(at=at, node=node)),
    (2, lambda chance, at, task, node: ops.Uncordon(at=at, node=node)),
    (3, lambda chance, at, task, node: ops.Drain(at=at, node=node)),
    (2, lambda chance, at, task, node: ops.Remove(at=at, node=node)),
    (3, lambda chance, at, task, node: ops.Join(at=at, node=node)),
)
WEIGHTS = [weight for weight, _ in DRAWS]


def script(seed: int) -> Plan:
    """The plan of a seed. The first tasks are asked for soon, so that something runs."""
    chance = Random(seed)
    machines = tuple(_shape(chance) for _ in range(chance.choice((3, 3, 4, 4, 5))))
    nodes = len(machines) - 1
    tasks = tuple(_wanted(chance, nodes) for _ in range(chance.randint(1, 5)))
    drawn: list[Op] = [
        common.Send(at=round(chance.uniform(0, 10), 3), task=number + 1)
        for number in range(len(tasks))
    ]
    for _ in range(chance.randint(1, 24)):
        at = round(chance.uniform(0, SECONDS), 3)
        _, draw = chance.choices(DRAWS, WEIGHTS)[0]
        drawn.append(draw(chance, at, chance.randint(1, len(tasks)), chance.randint(1, nodes)))
    return Plan(
        seed=seed,
        tasks=tasks,
        ops=tuple(sorted(drawn, key=lambda op: op.at)),
        machines=machines,
        bin_pack=chance.random() < 0.4,
    )


def _shape(chance: Random) -> Shape:
    return Shape(
        cpu=chance.choice((2.0, 4.0, 4.0, 8.0)),
        rate=chance.choice((1.0, 1.0, 0.99, 1.01)),
        ahead=chance.choice((0.0, 0.0, 2 * HOUR, -2 * HOUR, 1.5)),
    )


def _wanted(chance: Random, nodes: int) -> Wanted:
    return Wanted(
        program=chance.choice(PROGRAMS),
        policy=chance.choice(POLICIES),
        grace=chance.choice((0, 2, 5)),
        cpu=chance.choice((0.0, 0.5, 1.0, 1.5)),
        zone=chance.choice((*(0,) * 9, chance.randint(1, nodes))),
        alone=chance.choice((0, 0, 0, 4, 12, 30)),
    )


def _pause(chance: Random) -> float:
    """Shorter than anyone minds, or so long that its node is lost."""
    return chance.choice((0.0, 0.5, 3.0, 12.0, 35.0))


def _cut(chance: Random, at: float, node: int) -> Op:
    seconds = chance.choice((1.0, 5.0, 15.0, 30.0, 60.0))
    return ops.Cut(at=at, node=node, way=chance.choice(list(Way)), seconds=seconds)


def _message(chance: Random, at: float, node: int) -> Op:
    seconds = chance.choice((1.0, 10.0, 30.0, 60.0))
    fate, verb = chance.choice(list(Fate)), chance.choice(VERBS)
    return ops.Message(at=at, node=node, verb=verb, fate=fate, seconds=seconds)


def _crash(chance: Random, at: float) -> Op:
    """Soon after something was sent or heard; or much later, in the middle of whatever is."""
    callbacks = chance.randint(1, chance.choice((10, 60, 300)))
    return ops.ManagerCrash(at=at, callbacks=callbacks, pause=_pause(chance))


def _worker_crash(chance: Random, at: float, node: int) -> Op:
    callbacks = chance.randint(1, chance.choice((10, 60, 300)))
    return ops.WorkerCrash(at=at, node=node, callbacks=callbacks, pause=_pause(chance))


def _engine_away(chance: Random, at: float, node: int) -> Op:
    seconds, kills = chance.choice((0.2, 2.0, 10.0)), chance.random() < 0.4
    return ops.EngineAway(at=at, node=node, seconds=seconds, kills=kills)


def _jump(chance: Random, at: float, node: int) -> Op:
    seconds = chance.choice((-3 * HOUR, -30.0, 30.0, 3 * HOUR))
    return ops.Jump(at=at, node=chance.choice((0, node)), seconds=seconds)


def crashing(plan: Plan, callbacks: int) -> Plan:
    """A plan in which the manager also dies at its n-th callback."""
    crash = ops.ManagerCrash(at=0.0, callbacks=callbacks, pause=0.5)
    return msgspec.structs.replace(plan, ops=(crash, *plan.ops))
