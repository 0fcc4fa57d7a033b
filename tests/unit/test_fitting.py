"""Why a task is not on a node, as users read it."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.manager.constraints import parse_all
from keelman.manager.fitting import Ask, Offer, why_not
from tests.unit.given_asks import GIB

PLENTY: dict[str, Any] = {"cpu": 4.0, "memory": 8 * GIB, "disk": 100 * GIB}


def words(asked: dict[str, Any], offered: dict[str, Any]) -> str:
    return why_not(Ask(task_id="t", **asked), Offer(name="node-1", **{**PLENTY, **offered}))


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param(PLENTY, {}, id="all there is"),
        pytest.param({}, {"cpu": -1.0, "memory": -1, "disk": -1}, id="nothing of less than that"),
        pytest.param({"cpu": 0.1}, {"cpu": 1 - 9 * 0.1}, id="the tenth tenth of a core"),
        pytest.param({"ports": frozenset({"80/tcp"})}, {"ports": frozenset({"80/udp"})}, id="port"),
        pytest.param({"not_on": frozenset({"node-2"})}, {}, id="another refused it"),
        pytest.param({"avoid": frozenset({"node-1"})}, {}, id="better somewhere else"),
        pytest.param({"constraints": parse_all(["node.name==node-1"])}, {}, id="by name"),
    ],
)
def test_a_task_that_fits(asked: dict[str, Any], offered: dict[str, Any]) -> None:
    assert words(asked, offered) == ""


@pytest.mark.parametrize(
    ("asked", "offered", "told"),
    [
        ({"cpu": 2.0}, {"cpu": 0.5}, "needs 2 CPUs, 0.5 are left"),
        ({"cpu": 1.0}, {"cpu": 0.25}, "needs 1 CPU, 0.25 are left"),
        ({"cpu": 1.5}, {"cpu": 1.0}, "needs 1.5 CPUs, 1 is left"),
        ({"cpu": 10.0}, {"cpu": -3.0}, "needs 10 CPUs, 0 are left"),
        ({"cpu": 0.3}, {"cpu": 0.299999999}, "needs 0.3 CPUs, 0.299999999 are left"),
        ({"memory": GIB}, {"memory": GIB // 2}, "needs 1.0 GiB of memory, 512.0 MiB is left"),
        ({"memory": GIB}, {"memory": -GIB}, "needs 1.0 GiB of memory, 0 B is left"),
        (
            {"memory": GIB},
            {"memory": GIB - 1},
            "needs 1.0 GiB of memory, 1024.0 MiB is left",
        ),
        (
            {"memory": GIB + 1},
            {"memory": GIB},
            "needs 1073741825 B of memory, 1073741824 B is left",
        ),
        ({"disk": 2 * GIB}, {"disk": GIB}, "needs 2.0 GiB of disk, 1.0 GiB is left"),
        ({"disk": GIB}, {"disk": -GIB}, "needs 1.0 GiB of disk, 0 B is left"),
        (
            {"ports": frozenset({"8080/tcp", "53/udp"})},
            {"ports": frozenset({"8080/tcp"})},
            "host port 8080/tcp is taken",
        ),
        ({"not_on": frozenset({"node-1"})}, {}, "it refused this task"),
        ({}, {"schedulable": "cordoned"}, "cordoned"),
    ],
)
def test_a_task_that_does_not(asked: dict[str, Any], offered: dict[str, Any], told: str) -> None:
    assert words(asked, offered) == told


def test_all_that_is_in_the_way_is_told_at_once() -> None:
    """So that who mends one thing does not meet the next."""
    everything: dict[str, Any] = {
        "cpu": 5.0,
        "memory": 9 * GIB,
        "disk": 200 * GIB,
        "ports": frozenset({"81/tcp", "80/tcp"}),
        "constraints": parse_all(["node.name!=node-1", "node.labels.zone==eu"]),
        "not_on": frozenset({"node-1"}),
    }
    assert words(everything, {"ports": everything["ports"]}).split("; ") == [
        "it refused this task",
        "node.labels.zone==eu is asked for, and it has no such label",
        "node.name!=node-1 is asked for",
        "host port 80/tcp is taken",
        "host port 81/tcp is taken",
        "needs 5 CPUs, 4 are left",
        "needs 9.0 GiB of memory, 8.0 GiB is left",
        "needs 200.0 GiB of disk, 100.0 GiB is left",
    ]


def test_of_a_node_that_takes_nothing_no_more_is_told() -> None:
    """Whatever else is so there is of no use to anybody."""
    assert words({"cpu": 5.0}, {"schedulable": "lost"}) == "lost"
