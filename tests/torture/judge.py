"""What came of it all: counted, and each thing that is not as it must be in words. PURE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.torture.orders import FAILED, LIVE, RUNNING, Order, starts_of

SHOWN_MOST = 12


class Tally(Struct, frozen=True, kw_only=True):
    """One scenario's counts. Times are in seconds; `wrong` says what is not as it must be."""

    scenario: str
    rounds: str
    runs: int = 0
    stops: int = 0
    ran: int = 0
    lost: int = 0
    duplicated: int = 0
    orphans: int = 0
    gaps: int = 0
    transitions: int = 0
    recoveries: tuple[float, ...] = ()
    settled: float = 0.0
    notes: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        return not self.wrong

    def and_wrong(self, *words: str) -> Tally:
        """The same, with what else is not as it must be."""
        return msgspec.structs.replace(self, wrong=(*self.wrong, *words))


class Evidence(Struct, frozen=True, kw_only=True):
    """What everybody says in the end: manager, worker, engine, containers, listener."""

    orders: list[Order]
    tasks: dict[str, dict[str, Any]]
    containers: list[dict[str, Any]]
    starts: Path
    doubles: list[str]
    gaps: list[str]
    excused: frozenset[int] = frozenset()
    excused_reasons: frozenset[str] = frozenset()

    def is_excused(self, order: Order, task: dict[str, Any]) -> bool:
        """Whether it is FAILED, honestly, for what the engine did to it before it ever ran."""
        ran = starts_of(self.starts, order.task_id)
        return task["State"] == FAILED and task["Reason"] in self.excused_reasons and not ran

    @property
    def excuses(self) -> int:
        """How many tasks are excused so."""
        known = [one for one in self.accepted if one.task_id in self.tasks]
        return sum(self.is_excused(one, self.tasks[one.task_id]) for one in known)

    @property
    def accepted(self) -> list[Order]:
        return [order for order in self.orders if order.accepted]


def counted(evidence: Evidence) -> Tally:
    """The counts; `scenario` and the like are the caller's to fill in."""
    lost = [words for order in evidence.orders if (words := lost_words(order, evidence))]
    doubled = [*evidence.doubles, *_doubled(evidence)]
    orphans = list(_orphans(evidence))
    wrong = {"lost": lost, "duplicated": doubled, "orphan": orphans, "gap": evidence.gaps}
    return Tally(
        scenario="",
        rounds="",
        runs=len(evidence.accepted),
        stops=sum(order.stopped for order in evidence.orders),
        ran=sum(bool(starts_of(evidence.starts, order.task_id)) for order in evidence.orders),
        lost=len(lost),
        duplicated=len(doubled),
        orphans=len(orphans),
        gaps=len(evidence.gaps),
        wrong=tuple(f"{kind}: {one}" for kind, all_ in wrong.items() for one in all_[:SHOWN_MOST]),
    )


def lost_words(order: Order, evidence: Evidence) -> str:
    """What was acknowledged and is not so; empty when all is as it must be."""
    if order.refused:
        return f"{order.task_id} ({order.kind.name}): {order.refused}"
    if not order.accepted:
        return ""
    task = evidence.tasks.get(order.task_id)
    if task is None:
        return f"{order.task_id} ({order.kind.name}) is not on record"
    if evidence.is_excused(order, task):
        return ""
    told = {key: task[key] for key in ("State", "ExitCode", "Reason", "Attempt", "Message")}
    if not order.fits(task, evidence.excused):
        return f"{order.task_id} ({order.kind.name}, stopped: {order.stopped}) is {told}"
    if not order.stopped and not starts_of(evidence.starts, order.task_id):
        return f"{order.task_id} ({order.kind.name}) never ran and is {told}"
    if task["State"] == RUNNING and not _lives(task["ContainerID"], evidence):
        return f"{order.task_id} ({order.kind.name}) is RUNNING and no container lives"
    return ""


def _lives(container: str, evidence: Evidence) -> bool:
    return any(row["Id"] == container and row["State"] == "running" for row in evidence.containers)


def _doubled(evidence: Evidence) -> Iterator[str]:
    for order in evidence.orders:
        started = starts_of(evidence.starts, order.task_id)
        twice = [name for name, times in Counter(started).items() if times > 1]
        if twice:
            yield f"{order.task_id} ({order.kind.name}): {twice} started more than once"
        most = order.kind.starts
        if most is None:
            most = evidence.tasks.get(order.task_id, {}).get("Attempt", 0)
        if len(started) > most:
            yield f"{order.task_id} ({order.kind.name}) had {started}, at most {most} are right"


def _orphans(evidence: Evidence) -> Iterator[str]:
    """Containers of the worker that no task on record accounts for.

    An ended task keeps its last container until retention, also when it was stopped on the way to
    its next.
    """
    has = Counter(row["Labels"]["keelman.task"] for row in evidence.containers)
    for row in evidence.containers:
        task_id = row["Labels"]["keelman.task"]
        task = evidence.tasks.get(task_id)
        words = f"container {row['Id'][:12]} ({row['Status']}) of {task_id}"
        if task is None:
            yield f"{words}, which is not on record"
        elif has[task_id] > 1:
            yield f"{words}, which has {has[task_id]} of them"
        elif row["State"] == "running" and (
            task["State"] not in LIVE or task["ContainerID"] != row["Id"]
        ):
            yield f"{words}, which is {task['State']} with {task['ContainerID'][:12] or 'none'}"
