"""What is so at the moment of a scrape: nodes, tasks, lanes, who waits for a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from keelman.errors import CannotRecord
from keelman.manager.manager import Manager
from keelman.manager.nodes import Status
from keelman.task import State


class Levels(Collector):
    """One manager's levels, read when they are collected."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def collect(self) -> Iterable[GaugeMetricFamily]:
        manager = self._manager
        active = manager.lanes.active
        yield _gauge("lanes_active", "Tasks that are being looked at.", active)
        waiting = manager.scheduling.waiting
        yield _gauge("unplaced", "Tasks that want a place, or another one.", waiting)
        yield self._nodes()
        try:
            counts, queued = manager.db.counts(), len(manager.queue.waiting())
        except CannotRecord:
            return
        yield _gauge("queue_waiting", "Wishes that are not served yet.", queued)
        yield _tasks(counts)

    def _nodes(self) -> GaugeMetricFamily:
        roster = self._manager.roster
        counts = Counter(roster.status(name) for name in roster.nodes)
        nodes = GaugeMetricFamily("keelman_nodes", "Nodes that are known.", labels=["status"])
        for status in Status:
            nodes.add_metric([str(status)], counts[status])
        return nodes


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"keelman_{name}", words, value=value)


def _tasks(counts: dict[State, int]) -> GaugeMetricFamily:
    tasks = GaugeMetricFamily("keelman_tasks", "Tasks that are kept.", labels=["state"])
    for state in State:
        tasks.add_metric([state.name], counts.get(state, 0))
    return tasks
