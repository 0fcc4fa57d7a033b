"""What befalls a cluster, beside what befalls a task anywhere: values, each at its time."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tests.simulation.ops import Asked, OfTask, Op, Script

__all__ = ["Asked", "OfTask", "Op", "Script"]


class Way(StrEnum):
    """Which way a link is cut. In silence: nobody is told that nothing arrives."""

    BOTH = "both ways"
    TO = "to the node"  # requests never arrive
    BACK = "from the node"  # they do, and their answers are lost


class Fate(StrEnum):
    """What becomes of one request of the manager to a node."""

    LOST_REQUEST = "never arrives"
    LOST_ANSWER = "is done, its answer is lost"
    LATE = "is given up, and arrives later"
    TWICE = "arrives, and again later"
    SLOW = "is answered after long"


class OfNode(Op, frozen=True, kw_only=True):
    """Something about the node of a number, from 1."""

    node: int


class Cut(OfNode, frozen=True, kw_only=True):
    """The link between the manager and a node is cut for a while."""

    way: Way
    seconds: float


class Message(OfNode, frozen=True, kw_only=True):
    """What becomes of the manager's next request of a verb to a node, and how late is late."""

    verb: str
    fate: Fate
    seconds: float


class WorkerCrash(OfNode, frozen=True, kw_only=True):
    """A worker is killed at its n-th callback from now, and is back after a while."""

    callbacks: int
    pause: float


class Reboot(OfNode, frozen=True, kw_only=True):
    """A node's machine goes down, with all that runs on it, and is back after a while."""

    pause: float


class WorkerDb(OfNode, frozen=True, kw_only=True):
    """A worker is killed, and its data directory is empty when it comes back."""

    pause: float


class EngineAway(OfNode, frozen=True, kw_only=True):
    """A node's engine is away; its containers run on, or end with it."""

    seconds: float
    kills: bool


class Gap(OfNode, frozen=True, kw_only=True):
    """A worker drops all its old events: who is behind has a gap."""


class Jump(OfNode, frozen=True, kw_only=True):
    """A machine's clock is set; node 0 is the manager's. A process notices when it begins."""

    seconds: float


class Cordon(OfNode, frozen=True, kw_only=True):
    """Nothing more is to be placed there."""


class Uncordon(OfNode, frozen=True, kw_only=True):
    """It may be used again."""


class Drain(OfNode, frozen=True, kw_only=True):
    """Its tasks are to move away."""


class Remove(OfNode, frozen=True, kw_only=True):
    """It leaves the cluster, by force."""


class Join(OfNode, frozen=True, kw_only=True):
    """It joins the cluster."""


class ManagerCrash(Op, frozen=True, kw_only=True):
    """The manager is killed at its n-th callback from now, and is back after a while."""

    callbacks: int
    pause: float


class ManagerDisk(Op, frozen=True, kw_only=True):
    """The manager can write nothing for a while."""

    seconds: float


class AtManager(Op, frozen=True, kw_only=True):
    """Something else, just before the manager's n-th callback from now."""

    callbacks: int
    op: Op


class Wanted(Asked, frozen=True, kw_only=True):
    """A task that may be asked for of a cluster; `zone` is that of the one node that it may go to.

    `zone` 0 is any node. `alone`: it has StopAfterDisconnect, of so many seconds.
    """

    cpu: float = 0.0
    zone: int = 0
    alone: int = 0


class Shape(Struct, frozen=True, kw_only=True):
    """A machine: how many cores its tasks may have, and how its clock goes."""

    cpu: float = 4.0
    rate: float = 1.0
    ahead: float = 0.0


class Plan(Script, frozen=True, kw_only=True):
    """A script, and the machines: the first is the manager's, the others are nodes from 1."""

    machines: tuple[Shape, ...] = (Shape(), Shape(), Shape(), Shape())
    bin_pack: bool = False
