"""Keelman's main job, shown and checked on the real engine: `make demo`.

A worker of its own, with its own name, port and data directory: tasks are sent over HTTP, run as
containers, listed, read, stopped; one fails, and the worker itself is killed and comes back. What
does not go as told ends the demo with status 1. Everything is cleaned away at the end.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
from stage import (
    IMAGE,
    PATIENCE_SECONDS,
    WRONG,
    Program,
    Unexpected,
    expect,
    free_port,
    good,
    keelman,
    not_as_told,
    remove_containers,
    step,
    typed,
)

from keelman.client import Client
from keelman.task import Reason, State
from keelman.wire import TaskReport

NAME = f"demo-{uuid4().hex[:8]}"


class Demo:
    """The worker of the demo, and the tasks sent to it by name."""

    def __init__(self, folder: Path, client: Client) -> None:
        self.folder = folder
        self.client = client
        self.worker = Program(client, folder / "worker.log")
        self.url = self.worker.url
        self.page = f"http://127.0.0.1:{free_port()}/"
        self.tasks: dict[str, str] = {}

    async def start_worker(self) -> None:
        port = str(self.client.address.port)
        await self.worker.start(
            "worker", "--name", NAME, "--port", port, "--data-dir", str(self.folder / "data")
        )
        good(f"it answers on {self.url}")

    async def send(self, name: str, words: str, **fields: object) -> None:
        """Sends a task as anyone would, with a TaskEvent to POST /tasks."""
        task = {"ID": str(uuid4()), "Name": name, "Image": IMAGE, **fields}
        event = {"ID": str(uuid4()), "State": State.RUNNING, "Task": task}
        if not self.tasks:
            options = "-X POST -H 'Content-Type: application/json'"
            typed(f"curl {options} {self.url}/tasks -d '\n      {json.dumps(event)}'")
        self.tasks[name] = (await self.client.send(event)).id
        good(f"201 [bold]{name}[/]: {words}")

    async def wait(self, name: str, state: State, **fields: object) -> TaskReport:
        """The task in that state, with those fields in its report."""
        wanted = "ended" if state.ended else "running"
        task = await self.client.task(
            self.tasks[name], wait=wanted, timeout_seconds=PATIENCE_SECONDS
        )
        expect(f"{name}'s State", task.state.name, state.name)
        for field, value in fields.items():
            expect(f"{name}'s {field}", getattr(task, field), value)
        return task

    async def fetch(self) -> None:
        typed(f"curl {self.page}")
        async with aiohttp.ClientSession() as session, session.get(self.page) as response:
            page = await response.text()
        if "Hello from a task." not in page:
            raise Unexpected(f"the page: saw {page!r}")
        good("Hello from a task.")


async def send_tasks(demo: Demo) -> None:
    step("Send tasks")
    port = {"80/tcp": demo.page.rstrip("/").rpartition(":")[2]}
    serve = ["httpd", "-f", "-h", "/www"]
    boom = "echo looking for the cargo; echo there is none; exit 3"
    await demo.send("web", "a service", Command=serve, PortBindings=port, Init=True)
    await demo.send("hello", "one that ends by itself", Command=["echo", "hello from a container"])
    await demo.send("broken", "one that exits 3", Command=["sh", "-c", boom])
    await demo.send("typo", "a command that does not exist", Command=["no-such-command"])
    await demo.send("again", "a restart policy", Command=["false"], RestartPolicy="on-failure:1")
    await demo.send("sleeper", "one to be stopped", Command=["sleep", "1000"], Init=True)


async def run_them(demo: Demo) -> None:
    step("They run as containers")
    await demo.wait("web", State.RUNNING)
    await demo.fetch()
    await demo.wait("sleeper", State.RUNNING)
    await demo.wait("hello", State.COMPLETED, exit_code=0)
    await demo.wait("broken", State.FAILED, exit_code=3)
    await demo.wait("typo", State.FAILED, reason=Reason.COMMAND_NOT_FOUND)
    await demo.wait("again", State.FAILED, exit_code=1, restart_count=1)
    typed(f"curl {demo.url}/tasks")
    expect("the tasks", {task.id for task in await demo.client.tasks()}, {*demo.tasks.values()})
    await keelman(demo.url, "ps", "--all")


async def read_and_stop(demo: Demo) -> None:
    step("Read what one wrote")
    typed(f"curl {demo.url}/tasks/{demo.tasks['hello']}/logs")
    wrote = b"".join([piece async for piece in demo.client.logs(demo.tasks["hello"])])
    expect("hello's log", wrote, b"hello from a container\n")
    await keelman(demo.url, "logs", "hello")
    step("Stop one")
    typed(f"curl -X DELETE {demo.url}/tasks/{demo.tasks['sleeper']}")
    await demo.client.stop(demo.tasks["sleeper"])
    await demo.wait("sleeper", State.COMPLETED, reason=Reason.STOPPED)
    good("COMPLETED: its process is gone")


async def show_failure(demo: Demo) -> None:
    step("See why one failed")
    failed = await demo.wait("broken", State.FAILED, exit_code=3)
    expect("broken's last line", failed.message.rstrip().split("\n")[-1], "there is none")
    await keelman(demo.url, "inspect", "broken")


async def survive(demo: Demo) -> None:
    step("Kill the worker with -9, and start it again")
    before = await demo.wait("web", State.RUNNING)
    await demo.worker.kill()
    good("the worker is gone; the service is not:")
    await demo.fetch()
    await demo.start_worker()
    after = await demo.wait("web", State.RUNNING, container_id=before.container_id)
    expect("the service's StartTime", after.start_time, before.start_time)
    good(f"web is the same container as before: {after.container_id[:12]}")


async def put_away(demo: Demo) -> None:
    step("Stop the rest, and the worker")
    await keelman(demo.url, "stop", "--wait", "web")
    await demo.wait("web", State.COMPLETED)
    expect("the worker's exit status", await demo.worker.end(signal.SIGTERM), 0)
    good("all is stopped, exit status 0")


@asynccontextmanager
async def a_demo() -> AsyncIterator[Demo]:
    """A demo in a folder of its own, of which nothing is left at the end, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix="keelman-demo-"))
    async with Client(f"http://127.0.0.1:{free_port()}") as client:
        demo = Demo(folder, client)
        try:
            yield demo
        except WRONG:
            sys.stderr.write(demo.worker.log.read_text()[-4000:])
            raise
        finally:
            await demo.worker.clear()
            await remove_containers([NAME])
            shutil.rmtree(folder)


async def main() -> None:
    async with a_demo() as demo:
        step(f"Start a worker, here named {NAME}")
        await demo.start_worker()
        for part in (send_tasks, run_them, read_and_stop, show_failure, survive, put_away):
            await part(demo)
    step("[green]All went as told[/], and all is cleaned away.")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except WRONG as error:
        sys.exit(not_as_told(error))
    except KeyboardInterrupt:
        sys.exit(130)
