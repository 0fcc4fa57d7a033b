"""Never two: whole clusters with cut links, lost answers, late requests, restarts, in virtual time.

A watcher counts the live containers of the task all the while. A worker's process lives throughout,
or comes back within moments: what nobody can stop is the exception that the docs have.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from keelman.description import WorkerReport
from keelman.manager import alone
from keelman.manager.manager import Manager
from keelman.manager.nodes import Use
from keelman.task import Reason, State
from tests.unit.given import TASK_ID
from tests.unit.given_cluster import (
    LOST_SECONDS,
    Cluster,
    FakeClient,
    FakeNode,
    managing,
    node_of,
    recorded,
    state_of,
    story,
    until,
)
from tests.unit.given_wire import a_delete, an_event
from tests.unit.given_worker import STUBBORN, Fuse, pass_time
from tests.unit.virtual_time import in_virtual_time

BEARS = 60
OVER_SECONDS = BEARS * 1.01 + 10 + alone.MARGIN_SECONDS + 10


class Watcher:
    """Counts copies, ten times a second."""

    def __init__(self, cluster: Cluster) -> None:
        self._nodes = cluster.nodes.values()
        self.most = 0

    @property
    def live(self) -> int:
        return sum(node.live() for node in self._nodes)

    async def watch(self) -> None:
        while True:
            self.most = max(self.most, self.live)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def watched(cluster: Cluster) -> AsyncIterator[Watcher]:
    """A cluster at work, with an eye on it; more than one copy at once fails."""
    watcher = Watcher(cluster)
    async with cluster.up():
        watching = asyncio.create_task(watcher.watch())
        try:
            yield watcher
        finally:
            watching.cancel()
    assert watcher.most == 1


def alone_event(**asked: Any) -> Any:  # noqa: ANN401  # a TaskEvent
    return an_event(**{"stop_after_disconnect": BEARS, "restart_policy": "always", **asked})


async def runs(manager: Manager, cluster: Cluster) -> tuple[FakeNode, FakeNode]:
    """The task runs; the node where it is, and the other."""
    await cluster.join(manager)
    await manager.add_task(alone_event())
    await until(lambda: manager.db.get(TASK_ID) is not None)
    await until(lambda: state_of(manager) is State.RUNNING)
    here = cluster[node_of(manager)]
    (other,) = [node for node in cluster.nodes.values() if node is not here]
    return here, other


@in_virtual_time
async def test_it_runs_on_while_nothing_is_wrong(tmp_path: Path) -> None:
    """Heartbeats are all that is heard."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster), managing(cluster.manager()) as manager:
        await runs(manager, cluster)
        await pass_time(10 * BEARS)
        assert story(manager) == ["PENDING SCHEDULED #1 ", "SCHEDULED RUNNING #1 "]


@in_virtual_time
async def test_even_the_least_patient_runs_on(tmp_path: Path) -> None:
    """Its node hears the manager before it is sent, and often enough from then on."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time(12.3)
        await manager.add_task(alone_event(stop_after_disconnect=1))
        await pass_time(300)
        assert story(manager) == ["PENDING SCHEDULED #1 ", "SCHEDULED RUNNING #1 "]


@pytest.mark.parametrize("how", ["cut", "deaf", "late"])
@in_virtual_time
async def test_it_is_placed_elsewhere_once_its_worker_has_stopped_it(
    tmp_path: Path, how: str
) -> None:
    """Whether nothing gets through, or all of it without an answer, or all of it too late."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster) as watcher, managing(cluster.manager()) as manager:
        here, other = await runs(manager, cluster)
        setattr(here, how, True)
        await pass_time(LOST_SECONDS)
        assert (node_of(manager), other.live()) == (here.name, 0)
        assert recorded(manager).reason is Reason.NODE_LOST
        await until(lambda: other.live() == 1, OVER_SECONDS)
        assert here.live() == 0
        assert "RUNNING SCHEDULED #1 node_lost" in story(manager)
        assert manager.state.placement(TASK_ID).stale
        await here.deliver()
        await pass_time(30)
        setattr(here, how, False)
        await until(lambda: not manager.state.placement(TASK_ID).stale)
        await pass_time(BEARS)
        assert (watcher.live, other.live(), state_of(manager)) == (1, 1, State.RUNNING)


@in_virtual_time
async def test_what_arrives_late_is_no_sign_of_life(tmp_path: Path) -> None:
    """Not a heartbeat, not one after the other, and not one of a manager that is no more."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster):
        async with managing(cluster.manager()) as manager:
            here, other = await runs(manager, cluster)
            here.late = True
            await pass_time(20)
        async with managing(cluster.manager()) as manager:
            for _ in range(60):
                await here.deliver()
                await pass_time(5)
            assert (here.live(), other.live()) == (0, 1)


@in_virtual_time
async def test_who_looks_at_a_lost_node_keeps_nothing_alive(tmp_path: Path) -> None:
    """An operator who asks the worker itself, and an open stream of its events."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster), managing(cluster.manager()) as manager:
        here, other = await runs(manager, cluster)
        here.cut = True
        assert here.worker is not None
        for _ in range(60):
            here.worker.heard()
            await pass_time(5)
        assert (here.live(), other.live()) == (0, 1)


@in_virtual_time
async def test_a_worker_that_is_restarted_meanwhile_counts_on(tmp_path: Path) -> None:
    """It would wait anew, and the manager would not."""
    cluster = Cluster(tmp_path, "a", "b")
    watcher = Watcher(cluster)
    async with cluster["b"].up(), managing(cluster.manager()) as manager:
        watching = asyncio.create_task(watcher.watch())
        await cluster.join(manager)
        async with cluster["a"].up():
            await manager.add_task(alone_event(constraints=("node.labels.zone==a",)))
            await until(lambda: cluster["a"].live() == 1)
            cluster["a"].cut = True
            await pass_time(BEARS - 10)
        async with cluster["a"].up():
            await pass_time(11)
            assert cluster["a"].live() == 0
            await pass_time(OVER_SECONDS)
        watching.cancel()
    cluster.close()
    assert watcher.most == 1


@in_virtual_time
async def test_a_manager_that_is_away_too_long_places_it_anew(tmp_path: Path) -> None:
    """Its workers have stopped it, and say so when it is back: the task has not ended."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster) as watcher:
        async with managing(cluster.manager()) as manager:
            await runs(manager, cluster)
        await pass_time(2 * BEARS)
        assert watcher.live == 0
        async with managing(cluster.manager()) as manager:
            await until(lambda: watcher.live == 1)
            await pass_time(BEARS)
            assert story(manager)[2] == "RUNNING SCHEDULED #1 disconnected"
            assert (state_of(manager), manager.state.placement(TASK_ID).number) == (
                State.RUNNING,
                2,
            )


@in_virtual_time
async def test_a_manager_that_starts_gives_a_node_the_full_time(tmp_path: Path) -> None:
    """The one before may have been heard until it went."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster):
        async with managing(cluster.manager()) as manager:
            here, other = await runs(manager, cluster)
            here.cut = True
            await pass_time(BEARS)
        async with managing(cluster.manager()) as manager:
            await pass_time(BEARS + 30)
            assert other.live() == 0
            await until(lambda: other.live() == 1, OVER_SECONDS)


@in_virtual_time
async def test_a_node_that_is_back_in_time_keeps_it(tmp_path: Path) -> None:
    """Nothing was stopped or started."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster), managing(cluster.manager()) as manager:
        here, _ = await runs(manager, cluster)
        here.cut = True
        await pass_time(BEARS - 10)
        here.cut = False
        await pass_time(5 * BEARS)
        assert (here.live(), len(story(manager))) == (1, 2)


@in_virtual_time
async def test_a_drained_copy_is_stopped_before_its_successor_is_sent(tmp_path: Path) -> None:
    """A grace in which it does not go included."""
    cluster = Cluster(tmp_path, "a", "b")
    async with watched(cluster), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(alone_event(command=STUBBORN, stop_timeout=20))
        await until(lambda: any(node.live() for node in cluster.nodes.values()))
        await until(lambda: state_of(manager) is State.RUNNING)
        here = cluster[node_of(manager)]
        await manager.membership.use(here.name, Use.DRAINING)
        await until(lambda: node_of(manager) != here.name and state_of(manager) is State.RUNNING)
        assert here.live() == 0
        await manager.add_task(a_delete())
        await until(lambda: state_of(manager) is State.COMPLETED)


@in_virtual_time
async def test_a_boot_in_a_partition_starts_nothing(tmp_path: Path) -> None:
    """The machine is back, nobody was heard, and its engine has the old container."""
    cluster = Cluster(tmp_path, "a", "b")
    watcher = Watcher(cluster)
    async with cluster["b"].up(), managing(cluster.manager()) as manager:
        watching = asyncio.create_task(watcher.watch())
        await cluster.join(manager)
        a = cluster["a"]
        async with a.up():
            await manager.add_task(alone_event(constraints=("node.labels.zone==a",)))
            await until(lambda: a.live() == 1)
        a.cut = True
        a.machine.boot = "boot-2"
        a.machine.engine.exit(a.machine.engine.the_container().id, 137)
        async with a.up():
            await pass_time(OVER_SECONDS)
            assert (a.live(), len(a.machine.engine.made)) == (0, 1)
            a.cut = False
            await until(lambda: a.live() == 1)
        watching.cancel()
    cluster.close()
    assert watcher.most == 1


# -- whatever happens ------------------------------------------------------------------------------


async def _mischief(cluster: Cluster, chance: random.Random) -> None:
    """One thing that may happen to a link, and a while."""
    node = cluster[chance.choice(sorted(cluster.nodes))]
    match chance.randrange(6):
        case 0:
            node.cut = not node.cut
        case 1:
            node.deaf = not node.deaf
        case 2:
            node.late = not node.late
        case 3 | 4:
            node.cut = node.deaf = node.late = False
        case _:
            await node.deliver()
    await pass_time(chance.choice((0.3, 2.0, 7.0, 20.0, 45.0, 90.0)))


@pytest.mark.parametrize("seed", range(12))
@in_virtual_time
async def test_there_are_never_two_and_in_the_end_there_is_one(tmp_path: Path, seed: int) -> None:
    """Links and managers come and go, and what was sent comes whenever it comes."""
    chance = random.Random(seed)
    cluster = Cluster(tmp_path, "a", "b", "c")
    async with watched(cluster) as watcher:
        async with managing(cluster.manager()) as manager:
            await cluster.join(manager)
            await manager.add_task(alone_event(command=STUBBORN))
            await pass_time(3)
        for _ in range(5):
            async with managing(cluster.manager()) as manager:
                for _ in range(chance.randrange(1, 9)):
                    await _mischief(cluster, chance)
            await pass_time(chance.choice((0.0, 5.0, 100.0)))
        for node in cluster.nodes.values():
            node.cut = node.deaf = node.late = False
        async with managing(cluster.manager()) as manager:
            await pass_time(2 * OVER_SECONDS)
            assert (state_of(manager), watcher.live) == (State.RUNNING, 1)
            await node_is_right(manager, cluster)


async def node_is_right(manager: Manager, cluster: Cluster) -> None:
    assert cluster[node_of(manager)].live() == 1
    assert not manager.state.placement(TASK_ID).stale


class AnswersOnce(FakeClient):
    """A node that is cut off after its first answer."""

    async def worker(self, *, moment: str | None = None) -> WorkerReport:
        report = await super().worker(moment=moment)
        self._node.cut = True
        return report


@in_virtual_time
async def test_a_moment_is_on_record_before_a_node_is_told_it_again(tmp_path: Path) -> None:
    """From then on the node may count from it, whether or not the manager hears of that."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up():
        manager = cluster.manager()
        await manager.open()
        await cluster.join(manager)
        await manager.follow.beat("a", FakeClient(cluster["a"], Fuse()), 0.0)
        await pass_time(40)
        await manager.follow.beat("a", AnswersOnce(cluster["a"], Fuse()), 0.0)
        assert manager.roster.heard["a"].at == manager.clock()
        assert manager.roster.moment("a")
