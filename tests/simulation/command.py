"""The command of a simulation: seeds by the thousand, on every core; or a deliberate fault.

[SEEDS] [FROM] [FAULT]    exit status 1 when an invariant breaks
faults                    the names of the faults, one a line
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from typing import Any

from tests.simulation.many import Kit, Share, Tally, run_share
from tests.simulation.shrink import report, shrunk

SHARE = 25


def main(kit: Kit) -> int:
    """What the words after the module's name ask for."""
    _same_every_time(kit)
    words = sys.argv[1:]
    if words == ["faults"]:
        _say("\n".join(kit.faults))
        return 0
    seeds, first, fault = [*words, "", "", ""][:3]
    if fault and fault not in kit.faults:
        _say(f"there is no fault {fault}; the names: {' '.join(kit.faults)}", file=sys.stderr)
        return 2
    return simulate(kit, int(seeds or 1000), int(first or 1), fault)


def simulate(kit: Kit, seeds: int, first: int, fault: str) -> int:
    """Run seeds on all cores until one breaks; 1 when one did."""
    total = Tally()
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for tally in pool.imap_unordered(run_share, _shares(kit, seeds, first, fault)):
            total = total.and_also(tally)
            _progress(total, seeds)
            if total.broken:
                break
        pool.terminate()
    _say("", file=sys.stderr)
    if total.broken:
        _explain(kit, min(total.broken), fault)
        return 1
    _say(f"{total}; nothing broke")
    return 0


def _shares(kit: Kit, seeds: int, first: int, fault: str) -> Iterator[Share]:
    for start in range(first, first + seeds, SHARE):
        yield Share(kit=kit, first=start, seeds=min(SHARE, first + seeds - start), fault=fault)


def _progress(total: Tally, seeds: int) -> None:
    if sys.stderr.isatty():
        _say(f"\r{total.seeds} of {seeds}", end="", file=sys.stderr, flush=True)


def _explain(kit: Kit, seed: int, fault: str) -> None:
    """The seed, and the least of its script that breaks something."""
    with kit.prepared(), kit.planted_run(fault) as run:
        outcome = shrunk(run(kit.script(seed)), run)
    again = f"make {kit.target} SEEDS=1 FROM={seed}" + (f" FAULT={fault}" if fault else "")
    _say(f"seed {seed} breaks an invariant; once more: {again}\n\n{report(outcome)}")


def _say(words: str, **how: Any) -> None:
    """Aloud: it talks to a person."""
    print(words, **how)  # noqa: T201


def _same_every_time(kit: Kit) -> None:
    """A set's order must not depend on the process, or a seed would not tell the same twice."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", kit.module, *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
