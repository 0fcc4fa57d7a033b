"""A container in memory, and the program that it runs. Clock and loop are `fake_engine`'s."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from keelman.runtime.container import COMMAND_REASONS
from keelman.runtime.told import Inspect, inspect_of
from keelman.seen import Refused

Stream = Literal["stdout", "stderr"]
Ports = dict[str, list[dict[str, str]]]

REFUSAL_CODES = {reason: code for code, reason in COMMAND_REASONS.items()}
OTHER_REFUSAL_CODE = 128


class Program(Struct, frozen=True, kw_only=True):
    """What a command does when it is run.

    It writes its output at once, runs for `seconds` (None: for ever) and ends with `exit_code`, or
    as out of memory when it is a `hog`. Signals that it `ignores` do nothing to it (KILL too: it is
    stuck in the kernel, and cannot be removed either); after any other it writes its `last_words`
    and ends with 128 + the signal's number. `refuse`: it cannot even be started.
    """

    seconds: float | None = None
    exit_code: int = 0
    output: tuple[tuple[Stream, bytes], ...] = ()
    last_words: tuple[tuple[Stream, bytes], ...] = ()
    ignores: frozenset[str] = frozenset()
    refuse: Refused | None = None
    hog: bool = False


class Line(NamedTuple):
    """A line of output, and when it was written in seconds since the epoch."""

    time: float
    stream: Stream
    text: bytes


@dataclass(kw_only=True)
class FakeContainer:
    """One container: the body it was made from, and its state as an inspect would tell it."""

    id: str
    name: str
    body: Mapping[str, Any]
    program: Program
    state: dict[str, Any] = field(default_factory=lambda: {"Status": "created"})
    ports: Ports = field(default_factory=dict)
    output: list[Line] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return bool(self.state["Status"] == "running")

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.body.get("Labels", {}))

    @property
    def wanted_ports(self) -> Ports:
        return dict(self.body.get("HostConfig", {}).get("PortBindings", {}))

    def refused(self, no: Refused) -> None:
        """A start of it failed: it stays what it was made as, with an error."""
        code = REFUSAL_CODES.get(no.reason, OTHER_REFUSAL_CODE)
        self.state = {"Status": "created", "Error": no.message, "ExitCode": code}

    def started(self, now: float, ports: Ports) -> None:
        """It runs; its program has said what it has to say."""
        self.state = {"Status": "running", "StartedAt": _stamp(now)}
        self.ports = ports
        self.wrote(now, self.program.output)

    def wrote(self, now: float, lines: Iterable[tuple[Stream, bytes]]) -> None:
        self.output += [Line(now, stream, text) for stream, text in lines]

    def ended(self, now: float, code: int, *, oom: bool) -> None:
        """Its process is gone, and what it published with it."""
        end = {"Status": "exited", "FinishedAt": _stamp(now), "ExitCode": code, "OOMKilled": oom}
        self.state = self.state | end
        self.ports = {}

    def row(self) -> dict[str, Any]:
        """What a list would tell."""
        names, status = [f"/{self.name}"], self.state["Status"]
        return {"Id": self.id, "Names": names, "Labels": self.labels, "State": status}

    def inspect(self) -> Inspect:
        """What an inspect would tell, read as a real one is read."""
        stop_signal = self.body.get("StopSignal") or ""
        config = {"Labels": self.labels, "Env": self.body.get("Env"), "StopSignal": stop_signal}
        return inspect_of(
            {
                "Id": self.id,
                "Name": f"/{self.name}",
                "State": self.state,
                "Config": config,
                "HostConfig": {
                    **self.body.get("HostConfig", {}),
                    "PortBindings": self.wanted_ports,
                },
                "NetworkSettings": {"Ports": self.ports},
            }
        )


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
