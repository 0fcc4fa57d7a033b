"""`keelman stop`: asks for tasks to be stopped, and waits for it when asked to."""

from __future__ import annotations

import sys
from typing import Annotated

from keelman.cli.asking import DEFAULT_ADDRESS, Address, TaskWord, flag, task_id
from keelman.cli.failures import Usage, advised, complain, exit_status
from keelman.cli.run import ended
from keelman.client import Client
from keelman.errors import KeelmanError

_Wait = Annotated[bool, flag("Return when their processes are gone.")]


async def stop(*tasks: TaskWord, wait: _Wait = False, addr: Address = DEFAULT_ADDRESS) -> int:
    """Stop tasks. Prints the ID of each whose stop is accepted; it ends in its own time."""
    if not tasks:
        raise Usage("name the tasks to stop: keelman stop ID...")
    status = 0
    accepted = []
    async with addr.client() as client:
        for word in tasks:
            try:
                accepted.append(await _stop(client, word))
            except KeelmanError as error:
                status = complain(advised(error), exit_status(error))
        for stopping in accepted if wait else ():
            await ended(client, stopping)
    return status


async def _stop(client: Client, word: str) -> str:
    found = await task_id(client, word)
    await client.stop(found)
    sys.stdout.write(f"{found}\n")
    sys.stdout.flush()
    return found
