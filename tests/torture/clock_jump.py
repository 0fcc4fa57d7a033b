"""The clock jumps by a day, forward and back, while the worker is down (with Debian's faketime)."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

from tests.torture.bench import Bench
from tests.torture.judge import Tally
from tests.torture.orders import LONG, SCHEDULED, SERVICE, SHORT, Kind

NEED = Path(__file__).parents[2] / "scripts" / "need"
JUMPS = ("+1d", "-1d", "+0")  # from the true time: two days back, then one forward
CUT_SECONDS = 600.0  # a back-off is cut to 375 s

SLOW_TO_GO = Kind(
    name="slow to go",
    script="trap '' TERM; while true; do sleep 1; done",
    stop_timeout=12,
    init=False,
)
BOUNDED = Kind(
    name="bounded", script="exec sleep 100000", reason="deadline", fields={"Timeout": 20}
)
BACKING_OFF = Kind(name="backing off", script="exit 1", ends=1, policy="on-failure:4", starts=5)
WAITS_FROM = 3  # the attempt before which its back-off is some seconds long


async def clock_jump(bench: Bench) -> Tally:
    """Stops, Timeouts and back-offs that were under way go on, and what runs is left alone."""
    library = await asyncio.to_thread(_faketime)
    await bench.up()
    for jump in JUMPS:
        stays = [await bench.manager.run(kind) for kind in (LONG, SERVICE, SHORT, BOUNDED)]
        stopping, waits = [await bench.manager.run(kind) for kind in (SLOW_TO_GO, BACKING_OFF)]
        await bench.until_running(*stays[:2], stopping)
        await bench.manager.stop(stopping)
        await bench.until_tasks([waits], _backs_off)
        await bench.worker.kill()
        bench.worker.environ = {
            "LD_PRELOAD": library,
            "FAKETIME": jump,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        await bench.up()
        await bench.settle(patience=CUT_SECONDS)
        bench.say(f"clock at {jump}, {len(bench.manager.orders)} tasks")
    return await bench.judge("clock jumped", f"restarted at {', '.join(JUMPS)}")


def _backs_off(task: dict[str, Any]) -> bool:
    return bool(task["Attempt"] >= WAITS_FROM and task["State"] == SCHEDULED)


def _faketime() -> str:
    """Where its library is; installed when it is missing."""
    places = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not places:
        subprocess.run([NEED, "a clock that can be set", "faketime"], check=True)
        places = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return str(places[0])
