"""How much there is for tasks, and what is not left for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman import room
from keelman.errors import InsufficientResources
from keelman.machine import Resources
from keelman.room import Offered
from tests.unit.given import a_spec

MIB, GIB = 1 << 20, 1 << 30
NOTHING = Resources()
GIVEN = Resources(cpu=2.0, memory=4 * GIB, disk=10 * GIB)

GIVES = " that this worker may give"
LEFT = "3221225472 (3.0 GiB) are left of the 4294967296 (4.0 GiB)"
NO_DISK = (
    "Task.Disk: 11811160064 bytes (11.0 GiB) are asked for,"
    " and 10737418240 (10.0 GiB) are left of the 10737418240 (10.0 GiB)" + GIVES
)
CORES = st.integers(0, 400).map(lambda hundredths: hundredths / 100)
SOME = st.builds(Resources, cpu=CORES, memory=st.integers(0, 9), disk=st.integers(0, 9))


def refusal(
    wanted: Resources,
    *,
    has: Resources = NOTHING,
    allocated: Resources = NOTHING,
    given: Resources = GIVEN,
) -> InsufficientResources | None:
    try:
        room.check(wanted, has, allocated, given)
    except InsufficientResources as error:
        return error
    return None


# -- the capacity --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "memory", "disk"),
    [
        pytest.param((16 * GIB, 100 * GIB), 16 * GIB - 858993459, 95 * GIB, id="usual"),
        pytest.param((4 * GIB, 8 * GIB), 4 * GIB - 512 * MIB, 7 * GIB, id="small"),
        pytest.param((256 * MIB, 64 * MIB), 128 * MIB, 32 * MIB, id="tiny"),
        pytest.param((0, 0), 0, 0, id="none"),
    ],
)
def test_by_itself_a_worker_keeps_a_reserve_of_memory_and_disk(
    machine: tuple[int, int], memory: int, disk: int
) -> None:
    whole = Resources(cpu=3.0, memory=machine[0], disk=machine[1])
    usual = Resources(cpu=3.0, memory=memory, disk=disk)
    assert room.capacity(Offered(), whole) == usual


def test_what_the_operator_says_is_taken_as_it_is() -> None:
    """Also more than there is; and each by itself."""
    offered = Offered(cpu=8.0, memory=9 * GIB, disk=1)
    assert room.capacity(offered, GIVEN) == Resources(cpu=8.0, memory=9 * GIB, disk=1)
    assert room.capacity(Offered(cpu=8.0), GIVEN).memory == 4 * GIB - 512 * MIB


def test_a_spec_asks_for_what_stands_in_it() -> None:
    spec = a_spec(cpu=0.5, memory=5, disk=7)
    assert room.asked(spec) == Resources(cpu=0.5, memory=5, disk=7)
    assert room.asked(a_spec()) == NOTHING


# -- whether there is room -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "field", "words"),
    [
        (
            {"cpu": 0.75},
            "Task.Cpu",
            "Task.Cpu: 0.75 cores are asked for, and 0.5 are left of the 2" + GIVES,
        ),
        (
            {"memory": 3 * GIB + 1},
            "Task.Memory",
            f"Task.Memory: 3221225473 bytes (3.0 GiB) are asked for, and {LEFT}{GIVES}",
        ),
        (
            {"disk": 11 * GIB, "memory": 5 * GIB},
            "Task.Memory",
            f"Task.Memory: 5368709120 bytes (5.0 GiB) are asked for, and {LEFT}{GIVES}; {NO_DISK}",
        ),
    ],
)
def test_a_refusal_names_each_field_with_what_was_asked_and_what_is_left(
    wanted: dict[str, float], field: str, words: str
) -> None:
    allocated = Resources(cpu=1.5, memory=GIB)
    error = refusal(Resources(**wanted), allocated=allocated)  # type: ignore[arg-type]  # by name
    assert error is not None
    assert (error.field, error.message) == (field, words)


def test_what_is_left_may_be_taken_to_the_last() -> None:
    """Ten tenths are one, whatever binary fractions make of them."""
    allocated = Resources(cpu=0.1 + 0.2 + 0.3 + 0.3, memory=GIB)
    given = Resources(cpu=1.0, memory=GIB + 1)
    assert refusal(Resources(cpu=0.1, memory=1), allocated=allocated, given=given) is None
    assert refusal(Resources(cpu=0.1, memory=2), allocated=allocated, given=given) is not None


def test_what_a_task_holds_already_counts_once() -> None:
    whole = Resources(cpu=2.0, memory=4 * GIB)
    assert refusal(whole, has=whole, allocated=whole) is None
    assert refusal(Resources(cpu=2.0), has=Resources(cpu=1.0), allocated=Resources(cpu=2.0))


def test_where_less_is_given_than_is_held_who_asks_for_no_more_is_not_refused() -> None:
    held = Resources(cpu=3.0, memory=5 * GIB)
    over = Resources(cpu=6.0, memory=10 * GIB)
    assert refusal(held, has=held, allocated=over) is None
    assert refusal(NOTHING, allocated=over) is None
    assert refusal(Resources(disk=1), allocated=over) is None
    error = refusal(Resources(cpu=0.01), allocated=over)
    assert error is not None
    assert "and 0 are left" in error.message
    assert room.beyond(over, GIVEN) == ["Cpu", "Memory"]
    assert room.beyond(GIVEN, GIVEN) == []


@given(SOME, SOME, SOME, SOME)
def test_who_is_let_in_takes_nothing_beyond_what_is_given(
    wanted: Resources, has: Resources, others: Resources, given: Resources
) -> None:
    """And who is not would have: the refusal is right in both directions, field by field."""
    allocated = Resources(
        cpu=others.cpu + has.cpu,
        memory=others.memory + has.memory,
        disk=others.disk + has.disk,
    )
    fields = [
        (round(w * 100), round(h * 100), round(o * 100), round(g * 100))
        for w, h, o, g in (
            (wanted.cpu, has.cpu, others.cpu, given.cpu),
            (wanted.memory, has.memory, others.memory, given.memory),
            (wanted.disk, has.disk, others.disk, given.disk),
        )
    ]
    fits = all(w <= h or o + w <= g for w, h, o, g in fields)
    assert (refusal(wanted, has=has, allocated=allocated, given=given) is None) == fits
