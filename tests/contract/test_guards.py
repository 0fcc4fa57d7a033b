"""What every container gets takes effect on a real engine: rights, processes, the log's size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keelman.runtime import LogOptions
from keelman.runtime.docker import DockerRuntime
from keelman.seen import Create, Created, Exited, Start
from keelman.task import Task
from tests.contract.programs import script
from tests.contract.worlds import PATIENCE_SECONDS, DockerWorld, a_task

pytestmark = pytest.mark.engine

PIDS_MAX = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; true"
OWN_OOM_SCORE = int(Path("/proc/self/oom_score_adj").read_text())
FORKS = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 60 & done; echo all"
SETUID = """
printf 'root:x:0:0::/:/bin/sh\\nsome:x:1000:1000::/:/bin/sh\\n' > /etc/passwd
cp /bin/busybox /su; chmod 4755 /su; su some -c '/su root -c id' </dev/null 2>&1; true
"""
LINE_BYTES = 10_000
LINES = 2_500  # 25 MB: two of the three files are full, and nothing is lost yet
WRITES = f"""
rest=$(head -c {LINE_BYTES} /dev/zero | tr '\\0' x)
i=0
while [ $i -lt {LINES} ]; do
    echo $i $rest; i=$((i+1))
    [ $((i % 125)) -gt 0 ] || sleep 0.25  # the engine waits for no reader
done
"""


async def said(docker: DockerWorld, task: Task) -> str:
    """All that a task writes until it ends."""
    return await _output(docker, await docker.started(task))


async def _output(docker: DockerWorld, container_id: str) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        pieces = docker.runtime.logs(container_id, LogOptions(follow=True))
        return b"".join([piece async for piece in pieces]).decode()


async def numbers(pieces: AsyncIterator[bytes]) -> list[int]:
    """The numbers at the beginning of lines; each line is whole."""
    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        lines = b"".join([piece async for piece in pieces]).splitlines()
    assert {len(line.split()[1]) for line in lines} == {LINE_BYTES}
    return [int(line.split()[0]) for line in lines]


async def test_no_process_gains_privileges(docker: DockerWorld) -> None:
    """By the kernel's own word, so that a setuid program is as good as any other."""
    told = await said(docker, a_task(script("grep NoNewPrivs /proc/self/status")))
    assert told.split() == ["NoNewPrivs:", "1"]


async def test_a_setuid_program_has_the_rights_of_who_runs_it(docker: DockerWorld) -> None:
    """`su` is one, and finds that it is not what it has to be."""
    told = await said(docker, a_task(script(SETUID)))
    assert told == "su: must be suid to work properly\n"


@pytest.mark.parametrize(("asked", "score"), [(0, 1000), (64 << 20, 500)])
async def test_the_kernel_kills_containers_before_their_worker(
    docker: DockerWorld, asked: int, score: int
) -> None:
    """Those first that asked for no memory. The worker is where this process is."""
    told = await said(docker, a_task(script("cat /proc/self/oom_score_adj"), memory=asked))
    assert int(told) == score > OWN_OOM_SCORE


@pytest.mark.parametrize(("asked", "limit"), [(0, "4096"), (20, "20")])
async def test_the_kernel_knows_the_limit_of_processes(
    docker: DockerWorld, asked: int, limit: str
) -> None:
    assert (await said(docker, a_task(script(PIDS_MAX), pids_limit=asked))).split() == [limit]


async def test_a_task_without_a_limit_cannot_fork_beyond_the_workers(docker: DockerWorld) -> None:
    runtime = DockerRuntime(docker.worker, pids_usual=10)
    task = a_task(script(FORKS))
    try:
        await runtime.do(task, Create(attempt=1))
        container_id = (await docker.seen(task, Created)).container_id
        await runtime.do(task, Start(container_id=container_id, attempt=1))
        await docker.seen(task, Exited)
        told = await _output(docker, container_id)
    finally:
        await runtime.close()
    assert "can't fork" in told
    assert "all" not in told.split()


@pytest.mark.slow
async def test_a_log_is_followed_and_tailed_over_its_rotations(docker: DockerWorld) -> None:
    """Whoever keeps up misses no line. He may see some again: an engine may step back there."""
    task = a_task(script(WRITES))
    container_id = await docker.started(task)
    followed = await numbers(docker.runtime.logs(container_id, LogOptions(follow=True)))
    await docker.seen(task, Exited)
    assert list(dict.fromkeys(followed)) == list(range(LINES))
    tail = LINES - 500  # reaches over both ends of a file
    told = await numbers(docker.runtime.logs(container_id, LogOptions(tail=tail)))
    assert told == list(range(500, LINES))
