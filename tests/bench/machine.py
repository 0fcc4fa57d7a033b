"""What a machine is, as far as it matters to what is measured on it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from tests.bench.engine import EngineApi, Json
from tests.bench.figures import Machine

SYNCS, PAGE_BYTES = 200, 4096


async def described(engine: EngineApi, folder: Path) -> Machine:
    """This machine, its engine, and the disk that a folder is on."""
    return _described(await engine.ask("GET", "/version"), folder)


def _described(version: Json, folder: Path) -> Machine:
    parts = {one["Name"]: one["Version"] for one in version["Components"]}
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_gib=psutil.virtual_memory().total / 2**30,
        processor=processor(Path("/proc/cpuinfo").read_text()),
        linux=platform.release().split("-")[0],
        engine=f"Docker {version['Version']}",
        runtime=f"runc {parts.get('runc', 'unknown')}",
        python=platform.python_version(),
        file_system=file_system(folder),
        sync_ms=sync_ms(folder, time.perf_counter),
    )


def processor(cpuinfo: str) -> str:
    """The model's name, without what registers a trade mark."""
    names = [line.partition(":")[2] for line in cpuinfo.splitlines() if line.startswith("model na")]
    return " ".join(names[0].split()) if names else platform.machine()


def file_system(folder: Path) -> str:
    """The kind of what is mounted nearest above it."""
    places = sorted(psutil.disk_partitions(all=True), key=lambda one: len(one.mountpoint))
    above = [one for one in places if folder.resolve().is_relative_to(one.mountpoint)]
    return above[-1].fstype if above else "unknown"


def sync_ms(folder: Path, clock: Callable[[], float]) -> float:
    """How long a small write takes with its fsync: the median of many."""
    taken = []
    path = folder / "sync"
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            began = clock()
            file.write(bytes(PAGE_BYTES))
            os.fdatasync(file.fileno())
            taken.append(1000 * (clock() - began))
    path.unlink()
    return median(taken)
