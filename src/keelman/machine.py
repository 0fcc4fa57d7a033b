"""What a machine has and does, as its kernel tells it. PURE: text in, values out.

The names and units of `MemStats`, `DiskStats`, `CpuStats` and `LoadStats` are those that a Cube
manager decodes (Go, `goprocinfo/linux`): memory in kB, disk in bytes, time in clock ticks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from keelman.values import Value

CORE_DIGITS = 9  # as fine as the engine takes them
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])")
_AS_CUBE_HAS_IT = {  # where its names are not what comes of the kernel's
    "Writeback": "write_back",
    "SUnreclaim": "s_unclaim",
    "DirectMap2M": "direct_map_2M",
    "DirectMap1G": "direct_map_1G",
}


class Resources(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """So much of a machine: `cpu` in cores, `memory` and `disk` in bytes."""

    cpu: float = 0.0
    memory: int = 0
    disk: int = 0

    def less(self, other: Resources) -> Resources:
        """What is left when `other` is taken away; below zero where more was taken than is here."""
        return Resources(
            cpu=round(self.cpu - other.cpu, CORE_DIGITS),
            memory=self.memory - other.memory,
            disk=self.disk - other.disk,
        )


class DiskStats(Struct, frozen=True, kw_only=True, rename={"free_inodes": "freeInodes"}):
    """A file system, in bytes; `free` counts what is kept for root, too."""

    all: int
    used: int
    free: int
    free_inodes: int


class CpuStats(Struct, frozen=True, kw_only=True):
    """What all processors together did since boot, in clock ticks."""

    id: str
    user: int = 0
    nice: int = 0
    system: int = 0
    idle: int = 0
    iowait: int = 0
    irq: int = 0
    softirq: int = 0
    steal: int = 0
    guest: int = 0
    guest_nice: int = 0


class LoadStats(Struct, frozen=True, kw_only=True):
    """How many processes run or want to, on average and now."""

    last1min: float
    last5min: float
    last15min: float
    process_running: int
    process_total: int
    last_pid: int


class Stats(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A machine, what it has, and what its live tasks asked of it."""

    mem_stats: dict[str, int]
    disk_stats: DiskStats
    cpu_stats: CpuStats
    load_stats: LoadStats
    task_count: int
    capacity: Resources
    asked: Resources
    left: Resources


def total(all_of_them: Iterable[Resources]) -> Resources:
    """The sum; of no resources, none."""
    listed = list(all_of_them)
    return Resources(
        cpu=round(sum((one.cpu for one in listed), 0.0), CORE_DIGITS),  # 0.1 + 0.2 is 0.3 here
        memory=sum(one.memory for one in listed),
        disk=sum(one.disk for one in listed),
    )


def mem_stats(meminfo: str) -> dict[str, int]:
    """All of /proc/meminfo: kB, and numbers of pages where the kernel gives those."""
    lines = (line.partition(":") for line in meminfo.splitlines())
    return {_snake(name): int(rest.split()[0]) for name, _, rest in lines if rest.strip()}


def _snake(name: str) -> str:
    """`MemTotal` is `mem_total`, `Active(anon)` `active_anon`, `HugePages_Free` the like."""
    if name in _AS_CUBE_HAS_IT:
        return _AS_CUBE_HAS_IT[name]
    return _CAMEL.sub("_", name.replace("(", "_").replace(")", "")).lower()


def cpu_stats(stat: str) -> CpuStats:
    """The first line of /proc/stat; columns that an old kernel does not have are 0."""
    name, *ticks = stat.partition("\n")[0].split()
    columns = CpuStats.__struct_fields__[1:]
    told = {column: int(text) for column, text in zip(columns, ticks, strict=False)}
    return CpuStats(id=name, **told)


def load_stats(loadavg: str) -> LoadStats:
    """/proc/loadavg."""
    last1min, last5min, last15min, processes, last_pid = loadavg.split()
    running, _, known = processes.partition("/")
    return LoadStats(
        last1min=float(last1min),
        last5min=float(last5min),
        last15min=float(last15min),
        process_running=int(running),
        process_total=int(known),
        last_pid=int(last_pid),
    )
