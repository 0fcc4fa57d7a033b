"""`make simulate`: seeds by the thousand, on every core; or a deliberate fault, till it is caught.

python -m tests.simulation [SEEDS] [FROM] [FAULT]    exit status 1 when an invariant breaks
python -m tests.simulation faults                    the names of the faults, one a line
"""

from __future__ import annotations

import sys

from tests.simulation.command import main
from tests.simulation.faults import FAULTS
from tests.simulation.many import Kit
from tests.simulation.scripts import script
from tests.simulation.world import planted_run, prepared

KIT = Kit(
    target="simulate",
    module="tests.simulation",
    faults=tuple(FAULTS),
    script=script,
    planted_run=planted_run,
    prepared=prepared,
)

if __name__ == "__main__":
    sys.exit(main(KIT))
