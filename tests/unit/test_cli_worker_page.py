"""How a worker looks on the command line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from keelman.allowed import Allowed
from keelman.cli.worker_page import worker_page
from keelman.description import EngineReport, WorkerReport
from keelman.machine import Resources
from tests.unit.test_cli_show import NOW, lines


def a_worker(**fields: Any) -> WorkerReport:
    usual: dict[str, Any] = {
        "name": "node-1",
        "version": "0.1.0",
        "since": NOW - timedelta(days=3),
        "engine": EngineReport(id="ABCD", version="20.10.24", trouble=""),
        "allowed": Allowed(),
        "default_pids_limit": 4096,
        "start_slots": 4,
        "keep_ended_seconds": 86400.0,
        "keep_ended_tasks": 1000,
        "machine": Resources(cpu=2.0, memory=2**31, disk=2**40),
        "capacity": Resources(cpu=2.0, memory=3 << 29, disk=2**39),
        "allocated": Resources(cpu=1.5, memory=2**30),
        "left": Resources(cpu=0.5, memory=2**29, disk=2**39),
    }
    return WorkerReport(**{**usual, **fields})


def shown(**fields: Any) -> list[str]:
    """The lines of its page, spaces as one."""
    return [" ".join(line.split()) for line in lines(worker_page(a_worker(**fields), NOW))]


def test_a_page_tells_the_worker_and_what_would_allow_more() -> None:
    assert shown() == [
        "node-1 keelman 0.1.0 for 3d",
        "Engine 20.10.24, ID ABCD",
        "Machine 2 cores, 2.0 GiB memory, 1.0 TiB disk",
        "Start slots 4",
        "Ended tasks kept for 24 h, 1000 of them at most",
        "Processes 4096 for a task without a PidsLimit",
        "",
        "What tasks may ask for all together",
        "CAPACITY ALLOCATED LEFT",
        "cores 2 1.5 0.5",
        "memory 1.5 GiB 1.0 GiB 512.0 MiB",
        "disk 512.0 GiB 0 B 512.0 GiB",
        "",
        "What tasks may ask for",
        "Images every one",
        "Mounts none (--allow-mount)",
        "Capabilities none added (--allow-cap)",
        "Host network no (--allow-host-network)",
        "Ports below 1024 no (--allow-low-ports)",
    ]


def test_what_is_allowed_is_told_one_a_line() -> None:
    everything = Allowed(
        mounts=("/srv", "/data"),
        images=("keelman/*",),
        capabilities=("KILL", "BPF"),
        host_network=True,
        low_ports=True,
    )
    assert shown(allowed=everything)[14:] == [
        "Images keelman/*",
        "Mounts /srv and below",
        "/data and below",
        "Capabilities KILL, BPF",
        "Host network yes",
        "Ports below 1024 yes",
    ]


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (EngineReport(id=None, version="", trouble="no answer"), "never met: no answer"),
        (
            EngineReport(id="A", version="", trouble="no answer"),
            "of an unknown version, ID A: no answer",
        ),
    ],
)
def test_trouble_with_the_engine_is_told(engine: EngineReport, words: str) -> None:
    assert f"Engine {words}" in shown(engine=engine)


def test_without_a_limit_of_processes_that_is_told() -> None:
    assert "Processes no limit without a PidsLimit" in shown(default_pids_limit=0)


def test_a_name_that_would_steer_the_terminal_is_cleaned() -> None:
    assert "\x1b" not in "".join(shown(name="\x1b[2J", allowed=Allowed(images=("\x1b[2J",))))
