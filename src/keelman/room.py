"""How much of a machine its tasks may ask for, and what is not left for one of them. PURE.

The sum of what live tasks ask for does not grow beyond what the operator gave. Who asks for nothing
is never refused, and neither is one who asks for no more than it has: what was promised once is
kept, also where less is given now.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from keelman.errors import InsufficientResources
from keelman.machine import Resources
from keelman.task import Spec
from keelman.values import INT64_MAX
from keelman.words import size

UNBOUNDED = Resources(cpu=1e6, memory=INT64_MAX, disk=INT64_MAX)
# What is kept back for the worker, the engine and the system: so much, or a twentieth of a large
# machine, but never more than half of a small one. Cores are shared out by the kernel, whoever
# wants them, and nobody dies for want of one.
MEMORY_KEPT_BYTES = 512 * 1024**2
DISK_KEPT_BYTES = 1024**3
KEPT_PART = 20
KEPT_PART_MOST = 2

FIELDS = ("Cpu", "Memory", "Disk")
_BYTES = "bytes"
_UNITS = ("cores", _BYTES, _BYTES)


class Offered(Struct, frozen=True, kw_only=True):
    """What the operator gives to tasks; None is the machine's own, less what is kept back."""

    cpu: float | None = None
    memory: int | None = None
    disk: int | None = None


def capacity(offered: Offered, machine: Resources) -> Resources:
    """What tasks may ask for all together; more than there is, where the operator says so."""
    usual = Resources(
        cpu=machine.cpu,
        memory=machine.memory - _kept(machine.memory, MEMORY_KEPT_BYTES),
        disk=machine.disk - _kept(machine.disk, DISK_KEPT_BYTES),
    )
    return Resources(
        cpu=usual.cpu if offered.cpu is None else offered.cpu,
        memory=usual.memory if offered.memory is None else offered.memory,
        disk=usual.disk if offered.disk is None else offered.disk,
    )


def _kept(whole: int, least: int) -> int:
    return min(max(least, whole // KEPT_PART), whole // KEPT_PART_MOST)


def asked(spec: Spec) -> Resources:
    """What a spec asks for; without a limit it asks for nothing."""
    return Resources(cpu=spec.cpu, memory=spec.memory, disk=spec.disk)


def check(wanted: Resources, has: Resources, allocated: Resources, given: Resources) -> None:
    """Whether a task may have `wanted` instead of what it `has`, which `allocated` counts.

    Raises: InsufficientResources.
    """
    left = given.less(allocated.less(has))
    rows = zip(FIELDS, _UNITS, *map(_amounts, (wanted, has, left, given)), strict=True)
    if short := [_short(*row) for row in rows if row[2] > max(row[3], row[4])]:
        fields, words = zip(*short, strict=True)
        raise InsufficientResources("; ".join(words), f"Task.{fields[0]}")


def beyond(allocated: Resources, given: Resources) -> list[str]:
    """The fields of which more is allocated than there is to give."""
    pairs = zip(FIELDS, _amounts(given.less(allocated)), strict=True)
    return [field for field, left in pairs if left < 0]


def _amounts(some: Resources) -> Iterable[float]:
    return some.cpu, some.memory, some.disk


def _short(
    field: str, unit: str, wanted: float, _has: float, left: float, given: float
) -> tuple[str, str]:
    most, some, whole = (_shown(amount, unit) for amount in (wanted, max(left, 0), given))
    words = (
        f"Task.{field}: {most[0]} {unit}{most[1]} are asked for, and {some[0]}{some[1]} are left of"
        f" the {whole[0]}{whole[1]} that this worker may give"
    )
    return field, words


def _shown(amount: float, unit: str) -> tuple[str, str]:
    """Exact, for programs read it, too; and what people call it, where that is another number."""
    exact = str(amount) if isinstance(amount, int) else f"{amount:.9f}".rstrip("0").rstrip(".")
    return exact, f" ({size(int(amount))})" if unit == _BYTES and amount >= 1024 else ""
