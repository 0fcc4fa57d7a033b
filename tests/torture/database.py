"""The database is deleted, put back from an older copy, or damaged, while the worker is down."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.torture.bench import Bench
from tests.torture.judge import Tally
from tests.torture.orders import FAILING, KILLED, LONG, SERVICE, SHORT, STUBBORN, TWICE_MORE

ROUNDS = 2  # of each misfortune
PAGE = 4096
KINDS = (SHORT, FAILING, LONG, STUBBORN, SERVICE, TWICE_MORE)
Misfortune = Callable[[Bench], Coroutine[Any, Any, list[str]]]


async def database(bench: Bench, rounds: int = ROUNDS) -> Tally:
    """After each, what ran runs on, what had ended is not started again, nobody is forgotten."""
    bench.excused = frozenset(KILLED)  # of stopped ones, after their stop was forgotten
    await bench.up()
    wrong: list[str] = []
    done = 0
    for _ in range(rounds):
        for misfortune in MISFORTUNES:
            await asyncio.to_thread(shutil.rmtree, _older(bench), ignore_errors=True)
            for kind in KINDS:
                await bench.manager.run(kind)
            await bench.settle()
            wrong += await misfortune(bench)
            done += 1
            bench.say(f"{misfortune.__name__.strip('_')}: {len(bench.manager.orders)} tasks")
            await bench.settle()
    tally = await bench.judge("database lost", f"{done} x deleted, put back, damaged")
    return tally.and_wrong(*wrong)


def _older(bench: Bench) -> Path:
    return bench.folder / "older"


def _file(bench: Bench) -> Path:
    return bench.worker.data_dir / "keelman.db"


# -- misfortunes ---------------------------------------------------------------------------------


async def _deleted(bench: Bench) -> list[str]:
    await bench.worker.kill()
    for file in bench.worker.data_dir.glob("keelman.db*"):
        if "broken" not in file.name:
            file.unlink()
    await bench.up()
    return []


async def _put_back(bench: Bench) -> list[str]:
    """As docs/operations.md tells it; what was stopped since is stopped again."""
    await bench.worker.kill()
    await asyncio.to_thread(shutil.copytree, bench.worker.data_dir, _older(bench))
    await bench.up()
    since = [await bench.manager.run(kind) for kind in KINDS]
    await bench.settle()
    stopped = [
        order for order in bench.manager.orders if order.kind.ends is None and not order.stopped
    ]
    for order in stopped[::2]:
        await bench.manager.stop(order)
    await bench.settle()
    await bench.worker.kill()
    await asyncio.to_thread(_swap, bench)
    await bench.up()
    for order in stopped[::2]:
        await bench.until_known(order)
        await bench.manager.stop(order)
    known = await bench.manager.tasks()
    await bench.until_known(*since)
    return [] if known else ["GET /tasks does not answer"]


def _swap(bench: Bench) -> None:
    broken = list(bench.worker.data_dir.glob("*.broken-*"))
    for file in bench.worker.data_dir.glob("keelman.db*"):
        if file not in broken:
            file.unlink()
    for file in _older(bench).glob("keelman.db*"):
        if not (bench.worker.data_dir / file.name).exists():
            shutil.copy(file, bench.worker.data_dir)
    connection = sqlite3.connect(_file(bench))
    connection.execute("UPDATE meta SET value = ? WHERE key = 'log_id'", [str(uuid.uuid4())])
    connection.commit()
    connection.close()


async def _damaged_head(bench: Bench) -> list[str]:
    return await _damaged(bench, lambda old: bench.chance.randbytes(100) + old[100:])


async def _damaged_pages(bench: Bench) -> list[str]:
    def overwritten(old: bytes) -> bytes:
        pages = [old[at : at + PAGE] for at in range(0, len(old), PAGE)]
        for number in range(1, len(pages), 2):
            pages[number] = bench.chance.randbytes(PAGE)
        return b"".join(pages)

    return await _damaged(bench, overwritten)


async def _cut_short(bench: Bench) -> list[str]:
    return await _damaged(bench, lambda old: old[: len(old) // 2])


async def _damaged(bench: Bench, change: Callable[[bytes], bytes]) -> list[str]:
    """All of it in the one file, which is damaged, and must be found again byte by byte."""
    await bench.worker.kill()
    asides = set(bench.worker.data_dir.glob("*.broken-*"))
    kept = {file: file.read_bytes() for file in asides}
    _checkpoint(_file(bench))
    damaged = change(_file(bench).read_bytes())
    _file(bench).write_bytes(damaged)
    said = bench.worker.log().count("broken database set aside")
    await bench.up()
    new = [
        file
        for file in set(bench.worker.data_dir.glob("*.broken-*")) - asides
        if not file.name.endswith(("-wal", "-shm"))
    ]
    wrong = []
    if [file.read_bytes() for file in new] != [damaged]:
        wrong.append(f"the damaged database is not kept as it was: {new}")
    if any(file.read_bytes() != content for file, content in kept.items()):
        wrong.append("what was set aside before was changed")
    if bench.worker.log().count("broken database set aside") != said + 1:
        wrong.append("the log does not say that a broken database was set aside")
    return wrong


def _checkpoint(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.close()


MISFORTUNES: tuple[Misfortune, ...] = (
    _deleted,
    _put_back,
    _damaged_head,
    _damaged_pages,
    _cut_short,
)
