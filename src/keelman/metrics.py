"""The worker's figures for Prometheus: what happened, counted and timed. No step waits for one.

Each Metrics has a registry of its own; nothing is global. A figure that cannot be taken is logged
and lost, and nothing else is. What is so at the moment of a scrape (`levels`) is not kept here.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import ParamSpec

import structlog
from aiohttp import hdrs, web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from keelman.errors import CannotRecord
from keelman.runtime.measured import DONE, Call
from keelman.store import Job
from keelman.task import State, Transition, Wish

log = structlog.get_logger(__name__)

P = ParamSpec("P")

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
USUAL_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
NO_ROUTE = "none"


def harmless(record: Callable[P, None]) -> Callable[P, None]:
    """What takes a figure, made unable to fail whatever it measures."""

    @functools.wraps(record)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            record(*args, **kwargs)
        except Exception:  # a figure is worth less than any step
            log.exception("not measured", figure=record.__name__)

    return attempt


class Metrics:
    """One worker's figures. `clock` gives steady seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accepted: dict[str, float] = {}  # run wishes that are not taken up yet
        self._starting: dict[str, float] = {}  # starts that are done and not yet seen
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._count_tasks()
        self._count_engine()
        self._count_store()
        self._count_http()
        self._tell_certificates()

    def _count_tasks(self) -> None:
        self._wishes = self._counter("wishes", "Wishes that were accepted.", "wants")
        self._transitions = self._counter("transitions", "Moves of tasks.", "from", "to")
        self._internal_errors = self._counter("internal_errors", "Steps that ended in a bug.")
        self._phases = self._histogram(
            "task_phase", "How long tasks took on their way up.", LONG_BUCKETS, "phase"
        )

    def _count_engine(self) -> None:
        words = "Calls to the engine, and what came of them."
        self._engine_calls = self._counter("engine_requests", words, "call", "outcome")
        words = "How long the engine took, but for streams."
        self._engine_seconds = self._histogram("engine_request", words, LONG_BUCKETS, "call")

    def _count_store(self) -> None:
        words = "How long a commit took, from the first write of its batch to the disk."
        self._commit_seconds = self._histogram("store_commit", words, COMMIT_BUCKETS)
        self._writes = self._counter("store_writes", "Writes that were asked of the database.")
        self._lost = self._counter("store_writes_lost", "Writes that the database did not take.")

    def _count_http(self) -> None:
        labels = ("method", "route", "status")
        self._answers = self._counter("http_requests", "Requests that were answered.", *labels)
        words = "How long an answer took, but for streams."
        self._answer_seconds = self._histogram("http_request", words, USUAL_BUCKETS, *labels[:2])
        words = "Lines of the audit log that could not be written."
        self._unaudited = self._counter("audit_lines_lost", words)
        self._listeners = Gauge(
            "keelman_event_listeners", "Clients that follow the events.", registry=self.registry
        )

    def _tell_certificates(self) -> None:
        words = "When a certificate of the worker's door expires, in seconds since the epoch."
        self._expires = Gauge(
            "keelman_certificate_expires_seconds", words, ["which"], registry=self.registry
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"keelman_{name}_total", words, labels, registry=self.registry)

    def _histogram(
        self, name: str, words: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        full = f"keelman_{name}_seconds"
        return Histogram(full, words, labels, buckets=buckets, registry=self.registry)

    # -- what happened ---------------------------------------------------------------------------

    @harmless
    def accepted(self, wish: Wish) -> None:
        """A wish is on disk."""
        self._wishes.labels(wish.wants.name).inc()
        if not wish.stops:
            self._accepted[wish.task_id] = self._clock()

    @harmless
    def moved(self, move: Transition) -> None:
        """A Transition is on disk. A phase whose begin is not known is left out."""
        self._transitions.labels(move.from_.name, move.to.name).inc()
        accepted = self._accepted.pop(move.task_id, None)
        starting = self._starting.pop(move.task_id, None)
        if move.to is State.SCHEDULED and (move.from_ is State.PENDING or move.from_.ended):
            self._phase("queued", accepted)
        elif (move.from_, move.to) == (State.SCHEDULED, State.RUNNING):
            self._phase("start", starting)

    def _phase(self, phase: str, began: float | None) -> None:
        if began is not None:
            self._phases.labels(phase).observe(self._clock() - began)

    @harmless
    def called(self, call: Call) -> None:
        """The engine was asked for something."""
        self._engine_calls.labels(call.name, call.outcome).inc()
        if call.seconds is None:
            return
        self._engine_seconds.labels(call.name).observe(call.seconds)
        if call.outcome == DONE and call.name in ("create", "pull"):
            self._phases.labels(call.name).observe(call.seconds)
        elif call.outcome == DONE and call.name == "start":
            self._starting[call.task_id] = self._clock() - call.seconds

    @harmless
    def committed(self, seconds: float, jobs: Sequence[Job]) -> None:
        """A batch of writes went to the disk, or did not get there. On the writer's thread."""
        self._commit_seconds.observe(seconds)
        self._writes.inc(len(jobs))
        self._lost.inc(sum(isinstance(job.error, CannotRecord) for job in jobs))

    @harmless
    def stumbled(self) -> None:
        """A lane's step ended in an error that is a bug."""
        self._internal_errors.inc()

    @harmless
    def listening(self, more: int) -> None:
        """So many clients more, or less, follow the events."""
        self._listeners.inc(more)

    @harmless
    def unaudited(self) -> None:
        """A line of the audit log is lost."""
        self._unaudited.inc()

    @harmless
    def expiring(self, when: Mapping[str, float]) -> None:
        """When which certificate expires, as they were just read."""
        for which, at in when.items():
            self._expires.labels(which).set(at)

    # -- HTTP ------------------------------------------------------------------------------------

    @web.middleware
    async def measure(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Count a request by its route, and time its answer unless it is a stream."""
        began = self._clock()
        try:
            response = await handler(request)
        except asyncio.CancelledError:  # the client went away first
            self._answered(request, "cancelled", None)
            raise
        timed = response.content_length is not None
        self._answered(request, str(response.status), self._clock() - began if timed else None)
        return response

    @harmless
    def _answered(self, request: web.Request, status: str, seconds: float | None) -> None:
        route = route_of(request)
        method = request.method if request.method in hdrs.METH_ALL else "other"
        self._answers.labels(method, route, status).inc()
        if seconds is not None:
            self._answer_seconds.labels(method, route).observe(seconds)

    # -- a scrape --------------------------------------------------------------------------------

    def text(self, levels: Collector) -> bytes:
        """All figures in Prometheus' text format, with what is so at this moment."""
        return generate_latest(_Scrape(levels, self.registry))


class _Scrape(Collector):
    """All that is collected, but for the time at which each figure began to be counted."""

    def __init__(self, *collectors: Collector) -> None:
        self._collectors = collectors

    def collect(self) -> Iterable[Metric]:
        for metric in chain.from_iterable(one.collect() for one in self._collectors):
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


def route_of(request: web.Request) -> str:
    """A request's route as the table has it, never its path: that would be a label without end."""
    resource = request.match_info.route.resource
    return NO_ROUTE if resource is None else resource.canonical.rstrip("/")
