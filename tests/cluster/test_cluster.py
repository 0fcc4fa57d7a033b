"""Whole clusters in virtual time: real workers, a real manager, links that lose what they carry.

`make simulate-cluster` runs as many seeds as one likes; here are a few, short plans in which the
manager dies at one step of its event loop after another, and proof that the nets hold.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cluster import plans, scripts, sim
from tests.cluster.faults import FAULTS
from tests.cluster.ops import Plan
from tests.cluster.world import planted_run, prepared
from tests.simulation.outcome import Outcome
from tests.simulation.shrink import report

pytestmark = pytest.mark.slow

SEEDS = 20
DEATHS_APART = 23  # steps of the event loop between one death that is tried and the next


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with prepared():
        yield


def checked(plan: Plan, again: str = "") -> Outcome:
    outcome = sim.run(plan)
    assert not outcome.broken, f"{again}\n{report(outcome)}"
    return outcome


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_no_seed_breaks_a_law(seed: int) -> None:
    checked(scripts.script(seed), again=f"make simulate-cluster SEEDS=1 FROM={seed}")


@pytest.mark.parametrize("name", plans.SHORT)
def test_the_manager_may_die_anywhere(name: str) -> None:
    """Each plan begins at another step, so that together they try more of them."""
    plan = plans.SHORT[name]
    whole = checked(plan).busy
    assert whole > DEATHS_APART
    for callbacks in range(1 + list(plans.SHORT).index(name), whole + 1, DEATHS_APART):
        checked(scripts.crashing(plan, callbacks), again=f"dies at {callbacks}")


@pytest.mark.parametrize("name", FAULTS)
def test_each_deliberate_fault_is_caught(name: str) -> None:
    """By a plan in which nothing breaks without it."""
    checked(plans.TELLING[name])
    with planted_run(name) as run:
        assert run(plans.TELLING[name]).broken


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.cluster", *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )


def test_a_fault_is_told_with_its_seed_and_how_to_see_it_again() -> None:
    """The same story, each time."""
    said = [simulate("1", "1", "sent-before-recorded") for _ in range(2)]
    assert said[0].returncode == 1
    assert "make simulate-cluster SEEDS=1 FROM=1 FAULT=sent-before-recorded" in said[0].stdout
    assert "is sent to" in said[0].stdout
    assert said[0].stdout == said[1].stdout
