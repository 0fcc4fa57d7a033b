"""What is so at the moment of a scrape: tasks, queue, lanes, slots, pulls, the engine.

Nothing is counted along: the worker is asked. What the Db does not answer is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from keelman import machine
from keelman.errors import CannotRecord
from keelman.machine import Resources
from keelman.task import State
from keelman.worker.worker import Worker


class Levels(Collector):
    """One worker's levels, read when they are collected."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterable[GaugeMetricFamily]:
        yield from self._in_memory()
        try:
            counts, waiting = self._worker.db.counts(), len(self._worker.queue.waiting())
            allocated = machine.total(self._worker.db.asked())
        except CannotRecord:
            return
        yield _gauge("queue_waiting", "Wishes that are not served yet.", waiting)
        yield _tasks(counts)
        yield from _resources("allocated", "hold of what tasks may ask for", allocated)

    def _in_memory(self) -> Iterator[GaugeMetricFamily]:
        worker = self._worker
        up = not worker.engine_trouble
        yield _gauge("engine_up", "Whether the engine answers and is the right one.", up)
        yield _gauge("lanes_active", "Tasks that are being looked at.", worker.lanes.active)
        tasks = len(asyncio.all_tasks())
        yield _gauge("asyncio_tasks", "Tasks of the worker's own event loop.", tasks)
        slots = worker.slots
        yield _gauge("start_slots_held", "Containers on their way up.", slots.held)
        yield _gauge("start_slots_waiting", "Tasks that wait for a start slot.", slots.waiting)
        yield _gauge("pulls_waiting", "Images whose pull is not over.", worker.images.waiting)
        yield from _resources("capacity", "may ask for all together", worker.limits.capacity)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"keelman_{name}", words, value=value)


def _resources(name: str, words: str, some: Resources) -> Iterator[GaugeMetricFamily]:
    yield _gauge(f"{name}_cpu_cores", f"Cores that live tasks {words}.", some.cpu)
    yield _gauge(f"{name}_memory_bytes", f"Memory that live tasks {words}.", some.memory)
    yield _gauge(f"{name}_disk_bytes", f"Disk that live tasks {words}.", some.disk)


def _tasks(counts: dict[State, int]) -> GaugeMetricFamily:
    tasks = GaugeMetricFamily("keelman_tasks", "Tasks that are kept.", labels=["state"])
    for state in State:
        tasks.add_metric([state.name], counts.get(state, 0))
    return tasks
