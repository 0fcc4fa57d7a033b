"""A cluster, shown and checked on the real engine: `make demo-cluster`.

One manager and three workers, each with its own name, port and data directory, on one engine. Tasks
are spread; a machine dies, and its tasks move; another is only cut off, so that for a while two
copies of its tasks run, until it is back. What does not go as told ends the demo with status 1.
Everything is cleaned away at the end.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiodocker
from cluster_picture import Observer, Picture
from stage import (
    IMAGE,
    PATIENCE_SECONDS,
    WRONG,
    Program,
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
from keelman.manager_client import ManagerClient
from keelman.task import Reason, State

RUN = f"demo-{uuid4().hex[:8]}"
NODES = ("node-1", "node-2", "node-3")
TASKS = tuple(f"task-{number}" for number in range(1, 7))
SUSPECT_SECONDS, LOST_SECONDS = "3", "8"


class Cluster:
    """The manager of the demo, its workers by node, and the tasks sent to it by name."""

    def __init__(self, folder: Path, manager: Program, client: ManagerClient) -> None:
        self.folder, self.manager, self.client = folder, manager, client
        self.workers: dict[str, Program] = {}
        self.tasks: dict[str, str] = {}
        self.names = {node: f"{RUN}-{node}" for node in NODES}

    @property
    def observer(self) -> Observer:
        return Observer(self.client, self.names, {self.tasks[name]: name for name in self.tasks})

    async def start_worker(self, node: str) -> None:
        worker = self.workers[node]
        await worker.start(
            *("worker", "--name", self.names[node], "--port", str(worker.client.address.port)),
            *("--data-dir", str(self.folder / node)),
        )

    async def node_of(self, name: str) -> str:
        return (await self.client.task(self.tasks[name])).node

    async def numbers(self, node: str) -> dict[str, int]:
        """The numbers of the copies that run on a node, as its worker knows them."""
        running = [
            task for task in await self.workers[node].client.tasks() if task.state is State.RUNNING
        ]
        return {task.name: task.generation for task in running}


async def spread(cluster: Cluster) -> None:
    step(f"Send {len(TASKS)} tasks to the manager")
    options = "--init --stop-timeout 1"
    typed(f"keelman run --name {TASKS[0]} {options} {IMAGE} sleep 1000   # and so on")
    for name in TASKS:
        task = await cluster.client.run(
            *(cluster.tasks.setdefault(name, str(uuid4())),),
            Name=name,
            Image=IMAGE,
            Command=["sleep", "1000"],
            Init=True,
            StopTimeout=1,
        )
        expect(f"the Name of what was sent as {name}", task.name, name)
    picture = await cluster.observer.watch("all tasks run", all_run_once)
    expect("tasks on each node", sizes(picture), [2, 2, 2])
    good("all run, two on each node")
    await keelman(cluster.manager.url, "node", "ls")
    await keelman(cluster.manager.url, "ps")


async def die(cluster: Cluster) -> None:
    node = "node-2"
    moving = await cluster.numbers(node)
    step(f"The machine of {node} dies: its worker, and all that ran there")
    await cluster.workers[node].kill()
    await kill_containers(cluster.names[node])
    picture = await see_it_lost(cluster, node)
    expect(f"what still runs on {node}", picture[node].containers, ())
    await see_moved(cluster, moving, node)
    step(f"{node} is back")
    await cluster.start_worker(node)
    await see_it_back(cluster, node)
    good(f"nothing that moved away runs there again; {node} takes new tasks")


async def be_cut_off(cluster: Cluster) -> None:
    node = "node-3"
    moving = await cluster.numbers(node)
    step(f"{node} is cut off: its worker is gone, its containers run on")
    await cluster.workers[node].kill()
    picture = await see_it_lost(cluster, node)
    expect(f"what still runs on {node}", picture[node].containers, tuple(sorted(moving)))
    await see_moved(cluster, moving, node)
    for name in moving:
        expect(f"live containers of {name}", live(await cluster.observer.look(), name), 2)
    good(f"until {node} is back, {' and '.join(moving)} run twice: at least one, not at most one")
    step(f"{node} is back, and with it its old copies")
    await cluster.start_worker(node)
    await see_it_back(cluster, node)
    for name, number in moving.items():
        stale = await cluster.workers[node].client.task(cluster.tasks[name], wait="ended")
        expect(f"{name}'s old copy", (stale.state, stale.generation), (State.COMPLETED, number))
        expect(f"{name}'s old copy's Reason", stale.reason, Reason.STOPPED)
    good("the copies with the lower number were stopped, each task runs once")


async def see_it_lost(cluster: Cluster, node: str) -> Picture:
    """Suspect, then lost; and all tasks run, elsewhere."""
    await cluster.observer.watch("it is suspect", lambda now: now[node].status == "suspect")
    good(f"{node} is suspect after {SUSPECT_SECONDS} s: nothing more is placed there")
    await cluster.observer.watch("it is lost", lambda now: now[node].status == "lost")
    good(f"{node} is lost after {LOST_SECONDS} s: its tasks are placed elsewhere")

    def moved(now: Picture) -> bool:
        others = [row for name, row in now.items() if name != node]
        seen = [name for row in others for name in row.tasks if name in row.containers]
        return sorted(seen) == sorted(TASKS)

    return await cluster.observer.watch("all tasks run elsewhere", moved)


async def see_moved(cluster: Cluster, moving: dict[str, int], node: str) -> None:
    """Under a higher number than they had, and told in the log."""
    for name, number in moving.items():
        other = await cluster.node_of(name)
        numbers = await cluster.numbers(other)
        moves = await cluster.client.transitions(cluster.tasks[name])
        lost = [(move.from_, move.to) for move in moves if move.reason == Reason.NODE_LOST]
        expect(f"{name}'s moves off lost nodes", lost, [(State.RUNNING, State.SCHEDULED)] * number)
        expect(f"{name}'s number", numbers.get(name), number + 1)
        good(f"{name} was copy {number} on {node}, and is copy {number + 1} on {other}")


async def see_it_back(cluster: Cluster, node: str) -> None:
    def back(now: Picture) -> bool:
        return now[node].status == "ready" and not now[node].containers and all_run_once(now)

    await cluster.observer.watch("it is back, and without old copies", back)


async def put_away(cluster: Cluster) -> None:
    step("Stop the tasks, the workers, and the manager")
    await keelman(cluster.manager.url, "stop", "--wait", *TASKS)
    for row in (await cluster.observer.look()).values():
        expect("what still runs", row.containers, ())
    for program in (*cluster.workers.values(), cluster.manager):
        expect("the exit status", await program.end(signal.SIGTERM), 0)
    good("all is stopped, exit status 0")


# -- what is seen ----------------------------------------------------------------------------------


def sizes(picture: Picture) -> list[int]:
    return [len(row.tasks) for row in picture.values()]


def live(picture: Picture, name: str) -> int:
    return sum(row.containers.count(name) for row in picture.values())


def all_run_once(picture: Picture) -> bool:
    """Each task has one container, where the manager says that it runs."""
    agreed = all(row.tasks == row.containers for row in picture.values())
    return agreed and Counter(name for row in picture.values() for name in row.tasks) == Counter(
        TASKS
    )


async def kill_containers(worker: str) -> None:
    typed(f"docker kill $(docker ps -q --filter label=keelman.worker={worker})")
    async with aiodocker.Docker() as engine:
        mine = {"label": [f"keelman.worker={worker}"]}
        for container in await engine.containers.list(filters=mine):
            await container.kill()


# -- from nothing to nothing -----------------------------------------------------------------------


@asynccontextmanager
async def a_cluster() -> AsyncIterator[Cluster]:
    """A cluster in a folder of its own, of which nothing is left at the end, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix="keelman-demo-"))
    async with AsyncExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        undo.push_async_callback(remove_containers, [f"{RUN}-{node}" for node in NODES])
        client = ManagerClient(f"http://127.0.0.1:{free_port()}")
        await undo.enter_async_context(client)
        manager = Program(client, folder / "manager.log")
        undo.push_async_callback(manager.clear)
        cluster = Cluster(folder, manager, client)
        for node in NODES:
            asked = await undo.enter_async_context(Client(f"http://127.0.0.1:{free_port()}"))
            cluster.workers[node] = Program(asked, folder / f"{node}.log")
            undo.push_async_callback(cluster.workers[node].clear)
        try:
            yield cluster
        except WRONG:
            for program in (manager, *cluster.workers.values()):
                if program.log.exists():
                    sys.stderr.write(f"{program.log.name}:\n{program.log.read_text()[-3000:]}")
            raise


async def start(cluster: Cluster) -> None:
    step("Start a manager")
    await cluster.manager.start(
        *("manager", "--port", str(cluster.client.address.port)),
        *("--data-dir", str(cluster.folder / "manager")),
        *("--suspect-seconds", SUSPECT_SECONDS, "--lost-seconds", LOST_SECONDS),
    )
    good(f"it answers on {cluster.manager.url}")
    step("Start three workers; each joins as a node")
    for node, worker in cluster.workers.items():
        await cluster.start_worker(node)
        await keelman(cluster.manager.url, "node", "add", node, worker.url)

    def all_ready(now: Picture) -> bool:
        return all(row.status == "ready" for row in now.values())

    await cluster.observer.watch("all nodes are ready", all_ready)


async def main() -> None:
    async with asyncio.timeout(10 * PATIENCE_SECONDS), a_cluster() as cluster:
        for part in (start, spread, die, be_cut_off, put_away):
            await part(cluster)
    step("[green]All went as told[/], and all is cleaned away.")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except WRONG as error:
        sys.exit(not_as_told(error))
    except KeyboardInterrupt:
        sys.exit(130)
