"""The judge of a tortured cluster: what was lost, is two copies of one number, or was left over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.torture import cluster_judge
from tests.torture.cluster_judge import Seen, counted, unsettled
from tests.torture.judge import Evidence, Tally
from tests.torture.orders import COMPLETED, FAILED, LONG, RUNNING, SCHEDULED, SERVICE, Kind, Order
from tests.torture.sightings import Copy, Sightings

TASK_ID = "t"


def an_order(kind: Kind = LONG, *, stopped: bool = False) -> Order:
    order = Order(kind, TASK_ID)
    order.accepted, order.stopped = True, stopped
    return order


def a_task(state: int = RUNNING, code: int | None = None, **told: Any) -> dict[str, Any]:
    usual = {"State": state, "ExitCode": code, "Reason": "", "Attempt": 1, "Message": ""}
    return {**usual, "Node": "b", "ContainerID": "c2", **told}


def a_copy(node: str = "b", number: int = 2, container: str = "c2") -> Copy:
    return Copy(task_id=TASK_ID, node=node, number=number, container=container)


def labels(copy: Copy) -> dict[str, str]:
    return {
        "keelman.task": copy.task_id,
        "keelman.worker": copy.node,
        "keelman.generation": str(copy.number),
    }


def a_container(copy: Copy, state: str = "running") -> dict[str, Any]:
    return {"Id": copy.container, "State": state, "Status": state, "Labels": labels(copy)}


OLD, NEW = a_copy("a", 1, "c1"), a_copy()


def judged(folder: Path, **other: Any) -> Tally:
    """One task that was moved from a to b, where it runs; its copy on a was stopped."""
    told = {
        "order": an_order(),
        "task": a_task(),
        "containers": [a_container(OLD, "exited"), a_container(NEW)],
        "started": (OLD, NEW),
        "overlaps": frozenset({(OLD, NEW)}),
        "killed": frozenset(),
        "gaps": [],
        **other,
    }
    (folder / TASK_ID).write_text("".join(f"{one.container}\n" for one in told["started"]))
    evidence = Evidence(
        orders=[told["order"]],
        tasks={TASK_ID: told["task"]} if told["task"] else {},
        containers=told["containers"],
        starts=folder,
        doubles=[],
        gaps=told["gaps"],
    )
    seen = Seen(started=told["started"], overlaps=told["overlaps"], killed=told["killed"])
    tally = counted(evidence, seen)
    assert bool(unsettled(evidence, seen)) is (tally.lost + tally.orphans > 0)
    return tally


def counts(tally: Tally) -> tuple[int, int, int, int]:
    return tally.lost, tally.duplicated, tally.orphans, tally.gaps


def test_a_task_that_was_moved_and_ran_twice_meanwhile_is_sound(tmp_path: Path) -> None:
    """At least one across a partition, as documented; the older copy is gone."""
    tally = judged(tmp_path)
    assert tally.sound
    assert (tally.runs, tally.ran, tally.stops) == (1, 1, 0)


LOST: dict[str, dict[str, Any]] = {
    "not on record": {"task": None, "containers": []},
    "ended, and was to run": {"task": a_task(COMPLETED, 0), "containers": []},
    "told to run where nothing lives": {"containers": [a_container(NEW, "exited")]},
    "killed, and nobody killed it": {"task": a_task(FAILED, 137), "containers": []},
}


@pytest.mark.parametrize("name", LOST)
def test_what_was_acknowledged_and_is_not_so_is_lost(name: str, tmp_path: Path) -> None:
    assert counts(judged(tmp_path, **LOST[name])) == (1, 0, 0, 0)


def test_what_was_killed_with_its_machine_has_failed_honestly(tmp_path: Path) -> None:
    """That container, and no other."""
    failed: dict[str, Any] = {"task": a_task(FAILED, 137), "containers": []}
    assert judged(tmp_path, **failed, killed=frozenset({"c2"})).sound
    assert judged(tmp_path, **failed, killed=frozenset({"c1"})).lost == 1


TWICE: dict[str, dict[str, Any]] = {
    "one number on two nodes": {"started": (a_copy("a", 2, "c1"), NEW)},
    "two containers of one number": {"started": (OLD, a_copy(container="c0"), NEW)},
    "two at once on one node": {
        "overlaps": frozenset({(a_copy("b", 1, "c1"), NEW)}),
    },
}


@pytest.mark.parametrize("name", TWICE)
def test_a_number_is_one_copy(name: str, tmp_path: Path) -> None:
    tally = judged(tmp_path, **TWICE[name])
    assert (tally.duplicated >= 1, tally.lost, tally.orphans) == (True, 0, 0)


def test_a_service_may_have_more_containers_of_one_number(tmp_path: Path) -> None:
    """On its node; its policy says so."""
    started = (a_copy(container="c0"), NEW)
    assert judged(tmp_path, order=an_order(SERVICE), started=started).sound
    elsewhere = (a_copy("a", 2, "c0"), NEW)
    assert judged(tmp_path, order=an_order(SERVICE), started=elsewhere).duplicated == 1


def test_an_older_copy_that_still_lives_is_one_too_many(tmp_path: Path) -> None:
    tally = judged(tmp_path, containers=[a_container(OLD), a_container(NEW)])
    assert counts(tally) == (0, 1, 1, 0)


LEFT: dict[str, dict[str, Any]] = {
    "stopped, and lives": {"order": an_order(stopped=True), "task": a_task(COMPLETED, 137)},
    "told to be on another node": {"task": a_task(SCHEDULED, Node="a"), "order": an_order(SERVICE)},
    "told to be another container": {
        "task": a_task(SCHEDULED, ContainerID=""),
        "order": an_order(SERVICE),
    },
}


@pytest.mark.parametrize("name", LEFT)
def test_what_nobody_answers_for_is_an_orphan(name: str, tmp_path: Path) -> None:
    assert counts(judged(tmp_path, **LEFT[name])) == (0, 0, 1, 0)


def test_a_live_container_of_no_task_is_an_orphan(tmp_path: Path) -> None:
    tally = judged(tmp_path, task=None, containers=[a_container(NEW)])
    assert tally.orphans == 1


def test_a_hole_in_the_log_is_counted(tmp_path: Path) -> None:
    assert counts(judged(tmp_path, gaps=["after 4 came 6"])) == (0, 0, 0, 1)


# -- what was seen ---------------------------------------------------------------------------------


def happened(action: str, copy: Copy) -> dict[str, Any]:
    actor = {"ID": copy.container, "Attributes": labels(copy)}
    return {"Action": action, "Actor": actor, "timeNano": 2}


def test_the_engines_events_tell_which_two_live_at_once() -> None:
    sightings = Sightings("")
    sightings._happened(happened("start", OLD), listed=1)
    assert sightings.overlaps == set()
    sightings._happened(happened("start", NEW), listed=1)
    assert sightings.overlaps == {(OLD, NEW)}
    assert list(sightings.started.values()) == [OLD, NEW]
    assert sightings.doubles == []


def test_one_after_the_other_is_no_overlap() -> None:
    sightings = Sightings("")
    for action, copy in (("start", OLD), ("die", OLD), ("start", NEW)):
        sightings._happened(happened(action, copy), listed=1)
    assert sightings.overlaps == set()


def test_how_often_two_lived_at_once_is_counted_by_numbers() -> None:
    """A service that restarts beside its older copy is the same two."""
    again = a_copy(container="c3")
    seen = Seen(overlaps=frozenset({(OLD, NEW), (OLD, again)}))
    assert cluster_judge.two_at_once(seen) == 1


# -- the log ---------------------------------------------------------------------------------------


def a_move(seq: int, task_id: str = TASK_ID, reason: str = "") -> dict[str, Any]:
    return {"Seq": seq, "TaskID": task_id, "Reason": reason}


def test_the_log_has_what_its_tasks_tell() -> None:
    log = [a_move(1), a_move(2, "other"), a_move(3)]
    told = {TASK_ID: [a_move(1), a_move(3)], "other": [a_move(2, "other")], "new": []}
    assert list(cluster_judge.unlike(log, told)) == []
    told[TASK_ID].pop()
    told["new"] = [a_move(4, "new")]
    assert len(list(cluster_judge.unlike(log, told))) == 2
    assert len(list(cluster_judge.unlike(log, {}))) == 2


def test_moves_are_those_away_from_lost_nodes() -> None:
    log = [a_move(1), a_move(2, reason="node_lost"), a_move(3, reason="drained")]
    assert cluster_judge.moves(log) == 1
