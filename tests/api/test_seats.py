"""Who stays long: so many of each kind, and one that does not read costs nobody but himself."""

from __future__ import annotations

import asyncio

import pytest

from keelman import bounds, seats, sse
from keelman.task import State, Transition
from tests.api.conftest import Served, until
from tests.api.listening import listening
from tests.api.test_events import deaf_client

PLACES = [
    pytest.param("listeners", "/events", id="events"),
    pytest.param("readers", "/tasks/{}/logs", id="logs"),
    pytest.param("readers", "/tasks/{}/logs?follow=1", id="logs that follow"),
    pytest.param("waiters", "/tasks/{}?wait=ended", id="waits"),
]


@pytest.mark.parametrize(("kind", "path"), PLACES)
async def test_where_all_seats_are_taken_it_is_503_too_many(
    served: Served, kind: str, path: str
) -> None:
    task_id = await served.is_running("talk")
    place: seats.Seats = getattr(served.worker.seats, kind)
    place.taken = place._most
    answer = await served.get(path.format(task_id))
    assert answer.is_error(503, "too_many")
    assert answer.headers["Retry-After"] == "1"
    assert (await served.get(f"/tasks/{task_id}")).status == 200
    assert (await served.get("/livez")).status == 200
    assert place.taken == place._most
    place.taken = 0


async def test_who_need_not_wait_needs_no_seat(served: Served) -> None:
    task_id = await served.has_run("true")
    served.worker.seats.waiters.taken = bounds.WAITERS_MOST
    for wait in ("running", "ended"):
        assert (await served.get(f"/tasks/{task_id}?wait={wait}")).json["State"] == 3
    served.worker.seats.waiters.taken = 0


async def test_seats_are_given_back(served: Served) -> None:
    house = served.worker.seats
    task_id = await served.is_running("talk")
    logs = served.session.get(f"/tasks/{task_id}/logs?follow=1")
    async with listening(served), logs as response:
        await response.content.readany()
        waiting = asyncio.create_task(served.get(f"/tasks/{task_id}?wait=ended"))
        await until(lambda: house.waiters.taken == 1)
        assert (house.listeners.taken, house.readers.taken) == (1, 1)
        await served.delete(f"/tasks/{task_id}")
        await waiting
    kinds = (house.listeners, house.readers, house.waiters)
    await until(lambda: [kind.taken for kind in kinds] == [0, 0, 0])


# -- who does not read -----------------------------------------------------------------------------


def a_move(served: Served, length: int) -> Transition:
    return Transition(
        task_id="x",
        from_=State.PENDING,
        to=State.SCHEDULED,
        time=served.worker.clock(),
        message="x" * length,
    )


def held(served: Served) -> int:
    """Bytes that lie in memory for clients to take."""
    assert served.api._connections is not None
    open_ = served.api._connections._connections.values()
    return sum(transport.get_write_buffer_size() for transport in open_)


async def test_of_several_listeners_one_that_never_reads_costs_the_others_nothing(
    served: Served,
) -> None:
    """It is not cut off yet, and what lies in memory for it does not grow."""
    task = served.worker.get_task(await served.has_run("true"))
    began = served.worker.events.last_seq
    moves, size = 400, 20_000
    async with listening(served) as one, listening(served) as two:
        with deaf_client(served):
            await until(lambda: served.worker.seats.listeners.taken == 3)
            for _ in range(moves):
                recorded = await served.worker.db.put(task, a_move(served, size))
                assert recorded is not None
                served.worker.events.publish(recorded)
                heard = [await one.next(), await two.next()]
                assert {event.seq for event in heard} == {recorded.seq}
                assert held(served) <= 2 * bounds.CHUNK_BYTES + size
            assert served.worker.events.last_seq == began + moves
            assert held(served) > 0, "everything went into the kernel: the test shows nothing"
            assert served.worker.seats.listeners.taken == 3


async def test_a_listener_that_is_far_behind_is_given_a_part_at_a_time(served: Served) -> None:
    """Else all that it missed would lie in memory, for each that comes and does not read."""
    task = served.worker.get_task(await served.has_run("true"))
    moves, size = 300, 20_000
    for _ in range(moves):
        recorded = await served.worker.db.put(task, a_move(served, size))
        assert recorded is not None
        served.worker.events.publish(recorded)
    asked = b"GET /events?since=0 HTTP/1.1\r\nHost: x\r\n\r\n"
    with deaf_client(served, asked), deaf_client(served, asked):
        await until(lambda: held(served) > bounds.CHUNK_BYTES)
        for _ in range(100):
            await asyncio.sleep(0)
            assert held(served) <= 2 * (2 * bounds.CHUNK_BYTES + size)  # of 6 MB for each
    async with listening(served, since="0") as listener:
        heard = await listener.events(moves + 3)
    assert [event.seq for event in heard] == list(range(1, moves + 4))


@pytest.mark.parametrize("sizes", [[], [1], [70_000], [1] * 9, [40_000] * 5, [65_536, 1, 70_000]])
def test_parts_are_all_of_it_in_order_and_none_is_much_larger_than_it_has_to_be(
    sizes: list[int],
) -> None:
    frames = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    parts = list(sse.chunks(frames))
    assert b"".join(parts) == b"".join(frames)
    assert all(len(part) < bounds.CHUNK_BYTES + max(sizes) for part in parts)
    assert all(len(part) >= bounds.CHUNK_BYTES for part in parts[:-1])
