"""Health checks: what is asked for, and what a row of probes says. PURE.

One success makes it healthy; `Retries` failures in a row make it unhealthy, those within
`StartPeriod` not counted while it was never healthy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from keelman.values import Seconds, Value

WORDS_MOST = 300


class Health(StrEnum):
    """What the probes of a running task say; NONE without a HealthCheck, or while it is down."""

    NONE = ""
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class HealthCheck(Value, frozen=True, kw_only=True):
    """How to tell that a running task is well. Times in seconds; a port of 0 is the lowest exposed.

    http: a GET of `path` answers 200 to 399; tcp: a connection is taken; command: run in the
    container, it ends with 0.
    """

    kind: Literal["http", "tcp", "command"] = msgspec.field(default="http", name="Type")
    path: str = "/"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    command: tuple[str, ...] = ()
    interval: Annotated[int, Meta(ge=1, le=86_400)] = 10
    timeout: Annotated[int, Meta(ge=1, le=3_600)] = 3
    retries: Annotated[int, Meta(ge=1, le=1_000)] = 3
    start_period: Seconds = 0


class Probe(Struct, frozen=True, kw_only=True):
    """One look: whether it went well, in words, and how long after the start (seconds)."""

    passed: bool
    words: str
    after_seconds: float


class Pulse(Struct, frozen=True, kw_only=True):
    """The health so far, how many probes failed in a row, and what the last one said."""

    health: Health = Health.STARTING
    failures: int = 0
    words: str = ""

    def and_then(self, probe: Probe, check: HealthCheck) -> Pulse:
        """The pulse after one more probe."""
        words = probe.words[:WORDS_MOST]
        if probe.passed:
            return Pulse(health=Health.HEALTHY, words=words)
        if self.health is Health.STARTING and probe.after_seconds < check.start_period:
            return Pulse(words=words)
        failures = self.failures + 1
        if failures < check.retries:
            return Pulse(health=self.health, failures=failures, words=words)
        told = f"{words} ({failures} times in a row)" if failures > 1 else words
        return Pulse(health=Health.UNHEALTHY, failures=failures, words=told)


def port_of(check: HealthCheck, exposed: list[str]) -> int | None:
    """The container's TCP port to probe: the one asked for, or the lowest that is exposed."""
    ports = [
        int(number) for number, _, kind in (key.partition("/") for key in exposed) if kind == "tcp"
    ]
    if check.port:
        return check.port if check.port in ports else None
    return min(ports, default=None)
