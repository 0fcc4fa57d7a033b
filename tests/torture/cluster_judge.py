"""What came of it all in a cluster: counted, and what is not as it must be in words. PURE.

That a task runs twice across a partition is documented, and only counted. Never is it in order that
one number is two copies, that a node has two at once, or that two are left in the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tests.torture import judge
from tests.torture.judge import SHOWN_MOST, Evidence, Tally
from tests.torture.orders import KILLED, LIVE, Order, starts_of
from tests.torture.sightings import Copy, copy_of

Row = dict[str, Any]
NODE_LOST = "node_lost"


class Seen(Struct, frozen=True, kw_only=True):
    """What the engine saw, and the containers that were killed on purpose with their machine."""

    started: Sequence[Copy] = ()
    overlaps: frozenset[tuple[Copy, Copy]] = frozenset()
    killed: frozenset[str] = frozenset()


def counted(evidence: Evidence, seen: Seen) -> Tally:
    """The counts; `scenario` and the like are the caller's to fill in."""
    lost = [words for order in evidence.orders if (words := lost_words(order, evidence, seen))]
    twice = [*_one_number_twice(evidence, seen), *_on_one_node(seen), *left_twice(evidence)]
    orphans = list(orphaned(evidence))
    wrong = {"lost": lost, "duplicated": twice, "orphan": orphans, "gap": evidence.gaps}
    return Tally(
        scenario="",
        rounds="",
        runs=len(evidence.accepted),
        stops=sum(order.stopped for order in evidence.orders),
        ran=sum(bool(starts_of(evidence.starts, order.task_id)) for order in evidence.orders),
        lost=len(lost),
        duplicated=len(twice),
        orphans=len(orphans),
        gaps=len(evidence.gaps),
        wrong=tuple(f"{kind}: {one}" for kind, all_ in wrong.items() for one in all_[:SHOWN_MOST]),
    )


def unsettled(evidence: Evidence, seen: Seen) -> list[str]:
    """What is not as it must be, and may still become so."""
    lost = [lost_words(order, evidence, seen) for order in evidence.accepted]
    return [*filter(None, lost), *left_twice(evidence), *orphaned(evidence)]


def lost_words(order: Order, evidence: Evidence, seen: Seen) -> str:
    """What was acknowledged and is not so; a container that was killed is excused its exit code."""
    task = evidence.tasks.get(order.task_id, {})
    excused = KILLED if task.get("ContainerID") in seen.killed else ()
    return judge.lost_words(order, msgspec.structs.replace(evidence, excused=frozenset(excused)))


# -- twice -----------------------------------------------------------------------------------------


def _one_number_twice(evidence: Evidence, seen: Seen) -> Iterator[str]:
    """A number is one copy: on one node, and in as many containers as its policy says."""
    kinds = {order.task_id: order.kind for order in evidence.orders}
    numbers: dict[tuple[str, int], list[Copy]] = defaultdict(list)
    for copy in seen.started:
        numbers[copy.task_id, copy.number].append(copy)
    for (task_id, number), copies in numbers.items():
        nodes = sorted({copy.node for copy in copies})
        most = kinds[task_id].starts if task_id in kinds else 1
        if len(nodes) > 1:
            yield f"number {number} of {task_id} ran on {nodes}"
        if most is not None and len(copies) > most:
            yield f"number {number} of {task_id} had {[one.container[:12] for one in copies]}"


def _on_one_node(seen: Seen) -> Iterator[str]:
    for older, newer in seen.overlaps:
        if older.node == newer.node:
            yield f"two live containers of {newer.task_id} at once on {newer.node}"


def left_twice(evidence: Evidence) -> Iterator[str]:
    """Copies that live beside another in the end."""
    for task_id, live in Counter(copy.task_id for copy in _live(evidence)).items():
        if live > 1:
            yield f"{task_id} has {live} live copies in the end"


# -- orphans ---------------------------------------------------------------------------------------


def orphaned(evidence: Evidence) -> Iterator[str]:
    """Live containers that no task on the manager's record accounts for. Ended ones may be kept."""
    for copy in _live(evidence):
        words = f"container {copy.container[:12]} on {copy.node} of {copy.task_id}"
        task = evidence.tasks.get(copy.task_id)
        if task is None:
            yield f"{words}, which is not on record"
        elif task["State"] not in LIVE:
            yield f"{words}, which is {task['State']}"
        elif (task["Node"], task["ContainerID"]) != (copy.node, copy.container):
            yield f"{words}, which is on {task['Node']} in {task['ContainerID'][:12] or 'none'}"


def _live(evidence: Evidence) -> list[Copy]:
    rows = (row for row in evidence.containers if row["State"] == "running")
    return [copy_of(row["Id"], row["Labels"]) for row in rows]


# -- the log ---------------------------------------------------------------------------------------


def unlike(log: Iterable[Row], told: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Tasks whose own Transitions are not those that the cluster's log has of them."""
    logged: dict[str, list[Row]] = defaultdict(list)
    for move in log:
        logged[move["TaskID"]].append(move)
    for task_id in sorted({*logged, *told}):
        if list(told.get(task_id, ())) != logged[task_id]:
            yield f"the log has other Transitions of {task_id} than the task"


def moves(log: Iterable[Row]) -> int:
    """How often a task was taken away from a node that was lost."""
    return sum(move["Reason"] == NODE_LOST for move in log)


def two_at_once(seen: Seen) -> int:
    """How often a second copy was started while the first lived, on another node."""
    pairs = {(one.task_id, one.number, two.number) for one, two in seen.overlaps}
    return len(pairs)
