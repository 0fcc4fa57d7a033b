"""News: what a node tells of one task, kept until it is in the manager's own record. PURE.

From the node's stream of events come Transitions, one after the other. After a gap comes the whole
Task as it was listed, or that the list did not have it.
"""

from __future__ import annotations

from keelman.values import Value
from keelman.wire import TaskReport, TransitionReport


class Moved(Value, frozen=True, kw_only=True, tag=True):
    """The task moved there."""

    node: str
    move: TransitionReport


class Listed(Value, frozen=True, kw_only=True, tag=True):
    """The task as the node has it, after a gap."""

    node: str
    report: TaskReport


class Missing(Value, frozen=True, kw_only=True, tag=True):
    """The node does not have the copy of this number, which it once took."""

    node: str
    number: int


News = Moved | Listed | Missing


def number_of(news: News) -> int:
    """The number of the placement that is told of."""
    match news:
        case Moved(move=move):
            return move.generation
        case Listed(report=report):
            return report.generation
        case Missing(number=number):
            return number


def lives(news: News) -> bool:
    """Whether there is a copy, then, that has not ended."""
    match news:
        case Moved(move=move):
            return not move.to.ended
        case Listed(report=report):
            return not report.state.ended
        case Missing():
            return False
