"""The examples do what they say, on a real engine."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.machine import Machine, free_port

pytestmark = pytest.mark.engine

EXAMPLES = Path(__file__).parents[2] / "examples"


async def example(name: str, address: str) -> tuple[int | None, str, str]:
    """Its status, and what it said."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / name,
        env={**os.environ, "KEELMAN_ADDR": address},
        stdout=pipe,
        stderr=pipe,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_container_is_run_from_python(machine: Machine) -> None:
    """Followed line by line, waited for, and its end told."""
    await machine.start()
    status, out, err = await example("run_container.py", machine.url)
    assert (status, err) == (7, "")
    assert out == "1\n2\n3\ncounts FAILED exited, exit code 7\n"
    (task,) = await machine.tasks()
    assert task["ExitCode"] == 7


async def test_without_a_worker_an_example_says_so() -> None:
    """In a line, without a traceback."""
    address = f"http://127.0.0.1:{free_port()}"
    status, out, err = await example("run_container.py", address)
    assert (status, out) == (1, "")
    assert err == f"no worker answers at {address}: Connection refused\n"


@pytest.mark.slow
async def test_a_cluster_goes_as_the_demo_tells_it() -> None:
    """Nodes are lost and come back; the demo checks what it says, and leaves no container."""
    status, out, err = await example("demo_cluster.py", "")
    assert (status, err) == (0, ""), out
    assert "each task runs once" in out
    assert out.endswith("all is cleaned away.\n")
