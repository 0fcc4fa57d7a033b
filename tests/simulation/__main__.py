"""`make simulate`: seeds by the thousand, on every core; or a deliberate fault, till it is caught.

python -m tests.simulation [SEEDS] [FROM] [FAULT]    exit status 1 when an invariant breaks
python -m tests.simulation faults                    the names of the faults, one a line
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from typing import Any

from tests.simulation.faults import FAULTS
from tests.simulation.many import Share, Tally, run_share
from tests.simulation.scripts import script
from tests.simulation.shrink import report, shrunk
from tests.simulation.world import planted_run, prepared

SHARE = 25


def main(words: list[str]) -> int:
    if words == ["faults"]:
        _say("\n".join(FAULTS))
        return 0
    seeds, first, fault = (*words, "1000", "1", "")[:3] if not words else _given(words)
    if fault and fault not in FAULTS:
        _say(f"there is no fault {fault}; the names: {' '.join(FAULTS)}", file=sys.stderr)
        return 2
    return simulate(int(seeds), int(first), fault)


def _given(words: list[str]) -> tuple[str, str, str]:
    seeds, first, fault = [*words, "", "", ""][:3]
    return seeds or "1000", first or "1", fault


def simulate(seeds: int, first: int, fault: str) -> int:
    """Run seeds on all cores until one breaks; 1 when one did."""
    total = Tally()
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for tally in pool.imap_unordered(run_share, _shares(seeds, first, fault)):
            total = total.and_also(tally)
            _progress(total, seeds)
            if total.broken:
                break
        pool.terminate()
    _say("", file=sys.stderr)
    if total.broken:
        _explain(min(total.broken), fault)
        return 1
    _say(f"{total}; nothing broke")
    return 0


def _shares(seeds: int, first: int, fault: str) -> Iterator[Share]:
    for start in range(first, first + seeds, SHARE):
        yield Share(first=start, seeds=min(SHARE, first + seeds - start), fault=fault)


def _progress(total: Tally, seeds: int) -> None:
    if sys.stderr.isatty():
        _say(f"\r{total.seeds} of {seeds}", end="", file=sys.stderr, flush=True)


def _explain(seed: int, fault: str) -> None:
    """The seed, and the least of its script that breaks something."""
    with prepared(), planted_run(fault) as run:
        outcome = shrunk(run(script(seed)), run)
    again = f"make simulate SEEDS=1 FROM={seed}" + (f" FAULT={fault}" if fault else "")
    _say(f"seed {seed} breaks an invariant; once more: {again}\n\n{report(outcome)}")


def _say(words: str, **how: Any) -> None:
    """Aloud: it talks to a person."""
    print(words, **how)  # noqa: T201


def _same_every_time() -> None:
    """A set's order must not depend on the process, or a seed would not tell the same twice."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})


if __name__ == "__main__":
    _same_every_time()
    sys.exit(main(sys.argv[1:]))
