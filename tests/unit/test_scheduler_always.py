"""What holds of every batch, whatever is asked for and whatever is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from keelman.manager.scheduler import Ask, Offer, Placed, Strategy, Unplaced, place, why_not
from tests.unit.given_asks import (
    ASKS,
    OFFERS,
    ONE_ASK,
    STRATEGIES,
    alike,
    nodes_of,
    taken,
    told_in_turn,
)

REPEATABLE = settings(derandomize=True, database=None, deadline=None, max_examples=100)
Fits = dict[str, Offer]


def score(offer: Offer, strategy: Strategy) -> tuple[object, ...]:
    """The smaller, the sooner: as the docs have it."""
    left = (offer.cpu, offer.memory, offer.disk)
    if strategy is Strategy.SPREAD:
        return offer.tasks, *(-amount for amount in left), offer.name
    return *left, -offer.tasks, offer.name


def plainly(asks: Sequence[Ask], offers: Sequence[Offer], strategy: Strategy) -> list[str]:
    """The same choice in the plainest way: every node is asked for every task."""
    nodes = {offer.name: offer for offer in offers}
    chosen = []
    for ask in asks:
        fit = [offer for offer in nodes.values() if not why_not(ask, offer)]
        best = min(
            fit,
            key=lambda offer: (offer.name in ask.avoid, score(offer, strategy)),
            default=None,
        )
        chosen.append("" if best is None else best.name)
        if best is not None:
            nodes[best.name] = taken(best, ask)
    return chosen


@REPEATABLE
@given(ASKS, OFFERS, STRATEGIES)
def test_it_chooses_as_the_plainest_way_does(
    asks: list[Ask], offers: list[Offer], strategy: Strategy
) -> None:
    assert nodes_of(asks, offers, strategy) == plainly(asks, offers, strategy)


@REPEATABLE
@given(ASKS, OFFERS, STRATEGIES)
def test_no_node_is_ever_promised_more_than_it_has(
    asks: list[Ask], offers: list[Offer], strategy: Strategy
) -> None:
    """Counted together for the whole batch, of each amount by itself."""
    on: dict[str, list[Ask]] = {offer.name: [] for offer in offers}
    for ask, node in zip(asks, nodes_of(asks, offers, strategy), strict=True):
        on.get(node, []).append(ask)
    for offer in offers:
        mine = on[offer.name]
        assert round(sum(ask.cpu for ask in mine), 9) <= max(offer.cpu, 0)
        assert sum(ask.memory for ask in mine) <= max(offer.memory, 0)
        assert sum(ask.disk for ask in mine) <= max(offer.disk, 0)


@REPEATABLE
@given(ASKS, OFFERS, STRATEGIES)
def test_no_host_port_is_given_twice_on_a_node(
    asks: list[Ask], offers: list[Offer], strategy: Strategy
) -> None:
    given_ = Counter((offer.name, port) for offer in offers for port in offer.ports)
    for ask, node in zip(asks, nodes_of(asks, offers, strategy), strict=True):
        given_.update((node, port) for port in ask.ports if node)
    assert set(given_.values()) <= {1}


@REPEATABLE
@given(ASKS, OFFERS, STRATEGIES)
def test_nothing_goes_where_it_must_not(
    asks: list[Ask], offers: list[Offer], strategy: Strategy
) -> None:
    """To a node that takes nothing, that refused it, or that its constraints shut out."""
    known = {offer.name: offer for offer in offers}
    for ask, node in zip(asks, nodes_of(asks, offers, strategy), strict=True):
        if node:
            assert known[node].schedulable == ""
            assert node not in ask.not_on
            assert all(one.allows(node, known[node].labels) for one in ask.constraints)


@REPEATABLE
@given(ASKS, OFFERS, STRATEGIES, st.randoms(use_true_random=False))
def test_the_order_of_nodes_changes_nothing(
    asks: list[Ask], offers: list[Offer], strategy: Strategy, dice: Random
) -> None:
    """Nor does it when it is asked again."""
    shuffled = list(offers)
    dice.shuffle(shuffled)
    assert place(asks, shuffled, strategy) == place(asks, offers, strategy)


@REPEATABLE
@given(ASKS, OFFERS, STRATEGIES)
def test_tasks_that_ask_for_the_same_may_change_places(
    asks: list[Ask], offers: list[Offer], strategy: Strategy
) -> None:
    """IDs decide nothing: the same wants in the same order go to the same nodes."""
    renamed = [
        Ask(
            task_id=other.task_id,
            cpu=ask.cpu,
            memory=ask.memory,
            disk=ask.disk,
            ports=ask.ports,
            constraints=ask.constraints,
            not_on=ask.not_on,
            avoid=ask.avoid,
        )
        for ask, other in zip(asks, reversed(asks), strict=True)
    ]
    assert nodes_of(renamed, offers, strategy) == nodes_of(asks, offers, strategy)


@REPEATABLE
@given(ONE_ASK, st.integers(1, 9), OFFERS, STRATEGIES, st.data())
def test_another_node_never_takes_a_place_from_anyone(
    ask: Ask, times: int, offers: list[Offer], strategy: Strategy, data: st.DataObject
) -> None:
    """Of tasks that ask for the same, each that had one keeps one, whatever else joins."""
    fewer = offers[: data.draw(st.integers(0, len(offers)))]
    before = nodes_of(alike(ask, times), fewer, strategy)
    after = nodes_of(alike(ask, times), offers, strategy)
    assert all(later for earlier, later in zip(before, after, strict=True) if earlier)


@REPEATABLE
@given(ASKS, OFFERS, STRATEGIES)
def test_who_waits_is_told_why_of_every_node_and_who_need_not_does_not_wait(
    asks: list[Ask], offers: list[Offer], strategy: Strategy
) -> None:
    for ask, fate, nodes in told_in_turn(asks, offers, strategy):
        if isinstance(fate, Placed):
            assert why_not(ask, nodes[fate.node]) == ""
        else:
            assert list(fate.reasons) == sorted(nodes)
            assert all(fate.reasons.values())
            assert all(why_not(ask, offer) for offer in nodes.values())


def fitting(ask: Ask, nodes: Fits) -> list[Offer]:
    """Those that it may go to, and of these no one to be avoided, where there is another."""
    fit = [offer for offer in nodes.values() if not why_not(ask, offer)]
    return [offer for offer in fit if offer.name not in ask.avoid] or fit


@REPEATABLE
@given(ASKS, OFFERS)
def test_spread_never_passes_over_a_node_with_fewer_tasks(
    asks: list[Ask], offers: list[Offer]
) -> None:
    for ask, fate, nodes in told_in_turn(asks, offers, Strategy.SPREAD):
        if isinstance(fate, Placed):
            assert nodes[fate.node].tasks == min(offer.tasks for offer in fitting(ask, nodes))


@REPEATABLE
@given(ASKS, OFFERS)
def test_bin_pack_never_passes_over_a_node_with_fewer_cores_left(
    asks: list[Ask], offers: list[Offer]
) -> None:
    for ask, fate, nodes in told_in_turn(asks, offers, Strategy.BIN_PACK):
        if isinstance(fate, Placed):
            assert nodes[fate.node].cpu == min(offer.cpu for offer in fitting(ask, nodes))


@REPEATABLE
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 30))
def test_on_equal_nodes_spread_is_even_and_bin_pack_uses_as_few_as_can_be(
    nodes: int, room: int, times: int
) -> None:
    offers = [Offer(name=str(number), cpu=float(room)) for number in range(nodes)]
    asks = alike(Ask(task_id="t", cpu=1.0), times)
    fit = min(times, nodes * room)
    spread, packed = (Counter(filter(None, nodes_of(asks, offers, how))) for how in Strategy)
    assert spread.total() == packed.total() == fit
    assert len(packed) == -(-fit // room)
    assert fit < nodes or max(spread.values()) - min(spread.values()) <= 1
    assert fit >= nodes or len(spread) == fit


def test_these_batches_are_full_of_trouble() -> None:
    """They meet every kind of reason, and both ends: the laws above are not about nothing."""
    met: Counter[str] = Counter()
    words = ("cordoned", "refused", "asked for", "taken", "CPU", "memory", "disk")

    @REPEATABLE
    @given(ASKS, OFFERS)
    def look(asks: list[Ask], offers: list[Offer]) -> None:
        for fate in place(asks, offers):
            met[type(fate).__name__] += 1
            told = " ".join(fate.reasons.values()) if isinstance(fate, Unplaced) else ""
            met.update(word for word in words if word in told)

    look()
    assert min(met[word] for word in (*words, "Placed", "Unplaced")) > 50
