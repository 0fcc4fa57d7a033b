"""Truth: what a Transition says has its cause in what really happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelman.task import Reason, State, Transition
from tests.simulation import ops
from tests.simulation.client import id_of
from tests.simulation.engine import Happened, short
from tests.simulation.ops import Asked

if TYPE_CHECKING:
    from tests.simulation.sim import Simulation

OURS = ("our signal", "our kill", "our remove", "KILL, at last")


def check_cause(sim: Simulation, move: Transition) -> None:
    """I7, and more: no end that nobody made, and no exit code that nobody gave."""
    if not move.to.ended and not (move.from_ is State.RUNNING and move.to is State.SCHEDULED):
        return
    if not _is_true(sim, move):
        sim.fails(
            f"I7: {short(move.task_id)} {move.to.name} #{move.attempt} as {move.reason},"
            f" code {move.exit_code}, which is not so"
        )


def _is_true(sim: Simulation, move: Transition) -> bool:
    asked = sim.script.tasks[int(move.task_id[-4:], 16) - 1]
    mine = [one for one in sim.engine.history if one.task_id == move.task_id]
    ends = [one for one in mine if one.what == "ended" and one.container_id == move.container_id]
    match move.reason:
        case Reason.EXITED | Reason.KILLED_BY_OTHER:
            return _is_exit(move, ends)
        case Reason.OOM_KILLED:
            return bool(ends) and (asked.program == "hogs" or _befell(sim, move, ops.Oom))
        case Reason.STOPPED:
            return _was_stopped(sim, move)
        case Reason.VANISHED:
            return _is_gone(mine, move) or bool(sim.manager.losses)
        case Reason.ENGINE_ERROR:
            return any(sim.engine.refusals.values())
        case _:
            return _could_be(sim, move, asked)


def _is_exit(move: Transition, ends: list[Happened]) -> bool:
    """Its process gave that code; a COMPLETED one gave 0 by itself."""
    codes = [one.code for one in ends]
    if move.exit_code not in codes:
        return False
    return (move.to is State.COMPLETED) == (move.exit_code == 0) or move.to is State.SCHEDULED


def _was_stopped(sim: Simulation, move: Transition) -> bool:
    stops = [one for one in sim.manager.answers if one.stops and one.refusal is None]
    asked = any(one.event.task_id == move.task_id for one in stops)
    return asked and move.to is State.COMPLETED


def _is_gone(mine: list[Happened], move: Transition) -> bool:
    """Somebody else removed it, or we did and lost the record of why."""
    return any(one.what == "removed" and one.attempt >= move.attempt for one in mine)


def _befell(sim: Simulation, move: Transition, kind: type[ops.OfTask]) -> bool:
    return any(isinstance(op, kind) and id_of(op.task) == move.task_id for op in sim.script.ops)


def _could_be(sim: Simulation, move: Transition, asked: Asked) -> bool:
    match move.reason:
        case Reason.DEADLINE:
            return asked.timeout > 0
        case Reason.UNHEALTHY:
            return asked.probed and _befell(sim, move, ops.Sick)
        case Reason.IMAGE_UNAVAILABLE:
            spoilt = any(isinstance(op, ops.NoRegistry) for op in sim.script.ops)
            return asked.image != "here:1" or spoilt or bool(sim.engine.refusals["pull"])
        case Reason.COMMAND_NOT_FOUND:
            return asked.program == "is not found"
        case Reason.PORT_TAKEN:
            return asked.program == "wants a taken port" or asked.ports
        case Reason.START_REFUSED:  # whoever had its port was gone when it was looked at
            return asked.ports
        case Reason.NAME_TAKEN:
            return _befell(sim, move, ops.Squat) or _befell(sim, move, ops.Rename)
        case _:
            return False
