"""How a node is chosen: rules, one by one, on small clusters."""

from __future__ import annotations

import pytest

from keelman.manager import scheduler
from keelman.manager.constraints import parse_all
from keelman.manager.scheduler import Ask, Offer, Placed, Strategy, Unplaced, place
from tests.unit.given_asks import GIB, alike, nodes_of, numbered, why

ANYTHING = Ask(task_id="t")
A, B, C = (Offer(name=name, cpu=4.0, memory=8 * GIB, disk=9 * GIB) for name in "abc")
ONE_CORE = Ask(task_id="t", cpu=1.0)
PACK = Strategy.BIN_PACK


def test_nothing_asked_is_nothing_answered() -> None:
    assert place([], [A]) == []


def test_without_nodes_a_task_waits_and_there_is_nothing_to_say_of_nodes() -> None:
    assert place([ANYTHING], []) == [Unplaced(task_id="t", reasons={})]


def test_a_task_is_placed() -> None:
    assert place([ANYTHING], [A]) == [Placed(task_id="t", node="a")]


def test_spread_is_the_usual() -> None:
    assert nodes_of(alike(ONE_CORE, 4), [A, B]) == ["a", "b", "a", "b"]


def test_spread_goes_by_tasks_then_by_what_is_left_then_by_name() -> None:
    busy = Offer(name="a", cpu=64.0, tasks=3)
    small, large = Offer(name="b", cpu=2.0, tasks=1), Offer(name="c", cpu=3.0, tasks=1)
    last = Offer(name="d", cpu=3.0, tasks=1)
    assert nodes_of(alike(ANYTHING, 5), [busy, small, large, last]) == ["c", "d", "b", "c", "d"]


@pytest.mark.parametrize(
    "roomy",
    [
        pytest.param(Offer(name="z", cpu=4.0, memory=9 * GIB), id="memory"),
        pytest.param(Offer(name="z", cpu=4.0, memory=8 * GIB, disk=10 * GIB), id="disk"),
    ],
)
def test_spread_looks_at_memory_and_disk_where_cores_are_alike(roomy: Offer) -> None:
    assert nodes_of([ANYTHING], [A, roomy]) == ["z"]


def test_bin_pack_fills_a_node_before_the_next() -> None:
    assert nodes_of(alike(ONE_CORE, 6), [A, B], PACK) == ["a", "a", "a", "a", "b", "b"]


def test_bin_pack_takes_the_smallest_hole_that_is_large_enough() -> None:
    small, large = Offer(name="z", cpu=2.0), Offer(name="a", cpu=8.0)
    asks = numbered([ONE_CORE, Ask(task_id="t", cpu=8.0), ONE_CORE, ONE_CORE])
    assert nodes_of(asks, [small, large], PACK) == ["z", "a", "z", ""]


def test_bin_pack_of_tasks_that_ask_for_nothing_keeps_to_where_most_are() -> None:
    offers = [A, Offer(name="b", cpu=4.0, memory=8 * GIB, disk=9 * GIB, tasks=2), C]
    assert nodes_of(alike(ANYTHING, 3), offers, PACK) == ["b", "b", "b"]


def test_bin_pack_of_memory_alone_fills_a_node_before_the_next() -> None:
    half = Ask(task_id="t", memory=4 * GIB)
    assert nodes_of(alike(half, 5), [A, B], PACK) == ["a", "a", "b", "b", ""]


@pytest.mark.parametrize("strategy", Strategy)
def test_ten_tenths_of_a_core_are_one(strategy: Strategy) -> None:
    tenths = alike(Ask(task_id="t", cpu=0.1), 11)
    assert nodes_of(tenths, [Offer(name="a", cpu=1.0)], strategy) == ["a"] * 10 + [""]


@pytest.mark.parametrize("strategy", Strategy)
def test_a_host_port_is_given_once_on_a_node(strategy: Strategy) -> None:
    web = alike(Ask(task_id="t", ports=frozenset({"80/tcp"})), 3)
    assert nodes_of(web, [A, B], strategy) == ["a", "b", ""]
    assert why(web, [A, B]) == dict.fromkeys("ab", "host port 80/tcp is taken")


@pytest.mark.parametrize("strategy", Strategy)
def test_a_task_goes_where_its_constraints_allow(strategy: Strategy) -> None:
    zones = [Offer(name=name, labels={"zone": zone}) for name, zone in ("ae", "be", "cu", "de")]
    asks = alike(Ask(task_id="t", constraints=parse_all(["node.labels.zone==u"])), 2)
    asks.append(Ask(task_id="n", constraints=parse_all(["node.labels.zone!=u", "node.name!=a"])))
    assert nodes_of(asks, zones, strategy) == ["c", "c", "b"]


@pytest.mark.parametrize("strategy", Strategy)
def test_a_node_that_refused_a_task_is_not_asked_again(strategy: Strategy) -> None:
    refused = Ask(task_id="t", not_on=frozenset({"a"}))
    assert nodes_of([refused, ANYTHING], [A, B], strategy)[0] == "b"
    assert why([refused], [A]) == {"a": "it refused this task"}


@pytest.mark.parametrize("strategy", Strategy)
def test_a_node_to_be_avoided_is_taken_only_for_want_of_another(strategy: Strategy) -> None:
    asks = alike(Ask(task_id="t", cpu=4.0, avoid=frozenset({"a", "b"})), 4)
    assert nodes_of(asks, [A, B, C], strategy) == ["c", "a", "b", ""]


def test_a_task_that_fits_nowhere_is_told_why_of_every_node() -> None:
    cordoned = Offer(name="b", cpu=9.0, schedulable="cordoned")
    assert why([Ask(task_id="t", cpu=5.0)], [cordoned, A]) == {
        "a": "needs 5 CPUs, 4 are left",
        "b": "cordoned",
    }


def test_reasons_are_of_the_moment_after_the_batch() -> None:
    """Not of one in the middle of it, which nobody can look at."""
    asks = numbered([Ask(task_id="t", cpu=5.0), ONE_CORE, ONE_CORE])
    fate = place(asks, [A])[0]
    assert isinstance(fate, Unplaced)
    assert fate.reasons == {"a": "needs 5 CPUs, 2 are left"}
    assert "2 are left" in repr(fate)


def test_who_comes_later_may_fit_where_an_earlier_one_did_not() -> None:
    asks = numbered([Ask(task_id="t", cpu=5.0), ONE_CORE, Ask(task_id="t", cpu=5.0), ONE_CORE])
    assert nodes_of(asks, [A]) == ["", "a", "", "a"]


def test_reasons_are_put_into_words_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 tasks without room on 1,000 nodes are not 100,000,000 sentences."""
    made: list[str] = []

    def counted(ask: Ask, offer: Offer) -> str:
        made.append(offer.name)
        return "no"

    monkeypatch.setattr(scheduler, "why_not", counted)
    fates = place([Ask(task_id=str(n), cpu=5.0 + n) for n in range(9)], [A, B])
    assert made == []
    assert isinstance(fates[8], Unplaced)
    assert len(fates[8].reasons) == 2
    assert fates[8].reasons["b"] == "no"
    assert made == ["b"]


def test_of_tasks_that_ask_for_the_same_in_vain_only_the_first_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nothing fits, what waits may be a hundred times what the nodes hold."""
    looks: list[str] = []
    best = scheduler._Cluster._best

    def counted(cluster: scheduler._Cluster, ask: Ask) -> tuple[int, ...] | None:
        looks.append(ask.task_id)
        return best(cluster, ask)

    monkeypatch.setattr(scheduler._Cluster, "_best", counted)
    asks = numbered([*[Ask(task_id="t", cpu=5.0)] * 9, Ask(task_id="t", cpu=6.0), ONE_CORE])
    assert nodes_of(asks, [A]) == [""] * 10 + ["a"]
    assert looks == ["0", "9", "10"]
