"""A manager and its nodes, in virtual time: placed, mirrored, stopped, lost, moved, returned."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keelman.errors import BadField, NodeInUse, NodeKnown, UnknownNode, UnknownTask
from keelman.listing import Listing
from keelman.machine import Resources
from keelman.manager.nodes import Status, Use
from keelman.manager.state import Record
from keelman.node_report import NodeIn
from keelman.task import Reason, State
from tests.unit.given import TASK_ID
from tests.unit.given_cluster import (
    LOST_SECONDS,
    Cluster,
    managing,
    node_of,
    recorded,
    state_of,
    story,
    until,
)
from tests.unit.given_wire import OTHER_EVENT_ID, a_delete, an_event, an_id
from tests.unit.given_worker import FAILS, SUCCEEDS, pass_time
from tests.unit.given_worker import story as told_by
from tests.unit.virtual_time import in_virtual_time

SCHEDULED, RUNNING = "PENDING SCHEDULED #1 ", "SCHEDULED RUNNING #1 "


@in_virtual_time
async def test_a_task_runs_on_a_node_and_is_reported(tmp_path: Path) -> None:
    """With all that its node tells of it, under the manager's own log."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(port_bindings={"80/tcp": "8080"}))
        await until(
            lambda: bool(recorded(manager).host_ports) if manager.db.get(TASK_ID) else False
        )
        task, there = recorded(manager), cluster["a"].machine.engine.the_container()
        assert (task.state, task.node, task.container_id) == (State.RUNNING, "a", there.id)
        assert task.start_time is not None
        assert story(manager) == [SCHEDULED, RUNNING]
        assert cluster["a"].asked.count("send 1") == 1


@in_virtual_time
async def test_a_stop_ends_when_its_node_says_so(tmp_path: Path) -> None:
    """And not before."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event())
        await until(lambda: cluster["a"].running == 1)
        await manager.add_task(a_delete())
        await until(lambda: state_of(manager) is State.COMPLETED)
        assert cluster["a"].running == 0
        assert recorded(manager).reason is Reason.STOPPED


@in_virtual_time
async def test_a_task_that_waits_for_a_node_can_be_stopped(tmp_path: Path) -> None:
    """Nobody is asked for it."""
    cluster = Cluster(tmp_path)
    async with cluster.up(), managing(cluster.manager()) as manager:
        await manager.add_task(an_event())
        await until(lambda: manager.get_task(TASK_ID).reason is Reason.NO_NODE)
        assert manager.get_task(TASK_ID).message == "there is no node"
        await manager.add_task(a_delete())
        await until(lambda: state_of(manager) is State.COMPLETED)
        assert story(manager) == ["PENDING COMPLETED #0 stopped"]


@in_virtual_time
async def test_what_fits_nowhere_is_placed_when_there_is_room(tmp_path: Path) -> None:
    """It stays PENDING with the reason until then."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(cpu=3.0))
        await until(lambda: cluster["a"].running == 1)
        event = an_event(task_id=an_id(2), event_id=an_id(3), cpu=2.0)
        await manager.add_task(event)
        await until(lambda: manager.get_task(an_id(2)).reason is Reason.NO_NODE)
        assert "needs 2 CPUs, 1 is left" in manager.get_task(an_id(2)).message
        assert state_of(manager, an_id(2)) is State.PENDING
        await manager.add_task(a_delete())
        await until(lambda: state_of(manager, an_id(2)) is State.RUNNING)


@in_virtual_time
async def test_tasks_are_spread(tmp_path: Path) -> None:
    """What comes at once is placed in one pass, each counted before the next."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time()
        for number in range(1, 7):
            await manager.add_task(an_event(task_id=an_id(number), event_id=an_id(100 + number)))
        await until(lambda: cluster["a"].running + cluster["b"].running == 6)
        assert cluster["a"].running == 3


@in_virtual_time
async def test_constraints_are_kept_and_not_sent(tmp_path: Path) -> None:
    """A worker would refuse them."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(constraints=("node.labels.zone==b",)))
        await until(lambda: cluster["b"].running == 1)
        with pytest.raises(BadField):
            await manager.add_task(
                an_event(task_id=an_id(2), event_id=an_id(3), constraints=("zone=b",))
            )


@in_virtual_time
async def test_restarts_and_ends_are_mirrored(tmp_path: Path) -> None:
    """Each Transition of the node is one of the manager's."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(command=FAILS, restart_policy="on-failure:2"))
        await until(lambda: state_of(manager) is State.FAILED)
        worker = cluster["a"].worker
        assert worker is not None
        assert story(manager) == told_by(worker)
        assert (recorded(manager).exit_code, recorded(manager).restart_count) == (3, 2)


@in_virtual_time
async def test_a_failed_task_runs_again_for_a_new_event(tmp_path: Path) -> None:
    """Under a greater number, so that its node takes it."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(command=FAILS))
        await until(lambda: state_of(manager) is State.FAILED)
        await manager.add_task(an_event(event_id=OTHER_EVENT_ID, command=SUCCEEDS))
        await until(lambda: state_of(manager) is State.COMPLETED)
        assert {"send 1", "send 2"} <= set(cluster["a"].asked)
        assert story(manager)[-3:] == [
            "FAILED SCHEDULED #2 ",
            "SCHEDULED RUNNING #2 ",
            "RUNNING COMPLETED #2 exited",
        ]


@in_virtual_time
async def test_a_lost_node_s_tasks_run_elsewhere_and_its_copies_are_stopped(tmp_path: Path) -> None:
    """With a higher number; what comes back finds itself stale."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(constraints=("node.name!=b",)))
        await until(lambda: cluster["a"].running == 1)
        await manager.add_task(a_delete())
        await until(lambda: state_of(manager) is State.COMPLETED)
        await manager.add_task(an_event(task_id=an_id(2), event_id=an_id(3)))
        await until(lambda: cluster["a"].running == 1 or cluster["b"].running == 1)
        await until(lambda: state_of(manager, an_id(2)) is State.RUNNING)
        first = cluster[node_of(manager, an_id(2))]
        (second,) = [node for node in cluster.nodes.values() if node is not first]
        first.cut = True
        await pass_time(30)
        assert manager.roster.status(first.name) is Status.SUSPECT
        assert node_of(manager, an_id(2)) == first.name
        await pass_time(LOST_SECONDS)
        await until(lambda: state_of(manager, an_id(2)) is State.RUNNING)
        assert (node_of(manager, an_id(2)), second.running, first.running) == (second.name, 1, 1)
        assert "RUNNING SCHEDULED #1 node_lost" in story(manager, an_id(2))
        first.cut = False
        await until(lambda: not manager.state.placement(an_id(2)).stale)
        assert (state_of(manager, an_id(2)), second.running) == (State.RUNNING, 1)
        assert first.running == 0


@in_virtual_time
async def test_a_lost_node_s_tasks_stay_there_when_there_is_no_other(tmp_path: Path) -> None:
    """And are what they were when it is back: nothing was started or stopped."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event())
        await until(lambda: state_of(manager) is State.RUNNING)
        cluster["a"].cut = True
        await until(lambda: recorded(manager).reason is Reason.NODE_LOST)
        assert state_of(manager) is State.RUNNING
        cluster["a"].cut = False
        await until(lambda: recorded(manager).reason is Reason.NONE)
        assert story(manager) == [SCHEDULED, RUNNING]
        assert len(cluster["a"].machine.engine.made) == 1


@in_virtual_time
async def test_what_ended_while_nobody_listened_is_told(tmp_path: Path) -> None:
    """From the events after the last one that was taken."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(command=SUCCEEDS))
        await until(lambda: cluster["a"].running == 1)
        cluster["a"].cut = True
        await pass_time(10)
        cluster["a"].cut = False
        await until(lambda: state_of(manager) is State.COMPLETED)
        assert story(manager) == [SCHEDULED, RUNNING, "RUNNING COMPLETED #1 exited"]
        assert cluster["a"].asked.count("list") == 1


@in_virtual_time
async def test_a_gap_is_filled_from_the_list(tmp_path: Path) -> None:
    """The log has no hole: what was not heard is told in between."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(command=SUCCEEDS))
        await until(lambda: "send 1" in cluster["a"].asked)
        cluster["a"].cut = True
        await pass_time(10)
        await manager.state.hear("a", [], "another log:7")
        cluster["a"].cut = False
        await until(lambda: state_of(manager) is State.COMPLETED)
        assert story(manager) == [SCHEDULED, RUNNING, "RUNNING COMPLETED #1 exited"]
        assert cluster["a"].asked.count("list") == 2


@in_virtual_time
async def test_an_answer_that_is_lost_is_asked_for_again(tmp_path: Path) -> None:
    """The same event: the node starts it once."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time(2)
        cluster["a"].deaf = True
        await manager.add_task(an_event())
        await until(lambda: cluster["a"].asked.count("send 1") == 3)
        cluster["a"].deaf = False
        await until(lambda: state_of(manager) is State.RUNNING)
        assert len(cluster["a"].machine.engine.made) == 1


@in_virtual_time
async def test_a_task_that_ended_before_its_node_was_heard_ran_once(tmp_path: Path) -> None:
    """The same event has the same answer, also when all is over."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time(2)
        cluster["a"].deaf = True
        await manager.add_task(an_event(command=SUCCEEDS))
        await pass_time(20)
        cluster["a"].deaf = False
        await until(lambda: state_of(manager) is State.COMPLETED)
        assert story(manager) == [SCHEDULED, RUNNING, "RUNNING COMPLETED #1 exited"]
        assert len(cluster["a"].machine.engine.made) == 1


@in_virtual_time
async def test_tasks_that_are_not_the_manager_s_are_none_of_its_business(tmp_path: Path) -> None:
    """Whoever else speaks to a node: nothing of theirs is kept, counted or stopped."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up() as _, managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time()
        worker = cluster["a"].worker
        assert worker is not None
        await worker.add_task(an_event(task_id=an_id(7), event_id=an_id(8)))
        await pass_time()
        assert (cluster["a"].running, manager.state.untold()) == (1, [])
        await manager.add_task(an_event())
        await until(lambda: state_of(manager) is State.RUNNING)
        assert cluster["a"].running == 2


@in_virtual_time
async def test_a_worker_s_restart_moves_nothing(tmp_path: Path) -> None:
    """It is away for less than it takes to be lost."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster["b"].up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        async with cluster["a"].up():
            await manager.add_task(an_event(constraints=("node.name==a",)))
            await until(lambda: cluster["a"].running == 1)
            await until(lambda: state_of(manager) is State.RUNNING)
        await pass_time(20)
        async with cluster["a"].up():
            await pass_time(20)
            assert story(manager) == [SCHEDULED, RUNNING]
            assert (cluster["a"].running, cluster["b"].running) == (1, 0)
    cluster.close()


@in_virtual_time
async def test_a_node_that_lost_its_memory_and_its_containers_starts_anew(tmp_path: Path) -> None:
    """The wish is to run it."""
    cluster = Cluster(tmp_path, "a")
    async with managing(cluster.manager()) as manager:
        await cluster.join(manager)
        async with cluster["a"].up():
            await manager.add_task(an_event())
            await until(lambda: cluster["a"].running == 1)
        cluster["a"].machine.lose_db()
        cluster["a"].machine.engine.containers.clear()
        async with cluster["a"].up():
            await until(lambda: cluster["a"].running == 1)
            await until(lambda: cluster["a"].asked.count("send 1") == 2)
    cluster.close()


@in_virtual_time
async def test_a_cordoned_node_gets_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    """Until it is open again."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event())
        await until(lambda: cluster["a"].running == 1)
        await manager.membership.use("a", Use.CORDONED)
        await manager.add_task(an_event(task_id=an_id(2), event_id=an_id(3)))
        await until(lambda: manager.get_task(an_id(2)).reason is Reason.NO_NODE)
        assert "it is cordoned" in manager.get_task(an_id(2)).message
        assert cluster["a"].running == 1
        await manager.membership.use("a", Use.OPEN)
        await until(lambda: cluster["a"].running == 2)


@in_virtual_time
async def test_a_drained_node_s_tasks_move_one_by_one(tmp_path: Path) -> None:
    """Each replacement runs before the old one is stopped."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.membership.use("b", Use.CORDONED)
        await pass_time()
        for number in (1, 2, 3):
            await manager.add_task(an_event(task_id=an_id(number), event_id=an_id(9 + number)))
        await until(lambda: cluster["a"].running == 3)
        await until(lambda: all(state_of(manager, an_id(n)) is State.RUNNING for n in (1, 2, 3)))
        await manager.membership.use("b", Use.OPEN)
        await manager.membership.use("a", Use.DRAINING)
        least = most = cluster["a"].running + cluster["b"].running
        async with asyncio.timeout(600):
            while cluster["a"].running:
                await asyncio.sleep(0.01)
                now = cluster["a"].running + cluster["b"].running
                least, most = min(least, now), max(most, now)
        assert (least, most, cluster["b"].running) == (3, 4, 3)
        await until(lambda: not list(manager.roster.concerned("a")))
        await manager.membership.remove("a", force=False)


@in_virtual_time
async def test_a_node_with_tasks_goes_only_by_force(tmp_path: Path) -> None:
    """Then they are placed elsewhere, and what ran there is forgotten."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event())
        await until(lambda: state_of(manager) is State.RUNNING)
        first = node_of(manager)
        with pytest.raises(NodeInUse):
            await manager.membership.remove(first, force=False)
        await manager.membership.remove(first, force=True)
        await until(lambda: node_of(manager) not in ("", first))
        await until(lambda: state_of(manager) is State.RUNNING)


@in_virtual_time
async def test_what_is_left_on_a_node_that_joins_again_is_stopped(tmp_path: Path) -> None:
    """It had left by force, and its task runs elsewhere by now."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event())
        await until(lambda: state_of(manager) is State.RUNNING)
        first = node_of(manager)
        await manager.membership.remove(first, force=True)
        await until(lambda: cluster["a"].running + cluster["b"].running == 2)
        await cluster.join(manager)
        await until(lambda: cluster[first].running == 0)
        await pass_time(60)
        assert state_of(manager) is State.RUNNING
        assert node_of(manager) != first


@in_virtual_time
async def test_a_node_that_leaves_and_joins_at_once_is_there(tmp_path: Path) -> None:
    """One request after the other, in memory as on disk."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        members = manager.membership
        async with asyncio.TaskGroup() as group:
            group.create_task(members.remove("a", force=True))
            group.create_task(cluster.join(manager))
        assert members.names() == [node.name for node in manager.state.nodes()] == ["a"]
        await until(lambda: manager.roster.status("a") is Status.READY)
        assert "a" in manager.follow.clients


@in_virtual_time
async def test_a_copy_that_its_node_had_already_is_said_to_run(tmp_path: Path) -> None:
    """It is taken up under a new number, of which it tells nothing."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event())
        await until(lambda: state_of(manager) is State.RUNNING)
        placement = manager.state.placement(TASK_ID)
        again = placement.on("a")
        await manager.state.record(
            Record(task=recorded(manager).to(State.SCHEDULED), placement=again), lambda move: None
        )
        manager.lanes.wake(TASK_ID)
        await until(lambda: state_of(manager) is State.RUNNING)
        assert len(cluster["a"].machine.engine.made) == 1


@in_virtual_time
async def test_a_node_that_refuses_is_not_asked_for_a_while(tmp_path: Path) -> None:
    """Another one gets the task."""
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time(2)
        await manager.add_task(an_event(network="host", constraints=("node.name==a",)))
        await until(lambda: "refused" in manager.get_task(TASK_ID).message)
        assert state_of(manager) is State.PENDING
        await pass_time(120)
        assert 2 <= sum(word.startswith("send") for word in cluster["a"].asked) <= 4


@in_virtual_time
async def test_a_node_that_has_no_room_after_all_is_passed_over(tmp_path: Path) -> None:
    """What it said of itself was of before: it refuses, and the task runs on another."""
    cluster = Cluster(tmp_path, "a", "b")
    cluster["a"].gives = Resources(cpu=1.0, memory=2**30, disk=2**30)
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time(2)
        await manager.add_task(an_event(cpu=2.0))
        await until(lambda: state_of(manager) is State.RUNNING)
        assert node_of(manager) == "b"
        assert cluster["a"].asked.count("send 1") == 1
        assert cluster["a"].running == 0


@in_virtual_time
async def test_what_others_have_of_a_node_is_not_left(tmp_path: Path) -> None:
    """Its worker was asked by somebody else, too; when that has ended, there is room again."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        worker = cluster["a"].worker
        assert worker is not None
        await worker.add_task(an_event(task_id=an_id(2), event_id=an_id(3), cpu=3.0))
        await cluster.join(manager)
        await pass_time(2)
        assert manager.membership.report("a").left.cpu == 1.0
        await manager.add_task(an_event(cpu=2.0))
        await pass_time(20)
        assert state_of(manager) is State.PENDING
        assert manager.scheduling.reasons(TASK_ID) == {"a": "needs 2 CPUs, 1 is left"}
        await worker.add_task(a_delete(task_id=an_id(2)))
        await until(lambda: state_of(manager) is State.RUNNING)
        await pass_time(20)
        assert manager.membership.report("a").left.cpu == 2.0


@in_virtual_time
async def test_every_node_gets_an_env_with_its_values_and_nobody_else(tmp_path: Path) -> None:
    """Nodes hide them from the manager, which still has them for the next node."""
    env = {"KEY": "s3cret-pa55w0rd"}
    cluster = Cluster(tmp_path, "a", "b")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(env=env))
        await until(lambda: state_of(manager) is State.RUNNING)
        first = cluster[node_of(manager)]
        (second,) = [node for node in cluster.nodes.values() if node is not first]
        first.cut = True
        await until(lambda: second.running == 1)
        for node in (first, second):
            assert node.worker is not None
            assert node.worker.get_task(TASK_ID).spec.env == env
        assert recorded(manager).spec.env == env
        listed = manager.get_tasks(Listing()).body
        assert b'"Env":{"KEY":"***"}' in listed
        assert b"s3cret" not in listed


@in_virtual_time
async def test_which_nodes_there_are_is_remembered(tmp_path: Path) -> None:
    """With what they may be used for."""
    cluster = Cluster(tmp_path, "a", "b")
    async with managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await manager.membership.use("b", Use.CORDONED)
    async with managing(cluster.manager()) as manager:
        assert manager.membership.names() == ["a", "b"]
        assert manager.membership.report("b").use == "cordoned"
    cluster.close()


@in_virtual_time
async def test_a_node_joins_once(tmp_path: Path) -> None:
    """The same again changes nothing; the same name or the same worker twice is refused."""
    cluster = Cluster(tmp_path, "a", "b")
    async with managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await cluster.join(manager)
        with pytest.raises(NodeKnown):
            await manager.membership.add(NodeIn(name="a", url="http://b:5556"))
        with pytest.raises(NodeKnown):
            await manager.membership.add(NodeIn(name="c", url="http://b:5556"))
        with pytest.raises(BadField):
            await manager.membership.add(NodeIn(name="c", url="ftp://b"))
        with pytest.raises(UnknownNode):
            manager.membership.report("c")
    cluster.close()


@in_virtual_time
async def test_another_worker_at_a_node_s_address_is_not_that_node(tmp_path: Path) -> None:
    """It is not heard, and so the node is lost."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager()) as manager:
        await cluster.join(manager)
        await pass_time(10)
        cluster["a"].name = "z"
        await pass_time(LOST_SECONDS)
        assert manager.roster.status("a") is Status.LOST


@in_virtual_time
async def test_ended_tasks_are_forgotten_after_a_while(tmp_path: Path) -> None:
    """With all that is about them."""
    cluster = Cluster(tmp_path, "a")
    async with cluster.up(), managing(cluster.manager(keep_ended_tasks=0)) as manager:
        await cluster.join(manager)
        await manager.add_task(an_event(command=SUCCEEDS))
        await until(lambda: state_of(manager) is State.RUNNING)
        await until(lambda: manager.db.buried(TASK_ID))
        with pytest.raises(UnknownTask):
            manager.get_task(TASK_ID)
        assert manager.state.placements() == []
