"""How often, and when, containers were really started: I6, names, back-off, and the dead."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.simulation.client import id_of
from tests.simulation.engine import LATE_SECONDS, SLOW_SECONDS, Fault, Happened, short
from tests.simulation.laws import A_MOMENT

if TYPE_CHECKING:
    from tests.simulation.sim import Simulation

BACKOFF_SECONDS = 1.0
A_WHILE = 5.0  # seconds: a worker asks, and asks again


def check_starts(sim: Simulation) -> None:
    """All that the engine's true history must not have."""
    _check_the_dead(sim)
    if sim.manager.losses:
        return  # what an older Db does not know it cannot keep to
    of_task: defaultdict[str, list[Happened]] = defaultdict(list)
    for happened in sim.engine.history:
        of_task[happened.task_id].append(happened)
    for task_id, history in of_task.items():
        _check_names(sim, task_id, history)
        _check_count(sim, task_id, history)
        _check_backoff(sim, task_id, history)
        _check_deadline(sim, task_id, history)


def _check_names(sim: Simulation, task_id: str, history: list[Happened]) -> None:
    """No two containers run under one attempt's name, and none that has ended is run again."""
    ran: set[int] = set()
    for happened in history:
        if happened.what == "started" and happened.attempt in ran:
            sim.fails(f"{short(task_id)}: attempt {happened.attempt} was started twice")
        if happened.what == "started":
            ran.add(happened.attempt)


def _check_count(sim: Simulation, task_id: str, history: list[Happened]) -> None:
    """I6: without a restart policy it starts at most once per wish."""
    asked = sim.script.tasks[int(task_id[-4:], 16) - 1]
    starts = sum(happened.what == "started" for happened in history)
    if asked.policy in ("", "no") and starts > len(_wishes(sim, task_id)):
        sim.fails(f"I6: {short(task_id)} was started {starts} times")


def _wishes(sim: Simulation, task_id: str) -> dict[str | None, float]:
    """Accepted events that ask to run it, and when each was answered first."""
    wishes: dict[str | None, float] = {}
    for answer in sim.manager.answers:
        if answer.accepted and not answer.stops and answer.event.task_id == task_id:
            wishes.setdefault(answer.event.id, answer.at)
    return wishes


def _check_backoff(sim: Simulation, task_id: str, history: list[Happened]) -> None:
    """Between an end and the restart that nobody asked for lies a second, at least."""
    wishes, ended = _wishes(sim, task_id).values(), None
    for happened in history:
        if happened.what == "ended":
            ended = happened.at
        if happened.what == "started" and ended is not None:
            asked = any(at > ended - BACKOFF_SECONDS for at in wishes if at <= happened.at)
            if not asked and happened.at - ended < BACKOFF_SECONDS - A_MOMENT:
                sim.fails(f"{short(task_id)} was started again after {happened.at - ended:.2f} s")


def _check_deadline(sim: Simulation, task_id: str, history: list[Happened]) -> None:
    """The Timeout counts from the first start for a wish, not from the last restart.

    What was sent in time an engine may do late: by so much more, where it took long for a start.
    """
    late = SLOW_SECONDS if ("start", Fault.SLOW) in sim.engine.faults else LATE_SECONDS
    timeout = sim.script.tasks[int(task_id[-4:], 16) - 1].timeout
    asked = sorted(_wishes(sim, task_id).values())
    starts = [one.at for one in history if one.what == "started"]
    for at in starts if timeout else ():
        life = max((wish for wish in asked if wish <= at), default=0.0)
        first = min(start for start in starts if start >= life)
        if at - first > timeout + late + A_WHILE:
            sim.fails(f"{short(task_id)} was started {at - first:.1f} s after its first start")


def _check_the_dead(sim: Simulation) -> None:
    """What had ended when the Db was lost is recorded as ended, and never started again."""
    for number in range(1, len(sim.script.tasks) + 1):
        task_id = id_of(number)
        since = sim.dead_at_loss.get(task_id)
        asked = any(
            answer.event.task_id == task_id and since is not None and answer.at > since - 1.0
            for answer in sim.manager.answers
        )
        made = any(
            one.task_id == task_id
            and one.what == "made"
            and since is not None
            and one.at > since + 10
            for one in sim.engine.history
        )
        if since is not None and made and not asked:
            sim.fails(f"{short(task_id)} had ended when the Db was lost, and was started again")
