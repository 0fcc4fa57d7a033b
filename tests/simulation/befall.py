"""What each op does to the world."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from keelman.errors import EngineError, EngineFailed
from keelman.runtime.fake_container import FakeContainer
from keelman.runtime.marks import container_name
from tests.simulation import ops
from tests.simulation.client import id_of
from tests.simulation.engine import NAME
from tests.simulation.ops import Op

if TYPE_CHECKING:
    from tests.simulation.sim import Simulation

NO_DB = 0.0


def befall(sim: Simulation, op: Op) -> None:
    """Have one op happen now."""
    match op:
        case ops.AtCallback():
            if sim.process is not None:
                sim.process.mark.within(op.callbacks, lambda: befall(sim, op.op))
        case ops.OfTask():
            _befall_task(sim, op)
        case ops.Crash() | ops.OlderDb() | ops.NoDb() | ops.KeepCopy() | ops.DiskFull():
            _strike_worker(sim, op)
        case _:
            _strike_engine(sim, op)


def _befall_task(sim: Simulation, op: ops.OfTask) -> None:
    match op:
        case ops.Exit() | ops.Oom() | ops.Vanish() | ops.Murder() | ops.Rename() | ops.Copy():
            one = sim.engine.newest(id_of(op.task))
            if one is not None and not sim.engine_is_swapped:
                sim.engine.by("somebody", lambda: _meddle(sim, one, op))
        case ops.Squat() | ops.Sick():
            _meddle_beside(sim, op)
        case _:
            _ask(sim, op)


def _ask(sim: Simulation, op: ops.OfTask) -> None:
    events = sim.events[op.task]
    match op:
        case ops.Stop():
            last = events[-1].generation if events else 0
            event = sim.a_stop(op.task, generation=max(last - 1, 0) if op.stale else 0)
        case ops.Repeat() if events:
            event = events[-1]
        case ops.Reuse() if events:
            other = sim.an_event(op.task, tag="-other")
            event = msgspec.structs.replace(other, id=events[-1].id)
        case ops.Change():
            event = sim.an_event(op.task, tag="-changed")
        case _:
            event = sim.an_event(op.task, newer=2 if isinstance(op, ops.Newer) else 0)
            events.append(event)
    sim.send(op.task, event)


def _meddle(sim: Simulation, one: FakeContainer, op: Op) -> None:
    """Somebody does something to a container of ours."""
    engine = sim.engine
    match op:
        case ops.Exit() if one.live:
            engine.exit(one.id, op.code)
        case ops.Oom() if one.live:
            engine._end(one, 137, oom=True)
        case ops.Murder() if one.live:
            engine.signal(one.id, "SIGKILL")
        case ops.Vanish() if "SIGKILL" not in one.program.ignores:
            engine.vanish(one.id)
        case ops.Rename():
            engine.rename(one.id, f"renamed-{one.id[:6]}")
        case ops.Copy():
            copy = engine.copy(one.id, f"copy-{one.id[:6]}-{len(engine.theirs)}")
            engine.theirs.add(copy)
            with suppress(EngineError):
                engine.start(copy)
        case _:
            pass


def _meddle_beside(sim: Simulation, op: Op) -> None:
    match op:
        case ops.Squat() if not sim.engine_is_swapped:
            newest = sim.engine.newest(id_of(op.task))
            attempt = sim.engine.attempt_of(newest.id) + 1 if newest else 1
            name = container_name(NAME, id_of(op.task), attempt)
            if sim.engine.find(name) is None:
                sim.engine.theirs.add(sim.engine.stranger(name))
        case ops.Sick():
            sim.engine.exec_codes[(f"check {op.task}",)] = 0 if op.well else 1
        case _:
            pass


def _strike_worker(sim: Simulation, op: Op) -> None:
    match op:
        case ops.KeepCopy() if sim.process is not None:
            sim.disk.copy()
            sim.kept_at.append(sim.clock())
        case ops.DiskFull():
            sim.disk.is_full = True
            sim.later(op.seconds, lambda: _empty_disk(sim))
        case ops.Crash() if sim.process is not None:
            sim.process.mark.within(op.callbacks, lambda: _kill(sim, op.pause))
        case ops.NoDb() | ops.OlderDb() if sim.process is not None:
            sim.between.append(lambda: _lose_db(sim, op))
            _kill(sim, op.pause)
        case _:
            pass


def _kill(sim: Simulation, pause: float) -> None:
    sim.pause = pause
    if sim.process is not None:
        sim.process.mark.kill()


def _empty_disk(sim: Simulation) -> None:
    sim.disk.is_full = False


def _lose_db(sim: Simulation, op: Op) -> None:
    """The Db is gone; or what was kept first takes its place."""
    if sim.engine_is_swapped:
        return  # a new Db would be about the other engine, and rightly refuse ours
    if isinstance(op, ops.NoDb):
        sim.note_the_dead()
        sim.disk.lose()
        sim.manager.lost(since=NO_DB)
        sim.engine.disown_renamed(known="")
    elif sim.disk.put_back():
        sim.manager.lost(since=sim.kept_at.pop(0))
        sim.dead_at_loss.clear()
        sim.engine.disown_renamed(known=str(sim.disk.read("SELECT task FROM tasks")))


def _strike_engine(sim: Simulation, op: Op) -> None:
    engine = sim.engine
    match op:
        case ops.Trouble():
            engine.plan(op.verb, op.fault)
        case ops.EngineAway() if not engine.is_down and not sim.engine_is_swapped:
            engine.dies() if op.kills else engine.down()
            sim.later(op.seconds, engine.up)
        case ops.Garbled():
            engine.garbles_events = True
            sim.later(op.seconds, lambda: _speak_clearly(sim))
        case ops.NoRegistry():
            engine.spoilt |= dict.fromkeys(("far:1", "here:1"), EngineFailed("registry is down"))
            sim.later(op.seconds, engine.spoilt.clear)
        case ops.OtherEngine() if sim.engine_may_go:
            sim.engine_is_swapped = True
            sim.begin(_another_engine(sim, op.seconds))
        case _:
            pass


def _speak_clearly(sim: Simulation) -> None:
    sim.engine.garbles_events = False


async def _another_engine(sim: Simulation, seconds: float) -> None:
    """Between the two there is a while with none."""
    engine = sim.engine
    engine.down()
    await asyncio.sleep(4.0)
    kept, engine.containers, engine.identity = engine.containers, {}, "OTHER"
    engine.up()
    await asyncio.sleep(seconds)
    engine.down()
    await asyncio.sleep(4.0)
    engine.containers, engine.identity = kept, "FAKE"
    engine.up()
    sim.engine_is_swapped = False
