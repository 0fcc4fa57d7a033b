"""The counts as a table, for a person and for docs/reliability.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.torture.judge import Tally

BEGIN, END = "<!-- torture: written by `make torture WRITE=1` -->", "<!-- torture: end -->"
HEADS = (
    *("scenario", "misfortunes", "201", "204", "ran", "lost", "twice", "orphans", "gaps"),
    *("Transitions", "ready again after", "at rest after"),
)
SEP = "|"


def lines(tallies: Sequence[Tally]) -> Iterator[str]:
    """A table in Markdown."""
    yield _row(HEADS)
    yield _row(["---"] * len(HEADS))
    yield from map(_line, tallies)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(tally: Tally) -> str:
    counts = (tally.runs, tally.stops, tally.ran)
    must_be_none = (tally.lost, tally.duplicated, tally.orphans, tally.gaps)
    return _row(
        [
            tally.scenario,
            "; ".join([tally.rounds, *tally.notes]),
            *map(str, counts),
            *(f"**{count}**" if count else "0" for count in must_be_none),
            str(tally.transitions),
            _times(tally.recoveries),
            f"{tally.settled:.0f} s",
        ]
    )


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    return f"{median(seconds):.1f} s, at most {max(seconds):.1f} s"


def write(page: Path, tallies: Sequence[Tally], seed: int) -> None:
    """Put the rows between the page's marks; those of scenarios that were not run stay."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    rows = dict(_named(line) for line in old.splitlines() if _is_row(line))
    rows |= {tally.scenario: _line(tally) for tally in tallies}
    table = "\n".join([_row(HEADS), _row(["---"] * len(HEADS)), *rows.values()])
    page.write_text(f"{before}{BEGIN}\n{_machine(seed)}\n\n{table}\n{END}{after}", encoding="utf-8")


def _is_row(line: str) -> bool:
    return line.startswith(SEP) and not re.match(r"\| (scenario|---) ", line)


def _named(line: str) -> tuple[str, str]:
    return line.split(SEP)[1].strip(), line


def _machine(seed: int) -> str:
    told = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=True)
    docker = re.search(r"version ([0-9.]+)", told.stdout)
    return (
        f"Last run on {datetime.now(UTC):%Y-%m-%d}, seed {seed}: {os.cpu_count()} cores, Linux"
        f" {platform.release().split('-')[0]}, Docker {docker.group(1) if docker else '?'},"
        f" Python {platform.python_version()}."
    )
