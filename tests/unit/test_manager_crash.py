"""The manager dies at every await of a life, and on its return the story is the same.

A script is told once without a crash and then once for each thing that is awaited in it (each
write, each call to a node), with a crash just before and just after that is done. What outlives the
crash is the manager's directory and the nodes; whoever was not answered asks again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from keelman.manager.manager import Manager
from keelman.task import State, TaskEvent
from tests.unit.given import TASK_ID
from tests.unit.given_cluster import Cluster, Frozen, managing, story, until, until_dead
from tests.unit.given_wire import a_delete, an_event
from tests.unit.given_worker import SUCCEEDS
from tests.unit.virtual_time import in_virtual_time

CRASHES_MOST = 400
LIFE_SECONDS = 40.0
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


async def live(cluster: Cluster, fuse: Frozen, *events: TaskEvent) -> bool:
    """A manager's life with a client that sends these; whether it died in it."""
    manager = cluster.manager(fuse)
    client = asyncio.create_task(_send(manager, *events))
    died = await until_dead(manager, fuse, LIFE_SECONDS)
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    return died


async def _send(manager: Manager, *events: TaskEvent) -> None:
    for event in events:
        await asyncio.sleep(12.0)
        await manager.add_task(event)


async def told(cluster: Cluster, *events: TaskEvent) -> tuple[list[str], State]:
    """What comes of it when nobody dies any more, and whoever was not answered asks again."""
    async with managing(cluster.manager()) as manager:
        await _send(manager, *events)
        await until(lambda: manager.db.get(TASK_ID) is not None)
        await until(lambda: not manager.state.untold() and not manager.queue.waiting())
        await asyncio.sleep(30.0)
        return story(manager), manager.get_task(TASK_ID).state


async def life(directory: Path, fuse: Frozen, *events: TaskEvent) -> tuple[list[str], int, bool]:
    """A cluster, a manager that dies once or not, and the end: its story, containers made."""
    cluster = Cluster(directory, "a", "b")
    async with cluster.up():
        async with managing(cluster.manager()) as manager:
            await cluster.join(manager)
        died = await live(cluster, fuse, *events)
        moves, _ = await told(cluster, *events)
        made = sum(len(node.machine.engine.made) for node in cluster.nodes.values())
    return moves, made, died


RUN = ("PENDING SCHEDULED #1 ", "SCHEDULED RUNNING #1 ")
SCRIPTS = {
    "runs": ((an_event(),), (*RUN,)),
    "ends": ((an_event(command=SUCCEEDS),), (*RUN, "RUNNING COMPLETED #1 exited")),
    "is stopped": ((an_event(), a_delete()), (*RUN, "RUNNING COMPLETED #1 stopped")),
}


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("events", "moves"), SCRIPTS.values(), ids=SCRIPTS)
@in_virtual_time
async def test_the_story_is_the_same_wherever_the_manager_dies(
    events: tuple[TaskEvent, ...], moves: tuple[str, ...], late: bool
) -> None:
    """Each state is logged once, and one container was made."""
    for blows_at in range(1, CRASHES_MOST):
        with TemporaryDirectory(dir=MEMORY) as folder:
            fuse = Frozen(blows_at, late=late)
            told, made, died = await life(Path(folder), fuse, *events)
        assert (tuple(told), made) == (moves, 1), f"died at {blows_at}"
        if not died:
            assert blows_at > 10
            return
    raise AssertionError("it is never told to the end")


async def lost(directory: Path, fuse: Frozen) -> tuple[str, int, bool]:
    """The task's node is cut off for good, and the manager dies somewhere on the way."""
    cluster = Cluster(directory, "a", "b")
    async with cluster.up():
        async with managing(cluster.manager()) as manager:
            await cluster.join(manager)
            await manager.add_task(an_event())
            await until(lambda: manager.get_task(TASK_ID).state is State.RUNNING)
            first = cluster[manager.get_task(TASK_ID).node]
        first.cut = True
        manager = cluster.manager(fuse)
        died = await until_dead(manager, fuse, 100.0)
        async with managing(cluster.manager()) as manager:
            await until(lambda: manager.get_task(TASK_ID).node not in ("", first.name))
            await until(lambda: manager.get_task(TASK_ID).state is State.RUNNING)
            first.cut = False
            await until(lambda: not manager.state.placement(TASK_ID).stale)
            await asyncio.sleep(30.0)
            moves = " ".join(move.to.name for move in manager.db.history(TASK_ID))
            running = sum(node.running for node in cluster.nodes.values())
    return moves, running, died


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@in_virtual_time
async def test_a_lost_node_s_task_runs_once_wherever_the_manager_dies(late: bool) -> None:
    """It is moved once, and of its two copies the newer one is left."""
    for blows_at in range(1, CRASHES_MOST):
        with TemporaryDirectory(dir=MEMORY) as folder:
            moves, running, died = await lost(Path(folder), Frozen(blows_at, late=late))
        told = "SCHEDULED RUNNING SCHEDULED RUNNING"
        assert (moves, running) == (told, 1), f"died at {blows_at}"
        if not died:
            return
    raise AssertionError("it is never told to the end")
