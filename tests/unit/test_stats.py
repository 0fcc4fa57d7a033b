"""The machine as its kernel tells it: text in, values out, under the names that Cube decodes."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from keelman import machine
from keelman.db import Db
from keelman.machine import CpuStats, Resources
from keelman.queue import Queue
from keelman.store import Store
from keelman.task import State
from keelman.worker import stats
from tests.unit.given import NOW, a_task
from tests.unit.given_wire import a_delete, an_event, an_id

# What kernels wrote: 6.12 on 2 cores, and 2.6.32, which knew less.
MEMINFO = """\
MemTotal:       24683656 kB
MemFree:        22483476 kB
MemAvailable:   23805428 kB
Buffers:           32168 kB
SwapCached:            0 kB
Active(anon):       1584 kB
Inactive(file):   766768 kB
Writeback:             4 kB
KReclaimable:     216720 kB
SReclaimable:     216721 kB
SUnreclaim:        37860 kB
SecPageTables:         0 kB
NFS_Unstable:          0 kB
WritebackTmp:          8 kB
Committed_AS:    3883788 kB
VmallocTotal:   34359738367 kB
AnonHugePages:         0 kB
HugePages_Total:       3
Hugepagesize:       2048 kB
DirectMap4k:       20480 kB
DirectMap2M:     2076672 kB
DirectMap1G:    25165824 kB
"""
STAT = """\
cpu  639870 12 123013 544868 7104 1 3794 6779 5 6
cpu0 320000 6 61000 272000 3500 0 1900 3400 0 0
intr 25441113 0 9 0 0
"""
OLD_STAT = "cpu  46828 0 16829 1670 1645 3 546\ncpu0 1 2 3\n"
LOADAVG = "2.39 1.45 2.69 3/188 3775\n"


def test_memory_has_the_names_that_cube_decodes() -> None:
    """Those of goprocinfo's MemInfo, whose tags do not all follow from the kernel's names."""
    assert machine.mem_stats(MEMINFO) == {
        "mem_total": 24683656,
        "mem_free": 22483476,
        "mem_available": 23805428,
        "buffers": 32168,
        "swap_cached": 0,
        "active_anon": 1584,
        "inactive_file": 766768,
        "write_back": 4,
        "k_reclaimable": 216720,
        "s_reclaimable": 216721,
        "s_unclaim": 37860,
        "sec_page_tables": 0,
        "nfs_unstable": 0,
        "writeback_tmp": 8,
        "committed_as": 3883788,
        "vmalloc_total": 34359738367,
        "anon_huge_pages": 0,
        "huge_pages_total": 3,
        "hugepagesize": 2048,
        "direct_map_4k": 20480,
        "direct_map_2M": 2076672,
        "direct_map_1G": 25165824,
    }


def test_processor_time_is_that_of_all_processors_in_ticks() -> None:
    told = msgspec.to_builtins(machine.cpu_stats(STAT))
    ticks = (639870, 12, 123013, 544868, 7104, 1, 3794, 6779, 5, 6)
    names = [*CpuStats.__struct_fields__][1:]
    assert names[:3] + names[-3:] == ["user", "nice", "system", "steal", "guest", "guest_nice"]
    assert told == {"id": "cpu", **dict(zip(names, ticks, strict=True))}


def test_what_an_old_kernel_does_not_count_is_zero() -> None:
    told = machine.cpu_stats(OLD_STAT)
    assert (told.user, told.softirq) == (46828, 546)
    assert (told.steal, told.guest, told.guest_nice) == (0, 0, 0)


def test_a_newer_kernel_may_count_more() -> None:
    assert machine.cpu_stats("cpu  1 2 3 4 5 6 7 8 9 10 11 12\n").guest_nice == 10


def test_load_is_averages_and_numbers_of_processes() -> None:
    assert msgspec.to_builtins(machine.load_stats(LOADAVG)) == {
        "last1min": 2.39,
        "last5min": 1.45,
        "last15min": 2.69,
        "process_running": 3,
        "process_total": 188,
        "last_pid": 3775,
    }


def test_a_disk_is_used_or_free_and_what_is_kept_for_root_is_free() -> None:
    told = os.statvfs_result((4096, 1024, 1000, 400, 350, 90, 80, 75, 0, 255))
    assert msgspec.to_builtins(stats.disk_stats(told)) == {
        "all": 1000 * 1024,
        "used": 600 * 1024,
        "free": 400 * 1024,
        "freeInodes": 80,
    }


def test_nothing_is_asked_by_no_task() -> None:
    assert msgspec.json.encode(machine.total([])) == b'{"Cpu":0.0,"Memory":0,"Disk":0}'


def test_what_tasks_ask_is_summed_and_taken_away() -> None:
    """In cores that people count in tenths, not in what binary fractions make of them."""
    asked = machine.total([Resources(cpu=0.1, memory=5, disk=7), Resources(cpu=0.2, memory=1)])
    assert asked == Resources(cpu=0.3, memory=6, disk=7)
    left = Resources(cpu=0.9, memory=10, disk=10).less(asked)
    assert left == Resources(cpu=0.6, memory=4, disk=3)


def test_more_may_be_asked_than_there_is() -> None:
    assert Resources(cpu=1.0).less(Resources(cpu=1.5)) == Resources(cpu=-0.5)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for name, text in (("meminfo", MEMINFO), ("stat", STAT), ("loadavg", LOADAVG)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_everything_is_read_from_where_it_is(proc: Path, tmp_path: Path) -> None:
    """And goes by the names of the wire."""
    asked = [Resources(cpu=0.5, memory=1024, disk=4096), Resources()]
    given = Resources(cpu=3.0, memory=4096, disk=4096)
    told = stats.read(tmp_path, asked, given, proc)
    assert told.mem_stats == machine.mem_stats(MEMINFO)
    assert told.cpu_stats == machine.cpu_stats(STAT)
    assert told.load_stats == machine.load_stats(LOADAVG)
    assert told.disk_stats.all == stats.whole(tmp_path).disk > 0
    assert told.task_count == 2
    assert told.asked == Resources(cpu=0.5, memory=1024, disk=4096)
    assert told.capacity == given
    assert told.left == Resources(cpu=2.5, memory=3072)
    assert list(msgspec.to_builtins(told)) == [
        *("MemStats", "DiskStats", "CpuStats", "LoadStats", "TaskCount"),
        *("Capacity", "Asked", "Left"),
    ]


def test_this_kernel_is_understood() -> None:
    """Whatever it is: every line of its memory, and processors that have done something."""
    told = stats.read(Path("/"), [], Resources())
    lines = Path("/proc/meminfo").read_text().splitlines()
    assert len(told.mem_stats) == len(lines)
    assert told.mem_stats["mem_total"] * 1024 == stats.whole(Path("/")).memory
    assert told.cpu_stats.id == "cpu"
    assert told.cpu_stats.user > 0


# -- what live tasks ask -------------------------------------------------------------------------

HALF = {"cpu": 0.5, "memory": 64 << 20}
FULL = {"cpu": 1.0, "memory": 128 << 20}


async def test_live_tasks_ask_and_ended_ones_do_not(store: Store) -> None:
    db = Db(store)
    await db.put(a_task(State.RUNNING, asked=HALF).but(id=an_id(1)))
    await db.put(a_task(State.SCHEDULED, asked=FULL).but(id=an_id(2)))
    await db.put(a_task(State.COMPLETED, asked=FULL).but(id=an_id(3)))
    await db.put(a_task(State.FAILED, asked=FULL).but(id=an_id(4)))
    assert machine.total(db.asked()) == Resources(cpu=1.5, memory=192 << 20)
    assert len(db.asked()) == 2


async def test_a_task_asks_from_the_moment_its_wish_is_recorded(store: Store) -> None:
    """Once, and no more when it is on record too; also when it had ended and is asked for anew."""
    db, queue = Db(store), Queue(store)
    await queue.put(an_event(cpu=0.5), NOW)
    assert db.asked() == [Resources(cpu=0.5)]
    await db.put(a_task(State.FAILED, asked={"cpu": 0.5}, wish=1))
    assert db.asked() == []
    await queue.put(an_event(event_id=an_id(77), cpu=0.5), NOW)
    assert db.asked() == [Resources(cpu=0.5)]
    await db.put(a_task(State.RUNNING, asked={"cpu": 0.5}, wish=2))
    assert db.asked() == [Resources(cpu=0.5)]


async def test_a_task_that_is_stopped_asks_until_its_end_is_on_record(store: Store) -> None:
    """Also before it is taken up: a step that knows nothing of the stop may be under way."""
    db, queue = Db(store), Queue(store)
    await queue.put(an_event(cpu=0.5), NOW)
    await queue.put(a_delete(), NOW)
    assert db.asked() == [Resources(cpu=0.5)]
    await db.put(a_task(State.COMPLETED, asked={"cpu": 0.5}, wish=1))
    assert db.asked() == []
