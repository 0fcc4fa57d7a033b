"""The judge of the torture: what was lost, ran twice, or was left over does not pass for sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.torture.judge import Evidence, counted
from tests.torture.orders import (
    COMPLETED,
    FAILED,
    FAILING,
    LONG,
    RUNNING,
    SERVICE,
    SHORT,
    Kind,
    Order,
)
from tests.torture.report import lines
from tests.torture.truth import Truth

TASK_ID, CONTAINER = "t", "c1"


def an_order(kind: Kind = LONG, *, accepted: bool = True, stopped: bool = False) -> Order:
    order = Order(kind, TASK_ID)
    order.accepted, order.stopped = accepted, stopped
    return order


def a_task(state: int = RUNNING, code: int | None = None, **told: Any) -> dict[str, Any]:
    usual = {"State": state, "ExitCode": code, "Reason": "", "Attempt": 1, "Message": ""}
    return {**usual, "ContainerID": CONTAINER, **told}


def a_container(name: str = CONTAINER, state: str = "running") -> dict[str, Any]:
    return {"Id": name, "State": state, "Status": state, "Labels": {"keelman.task": TASK_ID}}


def evidence(folder: Path, **other: Any) -> Evidence:
    """One task that runs, as it was asked to; `started` are the containers that told so."""
    started = other.pop("started", (CONTAINER,))
    (folder / TASK_ID).write_text("".join(f"{name}\n" for name in started))
    usual = {
        "orders": [an_order()],
        "tasks": {TASK_ID: a_task()},
        "containers": [a_container()],
        "doubles": [],
        "gaps": [],
    }
    return Evidence(**{**usual, **other}, starts=folder)


def test_what_is_as_it_must_be_is_sound(tmp_path: Path) -> None:
    tally = counted(evidence(tmp_path))
    assert tally.sound
    assert (tally.runs, tally.ran, tally.stops) == (1, 1, 0)


LOST: dict[str, dict[str, Any]] = {
    "not on record": {"tasks": {}, "containers": []},
    "refused": {"orders": [an_order(accepted=False)]},
    "never ran": {"started": ()},
    "told to run where nothing lives": {"containers": [a_container(state="exited")]},
    "failed": {"tasks": {TASK_ID: a_task(FAILED, 1)}, "containers": []},
    "stopped, and runs": {"orders": [an_order(stopped=True)]},
    "ended, with another code": {
        "orders": [an_order(FAILING)],
        "tasks": {TASK_ID: a_task(FAILED, 4)},
        "containers": [],
    },
    "ended well, where it cannot": {
        "orders": [an_order(FAILING)],
        "tasks": {TASK_ID: a_task(COMPLETED, 0)},
        "containers": [],
    },
    "a service that ended": {
        "orders": [an_order(SERVICE)],
        "tasks": {TASK_ID: a_task(COMPLETED, 0)},
        "containers": [],
    },
}
LOST["refused"]["orders"][0].refused = "409"


@pytest.mark.parametrize("name", LOST)
def test_what_was_acknowledged_and_is_not_so_is_lost(name: str, tmp_path: Path) -> None:
    tally = counted(evidence(tmp_path, **LOST[name]))
    assert (tally.lost, tally.sound) == (1, False)
    assert tally.wrong[0].startswith("lost: t")


TWICE: dict[str, dict[str, Any]] = {
    "one container started twice": {"started": (CONTAINER, CONTAINER)},
    "one container started twice, of as many attempts": {
        "orders": [an_order(SERVICE)],
        "tasks": {TASK_ID: a_task(Attempt=2)},
        "started": (CONTAINER, CONTAINER),
    },
    "two containers for one start": {"started": ("c0", CONTAINER)},
    "two at once, as the engine saw": {"doubles": ["two live containers of t"]},
    "more than its Attempt says": {
        "orders": [an_order(SERVICE)],
        "started": ("c0", CONTAINER),
    },
}


@pytest.mark.parametrize("name", TWICE)
def test_what_ran_more_often_than_it_may_is_counted(name: str, tmp_path: Path) -> None:
    tally = counted(evidence(tmp_path, **TWICE[name]))
    assert (tally.duplicated >= 1, tally.lost, tally.sound) == (True, 0, False)


LEFT: dict[str, dict[str, Any]] = {
    "of no task": {"orders": [], "tasks": {}},
    "a second one": {"containers": [a_container(), a_container("c2", "exited")]},
    "of a task that has ended": {
        "orders": [an_order(SHORT)],
        "tasks": {TASK_ID: a_task(COMPLETED, 0)},
    },
    "another than its task has": {
        "orders": [an_order(SERVICE)],
        "tasks": {TASK_ID: a_task(1, ContainerID="c0")},
    },
}


@pytest.mark.parametrize("name", LEFT)
def test_what_nobody_answers_for_is_an_orphan(name: str, tmp_path: Path) -> None:
    tally = counted(evidence(tmp_path, **LEFT[name]))
    assert (tally.orphans >= 1, tally.lost, tally.sound) == (True, 0, False)


def test_a_hole_in_the_log_is_counted_and_stands_out(tmp_path: Path) -> None:
    tally = counted(evidence(tmp_path, gaps=["after 4 came 6"]))
    assert (tally.gaps, tally.sound) == (1, False)
    assert "| **1** |" in list(lines([tally]))[-1]


def test_only_what_the_engine_itself_ended_is_excused(tmp_path: Path) -> None:
    """And only where it never ran, or ended as the engine ends containers."""
    failed = {"tasks": {TASK_ID: a_task(FAILED, 137, Reason="start_refused")}, "containers": []}
    assert not counted(evidence(tmp_path, **failed)).sound
    assert counted(evidence(tmp_path, **failed, excused=frozenset({137}))).sound
    reasons = frozenset({"start_refused"})
    assert not counted(evidence(tmp_path, **failed, excused_reasons=reasons)).sound  # it ran
    unstarted = evidence(tmp_path, **failed, excused_reasons=reasons, started=())
    assert (counted(unstarted).sound, unstarted.excuses) == (True, 1)


def told(action: str, container: str) -> dict[str, Any]:
    actor = {"ID": container, "Attributes": {"keelman.task": TASK_ID}}
    return {"Action": action, "Actor": actor, "timeNano": 2}


def test_the_engines_events_tell_of_two_that_live_at_once() -> None:
    truth = Truth("", "w")
    for action, container in (("start", "c1"), ("die", "c1"), ("start", "c2")):
        truth._happened(told(action, container), listed=1)
    assert truth.doubles == []
    truth._happened(told("start", "c3"), listed=1)
    assert len(truth.doubles) == 1
    assert truth.starts == 3


def test_the_engines_events_tell_how_many_are_on_their_way() -> None:
    truth = Truth("", "w")
    for action, container in (
        ("create", "c1"),
        ("create", "c2"),
        ("start", "c1"),
        ("create", "c3"),
    ):
        truth._happened(told(action, container), listed=1)
    assert truth.most_on_their_way == 2
