"""What an engine's HTTP status means: to all calls, and to some of them something else. PURE."""

from __future__ import annotations

from collections.abc import Mapping

from keelman.errors import (
    ContainerGone,
    EngineAway,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    ImageNotFound,
    KeelmanError,
)

NO_ANSWER = 900  # aiodocker's own, for "not connected"

# None: what was asked for is so already.
Meanings = Mapping[int, type[KeelmanError] | None]

USUAL: Meanings = {}
CREATE: Meanings = {404: ImageNotFound, 409: EngineBusy}  # a taken name that nobody has: being made
START: Meanings = {409: EngineBusy}  # it is being removed
RENAME: Meanings = {404: None, 409: EngineBusy}  # gone, or renamed meanwhile
SIGNAL: Meanings = {404: None, 409: None}  # gone, or not running
REMOVE: Meanings = {404: None, 409: EngineBusy}
LOGS: Meanings = {404: ContainerGone, 409: ContainerGone}
EXEC: Meanings = {404: ContainerGone, 409: ContainerGone}  # no such container, or not running
PULL: Meanings = {400: ImageNotFound, 404: ImageNotFound, 429: EngineFailed}

NOT_THERE = frozenset({400, 404})  # 400: it cannot even be a name
# A taken name is 409, but 400 on Docker 17.09 and 500 on Podman before 2026-03.
MAYBE_NAME_TAKEN = frozenset({400, 409, 500})


def meaning(status: int, meanings: Meanings) -> type[KeelmanError] | None:
    """The error that a status is to a call; None when it is a success."""
    if status in meanings:
        return meanings[status]
    if status == NO_ANSWER:
        return EngineAway
    return EngineRefused if 400 <= status < 500 else EngineFailed
