"""`GET /stats`: the machine as a Cube manager decodes it, and what live tasks asked of it.

The kernel is read on a thread: none of it takes long, but a data directory's file system may.
What the text means is `machine`'s.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil

from keelman import machine
from keelman.machine import DiskStats, Resources, Stats
from keelman.worker.worker import Worker

PROC = Path("/proc")


async def stats(worker: Worker) -> Stats:
    """The machine and its tasks, now. Raises: CannotRecord when the Db cannot be read."""
    asked = worker.db.asked()
    return await asyncio.to_thread(read, worker.directory, asked, worker.limits.capacity)


def read(directory: Path, asked: list[Resources], capacity: Resources, proc: Path = PROC) -> Stats:
    """The machine, given where its data is, what each live task asked for, and what they may."""
    sum_asked = machine.total(asked)
    return Stats(
        mem_stats=machine.mem_stats((proc / "meminfo").read_text()),
        disk_stats=disk_stats(os.statvfs(directory)),
        cpu_stats=machine.cpu_stats(_first_line(proc / "stat")),
        load_stats=machine.load_stats((proc / "loadavg").read_text()),
        task_count=len(asked),
        capacity=capacity,
        asked=sum_asked,
        left=capacity.less(sum_asked),
    )


def whole(directory: Path) -> Resources:
    """What the machine has, given where the worker's data is."""
    return Resources(
        cpu=float(psutil.cpu_count() or 1),
        memory=psutil.virtual_memory().total,
        disk=disk_stats(os.statvfs(directory)).all,
    )


def disk_stats(told: os.statvfs_result) -> DiskStats:
    """A file system as Cube counts it: used and free are all, what only root may use is free."""
    whole, free = told.f_blocks * told.f_frsize, told.f_bfree * told.f_frsize
    return DiskStats(all=whole, used=whole - free, free=free, free_inodes=told.f_ffree)


def _first_line(path: Path) -> str:
    """Of /proc/stat, whose rest is long on a large machine, no more than is needed."""
    with path.open() as lines:
        return lines.readline()
