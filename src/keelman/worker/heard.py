"""When the worker was last heard from, by a clock of the machine's own that no one sets.

A client counts at the moment when its request passes the door. A manager that names the moment it
had in an answer before (`Keelman-Moment`) counts as of that one, however late its request arrives:
what it has not had an answer to is no sign that it lives. Once there was such a manager only that
counts, whoever else asks. What was heard is kept beside the database, for the next process of this
boot; after another boot nobody was heard yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from keelman.seen import NEVER_SECONDS

log = structlog.get_logger(__name__)

FILE_NAME = "heard.json"
SLEPT_SECONDS = 0.5
TICK_SECONDS = 1e-6  # as exactly as a moment is told
_MOMENT = re.compile(r"([0-9A-Za-z-]{0,64}):([0-9]{1,12}(?:\.[0-9]{1,9})?)", re.ASCII)


class Boot(Struct, frozen=True, kw_only=True):
    """This run of the machine: its ID, and the seconds since it began, those asleep included."""

    id: str
    seconds: Callable[[], float]


class Stamp(Struct, frozen=True, kw_only=True):
    """What is kept: in which boot, when somebody was heard (None: never), and whether a manager."""

    boot: str = ""
    at: float | None = None
    managed: bool = False


class Heard:
    """When somebody was last heard. `path` is where that is kept; None: nowhere.

    Calling it says that a request has passed the door just now.
    """

    def __init__(self, boot: Boot, path: Path | None = None) -> None:
        self._boot, self._path = boot, path
        self._kept = _read(path)
        here = self._kept.boot == boot.id
        at = self._kept.at if here else None
        self._at = at if at is not None and at <= boot.seconds() else None
        self.managed = self._kept.managed
        self._broken = False
        self._awake = 0.0

    def __call__(self) -> None:
        if not self.managed:
            self._at = self._boot.seconds()

    @property
    def moment(self) -> str:
        """This moment, for a manager to name in its next request."""
        return f"{self._boot.id}:{self._boot.seconds():.6f}"

    def had(self, moment: str) -> None:
        """A manager that has had this moment asks: it was there then. What is not ours is none."""
        self.managed = True
        match = _MOMENT.fullmatch(moment)
        if match is None or match[1] != self._boot.id:
            return
        at = float(match[2])
        if at <= self._boot.seconds() + TICK_SECONDS and (self._at is None or at > self._at):
            self._at = at

    @property
    def silence(self) -> float:
        """For how many seconds nobody was heard."""
        return NEVER_SECONDS if self._at is None else max(self._boot.seconds() - self._at, 0.0)

    def slept(self, awake: float) -> bool:
        """Whether the machine was asleep since this was asked; `awake` are seconds without that."""
        before, self._awake = self._awake, self._boot.seconds() - awake
        return bool(before) and self._awake - before > SLEPT_SECONDS

    def keep(self) -> None:
        """Keep what was heard, if that is new. What cannot be kept is only silence."""
        stamp = Stamp(boot=self._boot.id, at=self._at, managed=self.managed)
        if self._path is None or stamp == self._kept:
            return
        try:
            fresh = self._path.with_suffix(".new")
            fresh.touch(0o600)
            fresh.write_bytes(msgspec.json.encode(stamp))
            fresh.replace(self._path)
        except OSError as error:
            if not self._broken:
                log.warning("heard not kept", error=str(error))
            self._broken = True
            return
        self._kept, self._broken = stamp, False


def _read(path: Path | None) -> Stamp:
    """What was kept; after a file that cannot be read nobody was heard, but perhaps a manager."""
    if path is None:
        return Stamp()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stamp)
    except FileNotFoundError:
        return Stamp()
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return Stamp(managed=True)
