"""What the worker can see of one task's world, and what it can do about it. PURE.

`Seen` is all that `reconcile.step` may know; an Action is the most it may ask for. Both are tagged
so that they can be written down and read back.
"""

from __future__ import annotations

from msgspec import Struct

from keelman.health import Health
from keelman.task import HostPort, Reason

NEVER_SECONDS = 1e10  # a silence without a beginning


class Sight(Struct, frozen=True, tag=True):
    """The base of what is seen and of what is done: frozen and tagged by its name."""


class Missing(Sight, frozen=True, kw_only=True):
    """The image is not on this machine."""


class Pulling(Sight, frozen=True, kw_only=True):
    """The image is on its way."""


class Unavailable(Sight, frozen=True, kw_only=True):
    """The last pull of the image failed, at `at` (seconds since the epoch)."""

    at: float
    final: bool
    message: str


class Pulled(Sight, frozen=True, kw_only=True):
    """The last pull of the image went well; it began at `at` (seconds since the epoch)."""

    at: float


class Present(Sight, frozen=True, kw_only=True):
    """The image is here; `pull` is what is known of a pull of it, for those who want it anew."""

    pull: Pulling | Unavailable | Pulled | None = None


Image = Missing | Pulling | Present | Unavailable


class Refused(Sight, frozen=True, kw_only=True):
    """Why the engine would not start a container."""

    reason: Reason
    message: str
    exit_code: int | None = None


class Absent(Sight, frozen=True, kw_only=True):
    """No container of the task is there."""

    image: Image


class Created(Sight, frozen=True, kw_only=True):
    """Made, never ran; `refused` when a start of it failed."""

    container_id: str
    attempt: int
    spec_hash: str = ""
    refused: Refused | None = None


class Running(Sight, frozen=True, kw_only=True):
    """Its process lives, since `since`; `stop_signal` is what its image asks for.

    `health` is what its probes say (NONE: nothing yet), in words too.
    """

    container_id: str
    attempt: int
    spec_hash: str = ""
    since: float
    host_ports: dict[str, tuple[HostPort, ...]] = {}
    stop_signal: str = ""
    health: Health = Health.NONE
    health_words: str = ""


class Exited(Sight, frozen=True, kw_only=True):
    """Its process ran from `since` to `until` (seconds since the epoch) and is gone."""

    container_id: str
    attempt: int
    spec_hash: str = ""
    code: int
    oom: bool = False
    since: float
    until: float


class Unknown(Sight, frozen=True, kw_only=True):
    """The engine does not say."""

    why: str = ""


Body = Absent | Created | Running | Exited | Unknown


class Seen(Struct, frozen=True, kw_only=True):
    """One task's world: its newest container, its other ones, and what the worker has to give.

    `others` are ids of older containers of the same task, which are removed first; `slot` is
    whether a start slot is free; `expired` whether retention wants the ended task gone; `silence`
    for how many seconds nobody was heard, where the task minds that.
    """

    body: Body
    others: tuple[str, ...] = ()
    slot: bool = True
    expired: bool = False
    silence: float = 0.0


class Pull(Sight, frozen=True, kw_only=True):
    image: str


class Create(Sight, frozen=True, kw_only=True):
    attempt: int


class Start(Sight, frozen=True, kw_only=True):
    """Starts it by the name that it has for `attempt`, and not when it has another by then."""

    container_id: str
    attempt: int


class Rename(Sight, frozen=True, kw_only=True):
    """Gives it the name for `attempt`: a start that is still on its way finds it no more."""

    container_id: str
    attempt: int


class Signal(Sight, frozen=True, kw_only=True):
    container_id: str
    signal: str


class Kill(Sight, frozen=True, kw_only=True):
    container_id: str


class Remove(Sight, frozen=True, kw_only=True):
    """Removes by force: what still runs is killed."""

    container_id: str


Action = Pull | Create | Start | Rename | Signal | Kill | Remove
