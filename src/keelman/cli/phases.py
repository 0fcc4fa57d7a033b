"""How long a task took to start and how long it ran, from its Transitions. PURE.

What came before the first Transition is not in them: a task is taken up within milliseconds, and
what holds it up from there on (a pull, a back-off, a start slot) is part of its starting.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from keelman import words
from keelman.task import State
from keelman.wire import TransitionReport

NAMES = {State.SCHEDULED: "starting", State.RUNNING: "running"}


class Phase(Struct, frozen=True, kw_only=True):
    """One phase of a task. `last` is of the last attempt that had one, `every` of all; seconds."""

    name: str
    last: float
    every: float
    attempts: int
    goes_on: bool


class _Stay(Struct, frozen=True, kw_only=True):
    state: State
    attempt: int
    seconds: float


def phases(moves: Sequence[TransitionReport], now: datetime) -> list[Phase]:
    """The phases of the task's present life, in their order."""
    present = [move for move in moves if move.generation == moves[-1].generation]
    stays = _stays(present, now)
    known = ([stay for stay in stays if stay.state is state] for state in NAMES)
    return [_phase(some, goes_on=present[-1].to is some[0].state) for some in known if some]


def _stays(moves: Sequence[TransitionReport], now: datetime) -> list[_Stay]:
    """How long each Transition held: until the next, or now. Clocks may differ, time does not."""
    ends = [*(move.time for move in moves[1:]), now]
    return [
        _Stay(
            state=move.to,
            attempt=move.attempt,
            seconds=max((end - move.time).total_seconds(), 0.0),
        )
        for move, end in zip(moves, ends, strict=False)
    ]


def _phase(stays: Sequence[_Stay], *, goes_on: bool) -> Phase:
    return Phase(
        name=NAMES[stays[0].state],
        last=sum(stay.seconds for stay in stays if stay.attempt == stays[-1].attempt),
        every=sum(stay.seconds for stay in stays),
        attempts=len({stay.attempt for stay in stays}),
        goes_on=goes_on,
    )


def span(seconds: float) -> str:
    """`0.42 s`, `42 s`, `5 m 12 s`, `3 h 5 m` or `2 d 3 h`: two units at most."""
    if seconds < 9.995:  # what is not rounded up to 10.00
        return f"{seconds:.2f} s"
    return words.span(max(int(seconds), 10))


def line(phase: Phase) -> str:
    """`5 m 12 s so far (3 attempts, 9 m 1 s together)`."""
    lasted = span(phase.last) + (" so far" if phase.goes_on else "")
    if phase.attempts == 1:
        return lasted
    return f"{lasted} ({phase.attempts} attempts, {span(phase.every)} together)"
