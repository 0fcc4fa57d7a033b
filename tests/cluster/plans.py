"""Short plans: to crash at every callback of, and one for each fault, which tells it from none."""

from __future__ import annotations

from tests.cluster import ops
from tests.cluster.ops import Fate, Op, Plan, Shape, Wanted, Way
from tests.simulation import ops as common

TWO = (Shape(), Shape(), Shape())


def _plan(
    *steps: Op,
    machines: tuple[Shape, ...] = TWO,
    tasks: int = 1,
    then_seconds: float = 80.0,
    **wanted: object,
) -> Plan:
    asked = Wanted(**wanted)  # type: ignore[arg-type]
    rest = common.Rest(at=steps[-1].at + then_seconds)
    return Plan(seed=0, tasks=(asked,) * tasks, ops=(*steps, rest), machines=machines)


SEND = common.Send(at=2.0, task=1)  # to n1: it is the first by name

SHORT: dict[str, Plan] = {
    "runs": _plan(SEND, common.Rest(at=4.0)),
    "is stopped": _plan(SEND, common.Stop(at=4.0, task=1)),
    "its node is lost": _plan(SEND, ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=30.0)),
    "its node is drained": _plan(SEND, ops.Drain(at=4.0, node=1)),
    "its node is removed": _plan(SEND, ops.Remove(at=4.0, node=1), ops.Join(at=5.0, node=1)),
}

# For each fault a plan in which it shows.
TELLING: dict[str, Plan] = {
    "number-not-raised": _plan(SEND, ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=60.0)),
    "old-copy-forgotten": _plan(SEND, ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=60.0)),
    "news-taken-twice": _plan(SEND, ops.WorkerCrash(at=5.0, node=1, callbacks=1, pause=1.0)),
    "sent-before-recorded": _plan(SEND, common.Rest(at=4.0)),
    "never-lost": _plan(SEND, ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=60.0)),
    "lost-at-once": _plan(SEND, ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=12.0)),
    "cordon-overlooked": _plan(ops.Cordon(at=1.0, node=1), SEND),
    "drained-at-once": _plan(
        SEND,
        ops.EngineAway(at=4.0, node=2, seconds=5.0, kills=False),
        ops.Drain(at=4.5, node=1),
    ),
    "any-copy-believed": _plan(
        SEND, ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=60.0), common.Rest(at=70.0)
    ),
    "left-copies-overlooked": _plan(SEND, ops.Remove(at=4.0, node=1), ops.Join(at=5.0, node=1)),
    "promise-not-counted": _plan(
        ops.Message(at=1.0, node=1, verb="send", fate=Fate.LOST_REQUEST, seconds=1.0),
        *(common.Send(at=2.0 * number, task=number) for number in (1, 2)),
        machines=(Shape(), Shape(cpu=2.0)),
        tasks=2,
        cpu=1.5,
    ),
    "gap-overlooked": _plan(
        SEND,
        ops.Cut(at=4.0, node=1, way=Way.BACK, seconds=15.0),
        ops.WorkerCrash(at=4.1, node=1, callbacks=1, pause=0.5),
        ops.Gap(at=10.0, node=1),
        program="succeeds",
    ),
    "stop-believed": _plan(
        SEND,
        ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=60.0),
        common.Stop(at=40.0, task=1),
        machines=(Shape(), Shape()),
    ),
    "adoption-overlooked": _plan(
        SEND,
        ops.Message(at=3.9, node=1, verb="list", fate=Fate.SLOW, seconds=1.0),
        ops.Remove(at=4.0, node=1),
        ops.Join(at=5.0, node=1),
        machines=(Shape(), Shape()),
    ),
    "clock-trusted": _plan(
        SEND,
        ops.Message(at=2.1, node=1, verb="stop", fate=Fate.LOST_REQUEST, seconds=1.0),
        ops.Jump(at=4.0, node=0, seconds=-10_800.0),
        common.Stop(at=5.0, task=1),
        ops.ManagerCrash(at=17.1, callbacks=1, pause=0.5),
    ),
    "not-waited-for": _plan(
        SEND, ops.Cut(at=4.0, node=1, way=Way.BOTH, seconds=60.0), alone=40, then_seconds=120.0
    ),
    "runs-nowhere": _plan(SEND, ops.Remove(at=4.0, node=1), machines=(Shape(), Shape())),
    "answer-before-commit": _plan(SEND, common.Rest(at=4.0)),
}
