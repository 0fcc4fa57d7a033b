"""The shape of what the engine tells, as far as we read it. PURE.

Decoded leniently, unlike what users send: a field more, or a null for a map, is no reason to go
blind. What it means is `container`'s business.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Told(Struct, frozen=True, kw_only=True, rename="pascal"):
    """The base of what is read from the engine: fields that we do not read are passed over."""


class Binding(Told, frozen=True):
    host_ip: str = ""
    host_port: str = ""


Ports = dict[str, list[Binding] | None]


class ContainerState(Told, frozen=True, kw_only=True):
    status: str
    error: str = ""
    exit_code: int = 0
    oom_killed: bool = msgspec.field(default=False, name="OOMKilled")
    started_at: str = ""
    finished_at: str = ""


class Config(Told, frozen=True):
    stop_signal: str = ""
    labels: dict[str, str] | None = None
    env: list[str] | None = None


class RestartPolicy(Told, frozen=True):
    name: str = ""


class HostConfig(Told, frozen=True):
    port_bindings: Ports | None = None
    restart_policy: RestartPolicy | None = None
    auto_remove: bool = False


class NetworkSettings(Told, frozen=True):
    ports: Ports | None = None


class Inspect(Told, frozen=True, kw_only=True):
    """What an inspect tells of one container, as far as we read it."""

    id: str
    name: str
    state: ContainerState
    config: Config
    host_config: HostConfig = HostConfig()
    network_settings: NetworkSettings = NetworkSettings()


class ListRow(Told, frozen=True, kw_only=True):
    id: str
    names: list[str] | None = None
    labels: dict[str, str] | None = None
    state: str = ""


class Actor(Told, frozen=True):
    attributes: dict[str, str] | None = None


class Event(Told, frozen=True):
    action: str = ""
    actor: Actor = Actor()


class PullDetail(Struct, frozen=True):
    current: int = 0
    total: int = 0


class PullLine(Struct, frozen=True, rename="camel"):
    status: str = ""
    id: str = ""
    progress_detail: PullDetail | None = None
    error: str = ""


class Problem(Told, frozen=True):
    words: str = msgspec.field(default="", name="message")


def inspect_of(told: object) -> Inspect:
    """An inspect's JSON, decoded. Raises: msgspec.ValidationError."""
    return msgspec.convert(told, Inspect)


def words_of(answer: bytes) -> str:
    """What the engine says in the body of an error, which a proxy may have written instead."""
    try:
        return msgspec.json.decode(answer, type=Problem).words
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return answer.decode(errors="replace")
