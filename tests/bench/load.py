"""wrk, what it is told to send, and what it says."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from msgspec import Struct

CONNECTIONS, THREADS = 32, 1
SCRIPT = Path(__file__).with_name("post.lua")
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class Load(Struct, frozen=True, kw_only=True):
    """What came of it. `bad` answers are those that are no 2xx or 3xx, `broken` are no answers."""

    per_second: float
    p99_ms: float
    answers: int
    bad: int
    broken: int


async def get(url: str, seconds: int) -> Load:
    """As many GETs as will go."""
    return await _wrk(url, seconds)


async def post(url: str, seconds: int, mark: int, acknowledged: Path | None = None) -> Load:
    """As many POSTs of new tasks as will go. `mark` is part of their IDs, one for each call.

    The IDs of tasks that were answered 201 are written to a file, where one is named.
    """
    told = ["--", f"{mark:08x}", *([str(acknowledged)] if acknowledged else [])]
    return await _wrk(url, seconds, f"--script={SCRIPT}", then=told)


async def _wrk(url: str, seconds: int, *options: str, then: list[str] | None = None) -> Load:
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("there is no wrk: apt-get install wrk")
    size = (f"--threads={THREADS}", f"--connections={CONNECTIONS}", f"--duration={seconds}s")
    running = await asyncio.create_subprocess_exec(
        *(program, *size, "--latency", *options, url, *(then or [])), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await running.communicate()
    return load_in(said.decode())


def load_in(said: str) -> Load:
    """What wrk prints. Raises: ValueError when that is no report."""
    rate = re.search(r"^Requests/sec: +([\d.]+)", said, re.MULTILINE)
    p99 = re.search(r"^ +99% +([\d.]+)(us|ms|s|m)", said, re.MULTILINE)
    count = re.search(r"^ +(\d+) requests in", said, re.MULTILINE)
    if rate is None or p99 is None or count is None:
        raise ValueError(f"wrk said: {said!r}")
    bad = re.search(r"^ +Non-2xx or 3xx responses: (\d+)", said, re.MULTILINE)
    broken = re.search(r"^ +Socket errors: (.*)$", said, re.MULTILINE)
    return Load(
        per_second=float(rate[1]),
        p99_ms=float(p99[1]) * UNITS[p99[2]],
        answers=int(count[1]),
        bad=int(bad[1]) if bad else 0,
        broken=sum(map(int, re.findall(r"\d+", broken[1]))) if broken else 0,
    )
