"""`make simulate-cluster`: whole clusters in virtual time, by the thousand, on every core.

python -m tests.cluster [SEEDS] [FROM] [FAULT]    exit status 1 when a law is broken
python -m tests.cluster faults                    the names of the faults, one a line
"""

from __future__ import annotations

import sys

from tests.cluster.faults import FAULTS
from tests.cluster.scripts import script
from tests.cluster.world import planted_run, prepared
from tests.simulation.command import main
from tests.simulation.many import Kit

KIT = Kit(
    target="simulate-cluster",
    module="tests.cluster",
    faults=tuple(FAULTS),
    script=script,
    planted_run=planted_run,
    prepared=prepared,
)

if __name__ == "__main__":
    sys.exit(main(KIT))
