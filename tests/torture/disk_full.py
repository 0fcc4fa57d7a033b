"""The disk under the data directory fills up while the worker writes, and is freed again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture.bench import Bench
from tests.torture.judge import Tally
from tests.torture.orders import LONG, SERVICE, SHORT, starts_of
from tests.torture.waiting import until

FILLINGS = 6
SIZE = "80m"  # a flight record alone may be 32 MiB
FULL_SECONDS = 6.0


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A small file system of its own in memory at `place`."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "torture", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


async def disk_full(bench: Bench, rounds: int = FILLINGS) -> Tally:
    """Half of the times the worker is killed while there is no room, and cannot come back."""
    with small_disk(bench.worker.data_dir):
        return await _disk_full(bench, rounds)


async def _disk_full(bench: Bench, rounds: int) -> Tally:
    await bench.up()
    stay = [await bench.manager.run(kind) for kind in (LONG, SERVICE)]
    await bench.settle()
    wrong = []
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.manager.keep_asking(0.7), name="load")
        for number in range(rounds):
            await asyncio.sleep(bench.chance.uniform(2, 6))
            wrong += await _fill(bench, kills=number % 2 == 1)
            bench.say(f"{number + 1} x full, {bench.manager.answers[503]} answers were 503")
        bench.manager.busy = False
    await bench.manager.calm()
    tally = await bench.judge(
        "disk full",
        f"{rounds} x full, {rounds // 2} of them with a kill -9",
        f"{bench.manager.answers[503]} x 503",
    )
    disturbed = [one.task_id for one in stay if len(starts_of(bench.starts, one.task_id)) != 1]
    return tally.and_wrong(*wrong, *(f"{one} was disturbed" for one in disturbed))


async def _fill(bench: Bench, *, kills: bool) -> list[str]:
    ballast = bench.worker.data_dir / "ballast"
    await asyncio.to_thread(_write_until_full, ballast)

    async def refuses() -> bool:
        """What fits into what SQLite has already is still taken, and counts."""
        await asyncio.to_thread(_write_until_full, ballast)
        return await bench.manager.once(SHORT) == 503

    await until(refuses, "a task is refused with 503 while the disk is full")
    wrong = [] if await bench.manager.tasks() else ["GET /tasks does not answer"]
    if kills:
        await bench.worker.kill()
        await bench.worker.start()
    await asyncio.sleep(FULL_SECONDS)
    ballast.unlink()
    await bench.ready()
    return wrong


def _write_until_full(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    assert os.statvfs(ballast.parent).f_bfree == 0
