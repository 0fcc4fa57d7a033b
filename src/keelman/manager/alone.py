"""Tasks of which no two copies may live: those with `StopAfterDisconnect`. PURE.

A worker that has not been heard stops such a task by itself, counted from a moment of its own that
the manager has had in an answer. What it was sent since, and whether that came, does not matter. So
`heard`, when the last answer came, is before nothing that the worker counts from.
"""

from __future__ import annotations

from keelman.task import Task

MARGIN_SECONDS = 30.0  # a signal, KILL and removal, each of which an engine may leave unanswered
CLOCKS_DIFFER = 0.01  # by how much one machine's second may be longer than another's
MISSES = 4  # so many heartbeats, all but one in vain, in the time that a task bears


def is_alone(task: Task) -> bool:
    """Whether its copies may not overlap."""
    return bool(task.spec.stop_after_disconnect)


def over_at(task: Task, heard: float) -> float:
    """When a copy is gone from a node last heard at `heard`, if its worker lives."""
    if not is_alone(task):
        return heard
    waited = task.spec.stop_after_disconnect * (1 + CLOCKS_DIFFER)
    return heard + waited + task.spec.grace_seconds + MARGIN_SECONDS


def beat_seconds(usual: float, bears: int) -> float:
    """How often a node is asked whose least patient task bears so many seconds (0: any)."""
    return min(usual, bears / MISSES) if bears else usual
