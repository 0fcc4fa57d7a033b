"""Who wants a place, and what was decided: before any of it is on record."""

from __future__ import annotations

from keelman.manager.nodes import Node, Patience, Use
from keelman.manager.placement import Placement
from keelman.manager.roster import Roster
from keelman.manager.scheduler import Placed, Strategy, Unplaced
from keelman.manager.scheduling import RETELL_SECONDS, Scheduling
from keelman.task import State, Task
from tests.unit.given import NOW, a_spec
from tests.unit.given_cluster import a_report
from tests.unit.given_wire import an_id


class World:
    """A roster of nodes with four cores each, and a scheduling that notes whom it wakes."""

    def __init__(self, *names: str) -> None:
        self.now = NOW
        self.roster = Roster(lambda: self.now, Patience(suspect_seconds=1e6, lost_seconds=1e7))
        for name in names:
            self.roster.add(Node(name=name, url=f"http://{name}:1"))
            self.roster.hear(name, a_report(name))
        self.woken: list[str] = []
        self.scheduling = Scheduling(self.roster, Strategy.SPREAD, self.woken.append)

    def decide(self) -> list[str]:
        self.woken.clear()
        self.scheduling.decide()
        return self.woken


def wants(number: int, **asked: object) -> tuple[Task, Placement]:
    return Task(id=an_id(number), spec=a_spec(**asked)), Placement(task_id=an_id(number))


def runs_on(world: World, node: str, number: int, **asked: object) -> tuple[Task, Placement]:
    """A task that is on record there."""
    task = Task(id=an_id(number), spec=a_spec(**asked), state=State.RUNNING)
    placement = Placement(task_id=task.id, number=1, node=node, accepted=True)
    world.roster.recorded(task, placement)
    return task, placement


def test_what_is_promised_is_taken() -> None:
    """Until it is on record, and not twice from then on."""
    world = World("a")
    task, placement = wants(1, cpu=3.0)
    world.scheduling.wants(task, placement)
    assert world.decide() == [task.id]
    world.scheduling.wants(*wants(2, cpu=2.0))
    world.decide()
    assert isinstance(world.scheduling.decided(an_id(2)), Unplaced)
    assert world.scheduling.decided(task.id) == Placed(task_id=task.id, node="a")
    world.roster.recorded(task, placement.on("a"))
    (offer,) = world.roster.offers([("a", world.roster.tenants("a")[0])])
    assert (offer.cpu, offer.tasks) == (1.0, 1)
    world.scheduling.settled(task.id)
    world.scheduling.wants(*wants(3, cpu=1.0))
    assert world.decide() == [an_id(3)]
    assert isinstance(world.scheduling.decided(an_id(3)), Placed)


def test_a_lane_is_woken_only_for_what_it_does_not_know() -> None:
    """However often it is asked in vain."""
    world = World("a")
    world.scheduling.wants(*wants(1, cpu=9.0))
    assert world.decide() == [an_id(1)]
    assert world.decide() == []
    world.roster.add(Node(name="a", url="http://a:1", use=Use.CORDONED))
    assert world.decide() == []
    world.now += RETELL_SECONDS
    assert world.decide() == [an_id(1)]
    assert world.scheduling.reasons(an_id(1)) == {"a": "it is cordoned"}


def test_a_place_is_not_where_it_is_already() -> None:
    """Who wants another one gets another one, or none."""
    world = World("a")
    task, placement = runs_on(world, "a", 1)
    world.scheduling.wants(task, placement)
    world.decide()
    assert isinstance(world.scheduling.decided(task.id), Unplaced)


def test_one_at_a_time_leaves_a_drained_node() -> None:
    """The next when the one before is on record elsewhere, and its copy is gone."""
    world = World("a", "b")
    one, two = runs_on(world, "a", 1), runs_on(world, "a", 2)
    world.roster.add(Node(name="a", url="http://a:1", use=Use.DRAINING))
    world.scheduling.wants(*one)
    world.scheduling.wants(*two)
    assert world.decide() == [an_id(1)]
    assert world.decide() == []
    task, placement = one
    moved = placement.on("b", stale=(placement.here,))
    world.roster.recorded(task, moved)
    world.scheduling.settled(task.id)
    assert world.decide() == []
    world.roster.recorded(task, moved.but(stale=()))
    assert world.decide() == [an_id(2)]


def test_who_is_settled_wants_nothing() -> None:
    """And holds nothing that was promised."""
    world = World("a")
    world.scheduling.wants(*wants(1, cpu=4.0))
    world.decide()
    world.scheduling.settled(an_id(1))
    assert world.scheduling.waiting == 0
    world.scheduling.wants(*wants(2, cpu=4.0))
    world.decide()
    assert world.scheduling.decided(an_id(2)) == Placed(task_id=an_id(2), node="a")


def test_host_ports_are_held_by_protocol() -> None:
    """The same number in tcp and udp are two."""
    world = World("a")
    runs_on(world, "a", 1, port_bindings={"80/tcp": "8080"})
    world.scheduling.wants(*wants(2, port_bindings={"81/tcp": "8080"}))
    world.scheduling.wants(*wants(3, port_bindings={"80/udp": "8080"}))
    world.decide()
    assert isinstance(world.scheduling.decided(an_id(2)), Unplaced)
    assert isinstance(world.scheduling.decided(an_id(3)), Placed)
