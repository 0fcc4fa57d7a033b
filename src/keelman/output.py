"""Which part of a task's output is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from keelman import params
from keelman.errors import BadField
from keelman.routes import Parameter
from keelman.runtime import LogOptions
from keelman.values import INT64_MAX

TAIL_MOST = 1_000_000
SINCE_MOST = 1e11
PARAMETERS = (
    Parameter(
        "follow",
        "go on across restarts until the task has ended",
        {"enum": ["0", "1", "false", "true"]},
    ),
    Parameter(
        "tail", "only the last lines", {"type": "integer", "minimum": 0, "maximum": TAIL_MOST}
    ),
    Parameter(
        "since",
        "only what was written since then, seconds since the epoch",
        {"type": "number", "minimum": 0, "maximum": SINCE_MOST},
    ),
    Parameter("stream", "which of its streams", {"enum": ["stdout", "stderr", "both"]}),
    Parameter(
        "attempt",
        "which container of the task",
        {"type": "integer", "minimum": 1, "maximum": INT64_MAX},
    ),
)


class LogRequest(Struct, frozen=True, kw_only=True):
    """What part of a task's output is asked for; `attempt` None is the present one."""

    options: LogOptions
    attempt: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Self:
        """From a query. Raises: BadField."""
        stream = params.choice(asked, "stream", "stdout", "stderr", "both")
        attempt = params.integer(asked, "attempt", most=INT64_MAX)
        if attempt == 0:
            raise BadField("attempt: attempts are counted from 1")
        options = LogOptions(
            follow=params.flag(asked, "follow"),
            tail=params.integer(asked, "tail", most=TAIL_MOST),
            since=params.seconds(asked, "since", most=SINCE_MOST) or 0.0,
            stream=stream or "both",  # type: ignore[arg-type]  # one of the allowed words
        )
        return cls(options=options, attempt=attempt)
