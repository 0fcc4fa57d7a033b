"""Runs a container from Python, follows what it writes, and waits for its end.

With a worker on 127.0.0.1:5556 (`make run`), or where the variables of the command line lead:

    .venv/bin/python examples/run_container.py
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from uuid import uuid4

from keelman import Client, KeelmanError, State

ADDRESS = os.environ.get("KEELMAN_ADDR", "http://127.0.0.1:5556")
COUNTS = "for n in 1 2 3; do echo $n; sleep 0.2; done; exit 7"


def client_here() -> Client:
    """Who asks, and whom it trusts, from the environment."""
    env, tls = os.environ, None
    if ADDRESS.startswith("https:"):
        tls = ssl.create_default_context(cafile=env.get("KEELMAN_TLS_CA"))
        if "KEELMAN_TLS_CERT" in env:
            tls.load_cert_chain(env["KEELMAN_TLS_CERT"], env["KEELMAN_TLS_KEY"])
    return Client(ADDRESS, token_file=env.get("KEELMAN_TOKEN_FILE"), tls=tls)


async def main() -> int:
    async with client_here() as client:
        task = await client.run(
            str(uuid4()),
            Name="counts",
            Image="keelman/busybox:1",
            Command=["sh", "-c", COUNTS],
        )
        async for piece in client.logs(task.id, follow=True):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        task = await client.task(task.id, wait="ended")
    print(f"{task.name} {task.state.name} {task.reason}, exit code {task.exit_code}")
    return 0 if task.state is State.COMPLETED else task.exit_code or 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except (KeelmanError, OSError) as error:
        sys.exit(f"{error}")
