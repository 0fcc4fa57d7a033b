"""Nothing is lost, whatever crashes: the real worker on an unreliable engine, in virtual time.

`make simulate` runs as many seeds as one likes; here are ten thousand, short scripts in which the
worker dies (or a stop comes) at every single step of its event loop, and proof that the nets hold.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.simulation import scripts, sim
from tests.simulation.faults import FAULTS
from tests.simulation.ops import Script
from tests.simulation.outcome import Outcome
from tests.simulation.shrink import report, shrunk
from tests.simulation.world import planted_run, prepared

pytestmark = pytest.mark.slow

FAULT_SEEDS_MOST = 200
DEATHS_MOST = 1_500


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with prepared():
        yield


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )


def test_no_seed_breaks_an_invariant(ten_thousand_seeds: tuple[int, str]) -> None:
    status, said = ten_thousand_seeds
    assert status == 0, said
    assert "10,000 seeds" in said


@pytest.mark.parametrize("name", scripts.SHORT)
def test_the_worker_may_die_at_every_step(name: str) -> None:
    at_every_step(scripts.SHORT[name], scripts.crashing)


@pytest.mark.parametrize("name", ["runs and ends", "is restarted", "is pulled", "meets a stranger"])
def test_a_stop_may_come_at_every_step(name: str) -> None:
    at_every_step(scripts.SHORT[name], scripts.stopping)


def at_every_step(script: Script, struck: Callable[[Script, int], Script]) -> None:
    """The script, struck at the first step of the worker's event loop, the second, and so on."""
    whole = checked(script).busy
    assert 20 < whole < DEATHS_MOST
    for callbacks in range(1, whole + 1):
        checked(struck(script, callbacks))


def checked(script: Script) -> Outcome:
    outcome = sim.run(script)
    assert not outcome.broken, report(outcome)
    return outcome


@pytest.mark.parametrize("name", FAULTS)
def test_each_deliberate_fault_is_caught(name: str) -> None:
    """By a short script, some strokes of bad luck, or else some seed."""
    with planted_run(name) as run:
        caught = any(run(script).broken for script in suspicious())
    assert caught, f"nothing broke in {FAULT_SEEDS_MOST} seeds"


def suspicious() -> Iterator[Script]:
    yield from scripts.SHORT.values()
    yield from scripts.TELLING.values()
    for callbacks in range(20, 100, 4):
        yield scripts.stopping(scripts.SHORT["meets a stranger"], callbacks)
    for seed in range(1, FAULT_SEEDS_MOST):
        yield msgspec.structs.replace(scripts.UNHEARD, seed=seed)
        yield scripts.script(seed)


def test_a_fault_is_caught_by_the_command_too() -> None:
    done = simulate("200", "1", "tell-before-record")
    assert done.returncode == 1
    assert "told before recorded" in done.stdout
    assert "make simulate SEEDS=1 FROM=" in done.stdout


@pytest.mark.parametrize("name", scripts.TELLING)
def test_what_tells_a_fault_tells_none_without(name: str) -> None:
    checked(scripts.TELLING[name])


def test_the_names_of_the_faults_are_printed_one_a_line() -> None:
    assert simulate("faults").stdout.split() == list(FAULTS)


def test_a_fault_that_is_none_is_refused() -> None:
    assert simulate("10", "1", "no-such-fault").returncode == 2


def test_a_seed_tells_the_same_story_twice() -> None:
    again = [simulate("1", "7", "tell-before-record").stdout for _ in range(2)]
    assert again[0] == again[1]
    assert "told before recorded" in again[0]


def test_what_is_shown_of_a_failure_is_the_least_that_breaks() -> None:
    with planted_run("tell-before-record") as run:
        outcome = shrunk(run(scripts.script(1)), run)
    assert outcome.broken
    assert len(outcome.script.ops) == 1, report(outcome)
