"""So many seats, and no one more."""

from __future__ import annotations

import pytest

from keelman import bounds
from keelman.errors import TooMany, Unavailable
from keelman.seats import House, Seats


def test_one_more_than_there_are_is_refused_and_told_to_try_again() -> None:
    seats = Seats(2, "sit here")
    with seats.one(), seats.one():
        with pytest.raises(TooMany, match="2 clients sit here already; try again later") as refused:
            seats.one().__enter__()
        assert seats.taken == 2
    assert issubclass(refused.type, Unavailable)
    assert refused.value.retriable


def test_a_seat_is_free_again_whatever_its_holder_came_to() -> None:
    seats = Seats(1, "sit here")
    for _ in range(2):
        with pytest.raises(LookupError), seats.one():
            raise LookupError
    with seats.one():
        assert seats.taken == 1
    assert seats.taken == 0


def test_those_who_stay_leave_a_third_of_the_connections_to_others() -> None:
    stay = bounds.LISTENERS_MOST + bounds.LOG_READERS_MOST + bounds.WAITERS_MOST
    assert stay <= bounds.CONNECTIONS_MOST * 2 / 3


def test_a_worker_has_seats_of_three_kinds() -> None:
    house = House()
    with house.listeners.one():
        assert (house.readers.taken, house.waiters.taken) == (0, 0)
