"""What befalls the simulation: values, each at its time, so that a script can be cut down.

A script is the tasks that may be asked for and a list of these. `str(op)` is its line in a trace.
"""

from __future__ import annotations

from msgspec import Struct

from tests.simulation.engine import Fault


class Op(Struct, frozen=True, kw_only=True, tag=True):
    """One thing at a time, in seconds from the start."""

    at: float

    def __str__(self) -> str:
        asked = (f"{name}={getattr(self, name)}" for name in self.__struct_fields__[1:])
        return f"{type(self).__name__}({', '.join(asked)})"


class OfTask(Op, frozen=True, kw_only=True):
    """Something about the task of a number."""

    task: int


class Send(OfTask, frozen=True, kw_only=True):
    """A new event asks to run it."""


class Repeat(OfTask, frozen=True, kw_only=True):
    """Its last event is sent again."""


class Reuse(OfTask, frozen=True, kw_only=True):
    """The ID of its last event is sent with another body."""


class Change(OfTask, frozen=True, kw_only=True):
    """A new event asks to run it with another spec."""


class Newer(OfTask, frozen=True, kw_only=True):
    """A new event of a higher Generation asks to run it."""


class Stop(OfTask, frozen=True, kw_only=True):
    """DELETE; of an old Generation when it is `stale`."""

    stale: bool = False


class Exit(OfTask, frozen=True, kw_only=True):
    """Its process ends by itself."""

    code: int


class Oom(OfTask, frozen=True, kw_only=True):
    """The kernel ends it."""


class Vanish(OfTask, frozen=True, kw_only=True):
    """Somebody removes its container by force."""


class Murder(OfTask, frozen=True, kw_only=True):
    """Somebody kills it."""


class Rename(OfTask, frozen=True, kw_only=True):
    """Somebody renames its container."""


class Copy(OfTask, frozen=True, kw_only=True):
    """Somebody runs a container with its labels, made by `docker commit`."""


class Squat(OfTask, frozen=True, kw_only=True):
    """Somebody takes the name of its next container."""


class Sick(OfTask, frozen=True, kw_only=True):
    """Its health check fails from now on, or no more."""

    well: bool = False


class Crash(Op, frozen=True, kw_only=True):
    """The worker is killed at its n-th callback from now, and is back after a while."""

    callbacks: int
    pause: float


class KeepCopy(Op, frozen=True, kw_only=True):
    """A copy of the Db is made."""


class OlderDb(Op, frozen=True, kw_only=True):
    """The worker is killed and finds the copy in the Db's place."""

    pause: float


class NoDb(Op, frozen=True, kw_only=True):
    """The worker is killed and finds no Db."""

    pause: float


class DiskFull(Op, frozen=True, kw_only=True):
    """Nothing can be written for a while."""

    seconds: float


class EngineAway(Op, frozen=True, kw_only=True):
    """The engine is away; containers run on (live-restore), or end with it."""

    seconds: float
    kills: bool


class OtherEngine(Op, frozen=True, kw_only=True):
    """Another engine is at its address for a while."""

    seconds: float


class Garbled(Op, frozen=True, kw_only=True):
    """Events are dropped, doubled and late for a while."""

    seconds: float


class Trouble(Op, frozen=True, kw_only=True):
    """What becomes of the next request of a verb."""

    verb: str
    fault: Fault


class NoRegistry(Op, frozen=True, kw_only=True):
    """Pulls fail for a while."""

    seconds: float


class Rest(Op, frozen=True, kw_only=True):
    """Nothing happens, until then."""


class AtCallback(Op, frozen=True, kw_only=True):
    """Something else, just before the worker's n-th callback from now."""

    callbacks: int
    op: Op


class Asked(Struct, frozen=True, kw_only=True):
    """A task that may be asked for."""

    program: str = "serves"
    policy: str = ""
    image: str = "here:1"
    pull: str = ""
    timeout: int = 0
    grace: int = 2
    probed: bool = False
    ports: bool = False


class Script(Struct, frozen=True, kw_only=True):
    """Tasks, numbered from 1, and what befalls them, in the order of time."""

    seed: int
    tasks: tuple[Asked, ...]
    ops: tuple[Op, ...]
