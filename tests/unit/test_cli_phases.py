"""How long the phases of a task took, from its Transitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keelman.cli import phases
from keelman.task import State
from keelman.wire import TransitionReport

BEGIN = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State


def moves(*steps: tuple[State, float, int], generation: int = 0) -> list[TransitionReport]:
    """Transitions to a State at a second, in an attempt."""
    befores = [PENDING, *(state for state, _, _ in steps)]
    return [
        TransitionReport(
            seq=0,
            task_id="t",
            generation=generation,
            attempt=attempt,
            from_=before,
            to=state,
            time=BEGIN + timedelta(seconds=at),
            reason="",
            message="",
            exit_code=None,
            container_id="",
        )
        for before, (state, at, attempt) in zip(befores, steps, strict=False)
    ]


def lines(history: list[TransitionReport], now: float) -> list[str]:
    found = phases.phases(history, BEGIN + timedelta(seconds=now))
    return [f"{phase.name}: {phases.line(phase)}" for phase in found]


START = [(SCHEDULED, 0, 1), (RUNNING, 2.5, 1)]
RESTARTED = [*START, (SCHEDULED, 3.5, 2), (RUNNING, 8.5, 2)]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([], []),
        (START[:1], ["starting: 1 m 40 s so far"]),
        (START, ["starting: 2.50 s", "running: 1 m 37 s so far"]),
        ([*START, (RUNNING, 50, 1)], ["starting: 2.50 s", "running: 1 m 37 s so far"]),
        ([*START, (FAILED, 4, 1)], ["starting: 2.50 s", "running: 1.50 s"]),
        (
            RESTARTED,
            [
                "starting: 5.00 s (2 attempts, 7.50 s together)",
                "running: 1 m 31 s so far (2 attempts, 1 m 32 s together)",
            ],
        ),
        ([(SCHEDULED, 0, 1), (FAILED, 3, 1)], ["starting: 3.00 s"]),
        ([(COMPLETED, 0, 0)], []),
        ([(SCHEDULED, 200, 1)], ["starting: 0.00 s so far"]),
    ],
    ids=[
        "no history",
        "starting",
        "running",
        "its health changed",
        "failed",
        "restarted",
        "never ran",
        "stopped at once",
        "a clock that is ahead",
    ],
)
def test_phases_are_told(steps: list[tuple[State, float, int]], told: list[str]) -> None:
    assert lines(moves(*steps), now=100) == told


def test_a_new_life_is_told_without_the_last() -> None:
    history = moves(*START, (COMPLETED, 9, 1)) + moves((SCHEDULED, 20, 2), generation=1)
    assert lines(history, now=21) == ["starting: 1.00 s so far"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "0.00 s"),
        (9.99, "9.99 s"),
        (9.999, "10 s"),
        (59.9, "59 s"),
        (60, "1 m 0 s"),
        (3599, "59 m 59 s"),
        (11100, "3 h 5 m"),
        (183600, "2 d 3 h"),
    ],
)
def test_a_span_has_two_units_at_most(seconds: float, text: str) -> None:
    assert phases.span(seconds) == text
