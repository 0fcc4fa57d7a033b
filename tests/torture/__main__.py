"""`python -m tests.torture`: tortures a worker on an engine of its own, and counts.

Exit status 0 when nothing was lost, nothing ran twice, nothing was left over and no log had a gap.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import sys
from pathlib import Path

from rich.console import Console

from tests.torture import report
from tests.torture.judge import Tally
from tests.torture.scenarios import SCENARIOS, run

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def main() -> int:
    asked = _arguments()
    console = Console(highlight=False)
    logging.getLogger("aiohttp.server").disabled = True  # the proxy breaks off on purpose
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is to be left behind
    if os.geteuid() != 0:
        console.print("keelman: the torture starts an engine of its own, which takes root")
        return 2
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**6)
    console.print(f"seed {seed}: repeat with SEED={seed}")
    tallies = [_one(name, seed, console, asked.rounds) for name in asked.only or SCENARIOS]
    for line in report.lines(tallies):
        console.print(line)
    if asked.write:
        report.write(PAGE, tallies, seed)
    return 0 if all(tally.sound for tally in tallies) else 1


def _one(name: str, seed: int, console: Console, rounds: int | None) -> Tally:
    tally = asyncio.run(run(name, seed, console.print, rounds))
    console.print(f"{name}: {'as it must be' if tally.sound else 'NOT as it must be'}")
    for words in tally.wrong:
        console.print(f"  {words}")
    return tally


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*SCENARIOS], help="only this; repeat")
    parser.add_argument("--rounds", type=int, help="how often each misfortune comes")
    parser.add_argument("--seed", type=int, help="what chance draws from; usually a new one")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
