"""What each op does to the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from keelman.manager.nodes import Use
from keelman.runtime.fake_container import FakeContainer
from tests.cluster import ops
from tests.cluster.machine import Node
from tests.cluster.ops import Op
from tests.simulation import ops as common
from tests.simulation.client import id_of

if TYPE_CHECKING:
    from tests.cluster.sim import Cluster

DEADLY = (ops.WorkerCrash, ops.WorkerDb, ops.Reboot, ops.EngineAway)
USES = {ops.Cordon: Use.CORDONED, ops.Uncordon: Use.OPEN, ops.Drain: Use.DRAINING}


def befall(sim: Cluster, op: Op) -> None:
    """Have one op happen now."""
    match op:
        case ops.OfTask():
            _befall_task(sim, op)
        case ops.Cordon() | ops.Uncordon() | ops.Drain() | ops.Remove() | ops.Join():
            _operate(sim, op)
        case ops.Cut() | ops.Message():
            _befall_link(sim, op)
        case ops.OfNode() if op.node:
            _befall_node(sim, sim.nodes[op.node - 1], op)
        case _:
            _befall_manager(sim, op)


def _befall_manager(sim: Cluster, op: Op) -> None:
    match op:
        case ops.AtManager() if sim.process is not None:
            sim.process.mark.within(op.callbacks, lambda: befall(sim, op.op))
        case ops.ManagerCrash() if sim.process is not None:
            sim.process.mark.within(op.callbacks, lambda: _kill(sim, op.pause))
        case ops.ManagerDisk():
            sim.disk.is_full = True
            sim.later(op.seconds, lambda: _empty(sim))
        case ops.Jump():
            sim.clock.ahead += op.seconds
        case _:
            pass


def _kill(sim: Cluster, pause: float) -> None:
    sim.pause = pause
    if sim.process is not None:
        sim.process.mark.kill()


def _empty(sim: Cluster) -> None:
    sim.disk.is_full = False


# -- tasks ---------------------------------------------------------------------------------------


def _befall_task(sim: Cluster, op: ops.OfTask) -> None:
    match op:
        case common.Exit() | common.Vanish() | common.Murder():
            for node in sim.nodes:
                if (one := node.engine.newest(id_of(op.task))) is not None and one.live:
                    node.engine.by("somebody", lambda node=node, one=one: _meddle(node, one, op))  # type: ignore[misc]
        case _:
            _ask(sim, op)


def _meddle(node: Node, one: FakeContainer, op: ops.OfTask) -> None:
    match op:
        case common.Exit():
            node.engine.exit(one.id, op.code)
        case common.Murder():
            node.engine.signal(one.id, "SIGKILL")
        case _:
            node.engine.vanish(one.id)


def _ask(sim: Cluster, op: ops.OfTask) -> None:
    events = sim.events[op.task]
    match op:
        case common.Stop():
            event = sim.a_stop(op.task)
        case common.Repeat() if events:
            event = events[-1]
        case common.Reuse() if events:
            other = sim.an_event(op.task, tag="-other")
            event = msgspec.structs.replace(other, id=events[-1].id)
        case common.Change():
            event = sim.an_event(op.task, tag="-changed")
        case _:
            event = sim.an_event(op.task, newer=2 if isinstance(op, common.Newer) else 0)
            events.append(event)
    sim.send(op.task, event)


# -- nodes ---------------------------------------------------------------------------------------


def _operate(sim: Cluster, op: ops.OfNode) -> None:
    match op:
        case ops.Remove():
            sim.operate(op.node, sim.operator.remove(op.node))
        case ops.Join():
            sim.operate(op.node, sim.operator.join(op.node))
        case _:
            sim.operate(op.node, sim.operator.use(op.node, USES[type(op)]))


def _befall_link(sim: Cluster, op: ops.Cut | ops.Message) -> None:
    link = sim.links[op.node - 1]
    match op:
        case ops.Message():
            link.plan(op)
        case ops.Cut():
            link.cut_for(op.way, op.seconds, sim.later)


def _befall_node(sim: Cluster, node: Node, op: ops.OfNode) -> None:
    node.was_dead |= isinstance(op, DEADLY)
    match op:
        case ops.WorkerCrash() if node.process is not None:
            node.process.mark.within(op.callbacks, lambda: node.kill(op.pause))
        case ops.WorkerDb() if node.process is not None:
            node.db_is_to_go = True
            node.kill(op.pause)
        case ops.Reboot() if node.process is not None and not node.engine.is_down:
            node.engine.dies()
            node.boots += 1
            node.kill(op.pause)
            sim.later(op.pause, node.engine.up)
        case ops.EngineAway() if not node.engine.is_down:
            node.engine.dies() if op.kills else node.engine.down()
            sim.later(op.seconds, node.engine.up)
        case ops.Gap():
            node.forget_events()
        case ops.Jump():
            node.clock.ahead += op.seconds
        case _:
            pass
