"""`keelman export`: the `docker run` line that would do the same, so that nobody is locked in."""

from __future__ import annotations

import sys

from keelman.cli import docker_line, show
from keelman.cli.asking import DEFAULT_ADDRESS, Address, Json, TaskWord, task_id
from keelman.cli.failures import complain


async def export(task: TaskWord, /, *, json: Json = False, addr: Address = DEFAULT_ADDRESS) -> None:
    """Print the docker run line that would do the same. With --json its words, as a list.

    What Docker has no option for is told on stderr.
    """
    async with addr.client() as client:
        report = await client.task(await task_id(client, task))
        pids_usual = (await client.worker()).default_pids_limit
    for words in docker_line.left_out(report):
        complain(f"left out: {words}", 0)
    if json:
        show.json(docker_line.words(report, pids_usual))
    else:
        sys.stdout.write(docker_line.script(report, pids_usual) + "\n")
