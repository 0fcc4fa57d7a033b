"""Scripts: long ones drawn from a seed, and short ones to crash at every callback of."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from tests.simulation import ops
from tests.simulation.engine import Fault
from tests.simulation.ops import Asked, Op, Script
from tests.simulation.programs import KINDS

SECONDS = 40.0
POLICIES = ("", "", "no", "always", "unless-stopped", "on-failure", "on-failure:2")
VERBS = (
    "look",
    "rename",
    "rows",
    "identity",
    "create",
    "start",
    "signal",
    "kill",
    "remove",
    "pull",
    "logs",
)
VERBS_MORE = (*VERBS, "changes", "rebuild", "create", "start", "create", "start", "look")

Draw = Callable[[Random, float, int], Op]

# What may happen, and how often beside the others.
DRAWS: tuple[tuple[int, Draw], ...] = (
    (8, lambda chance, at, task: ops.Send(at=at, task=task)),
    (3, lambda chance, at, task: ops.Repeat(at=at, task=task)),
    (1, lambda chance, at, task: ops.Reuse(at=at, task=task)),
    (1, lambda chance, at, task: ops.Change(at=at, task=task)),
    (3, lambda chance, at, task: ops.Newer(at=at, task=task)),
    (6, lambda chance, at, task: ops.Stop(at=at, task=task, stale=chance.random() < 0.2)),
    (2, lambda chance, at, task: ops.Exit(at=at, task=task, code=chance.choice((0, 0, 3, 143)))),
    (1, lambda chance, at, task: ops.Oom(at=at, task=task)),
    (1, lambda chance, at, task: ops.Vanish(at=at, task=task)),
    (1, lambda chance, at, task: ops.Murder(at=at, task=task)),
    (1, lambda chance, at, task: ops.Rename(at=at, task=task)),
    (1, lambda chance, at, task: ops.Copy(at=at, task=task)),
    (1, lambda chance, at, task: ops.Squat(at=at, task=task)),
    (2, lambda chance, at, task: ops.Sick(at=at, task=task, well=chance.random() < 0.4)),
    (8, lambda chance, at, task: _crash(chance, at)),
    (2, lambda chance, at, task: ops.KeepCopy(at=at)),
    (1, lambda chance, at, task: ops.OlderDb(at=at, pause=_pause(chance))),
    (1, lambda chance, at, task: ops.NoDb(at=at, pause=_pause(chance))),
    (1, lambda chance, at, task: ops.DiskFull(at=at, seconds=chance.uniform(0.1, 6))),
    (3, lambda chance, at, task: _engine_away(chance, at)),
    (1, lambda chance, at, task: ops.OtherEngine(at=at, seconds=chance.uniform(3, 40))),
    (3, lambda chance, at, task: ops.Garbled(at=at, seconds=chance.uniform(1, 20))),
    (12, lambda chance, at, task: _trouble(chance, at)),
    (1, lambda chance, at, task: ops.NoRegistry(at=at, seconds=chance.uniform(1, 20))),
)
WEIGHTS = [weight for weight, _ in DRAWS]


def script(seed: int) -> Script:
    """The script of a seed. The first tasks are asked for soon, so that something runs."""
    chance = Random(seed)
    tasks = tuple(_asked(chance) for _ in range(chance.randint(1, 4)))
    drawn: list[Op] = [
        ops.Send(at=round(chance.uniform(0, 3), 3), task=number + 1) for number in range(len(tasks))
    ]
    for _ in range(chance.randint(1, 24)):
        at = round(chance.uniform(0, SECONDS), 3)
        _, draw = chance.choices(DRAWS, WEIGHTS)[0]
        drawn.append(draw(chance, at, chance.randint(1, len(tasks))))
    return Script(seed=seed, tasks=tasks, ops=tuple(sorted(drawn, key=lambda op: op.at)))


def _asked(chance: Random) -> Asked:
    return Asked(
        program=chance.choice(KINDS),
        policy=chance.choice(POLICIES),
        image=chance.choice(("here:1", "here:1", "here:1", "far:1", "nowhere:1")),
        pull=chance.choice(("", "", "", "always", "never")),
        timeout=chance.choice((0, 0, 0, 0, 5, 30)),
        grace=chance.choice((0, 2, 2, 5)),
        probed=chance.random() < 0.2,
        ports=chance.random() < 0.2,
    )


def _pause(chance: Random) -> float:
    return chance.choice((0.0, 0.5, 3.0, 12.0))


def _crash(chance: Random, at: float) -> Op:
    """Soon after something was sent or seen; or much later, in the middle of whatever is."""
    callbacks = chance.randint(1, chance.choice((10, 60, 300)))
    return ops.Crash(at=at, callbacks=callbacks, pause=_pause(chance))


def _engine_away(chance: Random, at: float) -> Op:
    seconds = chance.choice((0.2, 2.0, 10.0))
    return ops.EngineAway(at=at, seconds=seconds, kills=chance.random() < 0.4)


def _trouble(chance: Random, at: float) -> Op:
    """Any fault may befall any request; only a list is served stale."""
    fault = chance.choice(list(Fault))
    verb = "rows" if fault is Fault.STALE else chance.choice(VERBS_MORE)
    return ops.Trouble(at=at, verb=verb, fault=fault)


def crashing(script: Script, callbacks: int) -> Script:
    """A script in which the worker also dies at its n-th callback."""
    crash = ops.Crash(at=0.0, callbacks=callbacks, pause=0.5)
    return msgspec.structs.replace(script, ops=(crash, *script.ops))


def stopping(script: Script, callbacks: int) -> Script:
    """A script in which the task is also stopped, just before the worker's n-th callback."""
    stop = ops.AtCallback(at=0.0, callbacks=callbacks, op=ops.Stop(at=0.0, task=1))
    return msgspec.structs.replace(script, ops=(stop, *script.ops))


def _short(*steps: Op, **asked: object) -> Script:
    rest = ops.Rest(at=steps[-1].at + 12.0)
    return Script(seed=0, tasks=(Asked(**asked),), ops=(*steps, rest))  # type: ignore[arg-type]


SEND = ops.Send(at=0.5, task=1)
SHORT: dict[str, Script] = {
    "runs and ends": _short(SEND, program="succeeds"),
    "ends at once": _short(SEND, program="succeeds at once"),
    "fails": _short(SEND, program="fails at once"),
    "is restarted": _short(SEND, program="is flaky", policy="on-failure"),
    "is pulled": _short(SEND, program="serves", image="far:1"),
    "is stopped": _short(SEND, ops.Stop(at=3.0, task=1)),
    "is stopped on its way up": _short(SEND, ops.Stop(at=0.6, task=1)),
    "is stopped against its will": _short(SEND, ops.Stop(at=3.0, task=1), program="is deaf"),
    "fails and is asked for again": _short(SEND, ops.Send(at=6.0, task=1), program="fails at once"),
    "begins a new life": _short(SEND, ops.Newer(at=8.0, task=1), program="succeeds"),
    "runs into its Timeout": _short(SEND, timeout=5),
    "vanishes": _short(SEND, ops.Vanish(at=3.0, task=1), policy="always"),
    "loses its start's answer": _short(
        ops.Trouble(at=0.1, verb="start", fault=Fault.LOST_ANSWER), SEND, program="succeeds"
    ),
    "is made late": _short(ops.Trouble(at=0.1, verb="create", fault=Fault.LATE), SEND),
    "survives its engine": _short(SEND, ops.EngineAway(at=3.0, seconds=5.0, kills=False)),
    "dies with its engine": _short(
        SEND, ops.EngineAway(at=3.0, seconds=5.0, kills=True), policy="always"
    ),
    "meets an older container, made late": _short(
        ops.Trouble(at=0.1, verb="create", fault=Fault.LATE),
        SEND,
        program="is flaky",
        policy="on-failure",
    ),
    "lives on beside an older one, made late": _short(
        ops.Trouble(at=0.1, verb="create", fault=Fault.LATE),
        SEND,
        ops.Exit(at=5.2, task=1, code=3),
        policy="on-failure",
    ),
    "is renamed, and made once more": _short(
        ops.Trouble(at=0.1, verb="create", fault=Fault.LATE), SEND, ops.Rename(at=5.6, task=1)
    ),
    "is stopped in an old Generation": _short(
        SEND, ops.Newer(at=3.0, task=1), ops.Stop(at=5.0, task=1, stale=True)
    ),
    "meets a stranger": _short(ops.Squat(at=0.1, task=1), SEND),
    "is adopted": _short(SEND, ops.NoDb(at=4.0, pause=0.5), ops.Stop(at=9.0, task=1)),
    "is older on record": _short(
        SEND,
        ops.KeepCopy(at=1.5),
        ops.OlderDb(at=9.0, pause=0.5),
        program="is flaky",
        policy="always",
    ),
}

# Short ones that tell some faults from a worker without them.
TELLING: dict[str, Script] = {
    "vanishes and is sent again": _short(
        SEND, ops.Vanish(at=4.0, task=1), ops.Repeat(at=8.0, task=1)
    ),
    "is restarted until its Timeout": _short(SEND, program="fails", policy="always", timeout=5),
    "is restarted by a late start": _short(
        SEND,
        ops.Trouble(at=1.5, verb="start", fault=Fault.LATE),
        program="succeeds at once",
        policy="always",
    ),
    "meets another engine": _short(SEND, ops.OtherEngine(at=4.0, seconds=35.0), policy="always"),
    "ends while its Db is lost": _short(
        SEND,
        ops.NoDb(at=4.0, pause=0.5),
        ops.EngineAway(at=4.2, seconds=12.0, kills=True),
        policy="on-failure",
    ),
}
UNHEARD = _short(
    SEND,
    ops.Garbled(at=2.0, seconds=10.0),
    *(ops.Exit(at=at, task=1, code=0) for at in (5.0, 6.0)),
    policy="always",
)
