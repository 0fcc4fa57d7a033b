"""What every container gets, whatever its task asks for. PURE.

None of it is a spec's, and so none of it is in a spec's digest: a container that was made without
it, or with another limit, stays ours.
"""

from __future__ import annotations

from typing import Any

from keelman.task import Spec

# As OpenShift has it. Threads count too: a Java server may have a thousand, a fork bomb all.
PIDS_USUAL = 4096
# Always this driver: one that cannot be read back would leave no `logs`, an unbounded one no disk.
LOG_DRIVER = "json-file"
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}
# Whom the kernel kills first when the machine's memory is used up, the worker and the engine last:
# those who asked for no memory go before those it was promised to. A desktop's programs are at 200.
OOM_UNASKED = 1000
OOM_ASKED = 500
NO_NEW_PRIVILEGES = "no-new-privileges:true"


def host_config(spec: Spec, pids_usual: int = PIDS_USUAL) -> dict[str, Any]:
    """The part of a HostConfig; a spec's own limit of processes goes before the usual one."""
    return {
        "PidsLimit": spec.pids_limit or pids_usual or None,
        "OomScoreAdj": oom_score(spec.memory),
        "SecurityOpt": [NO_NEW_PRIVILEGES],
        "LogConfig": {"Type": LOG_DRIVER, "Config": LOG_OPTIONS},
    }


def oom_score(memory_bytes: int) -> int:
    """`oom_score_adj` of a container's processes, by the memory that was asked for."""
    return OOM_ASKED if memory_bytes else OOM_UNASKED
