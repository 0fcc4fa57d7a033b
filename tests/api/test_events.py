"""The stream of Transitions: every one once, in order, from wherever a listener left off."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from keelman import bounds, sse
from keelman import db as dbs
from keelman import events as streams
from keelman.task import State, Transition
from tests.api.conftest import Served, until
from tests.api.listening import listening

PER_TASK = 3  # Transitions of a task that runs and ends


def log_id(served: Served) -> str:
    return str(served.worker.db.log_id)


async def ran(served: Served, tasks: int = 1) -> None:
    """So many tasks ran and ended, each with its three Transitions."""
    ids = [await served.run("true") for _ in range(tasks)]
    for task_id in ids:
        await served.until(task_id, "ended")


# -- what is heard -------------------------------------------------------------------------------


async def test_a_listener_hears_what_happens_from_now_on(served: Served) -> None:
    await ran(served)
    async with listening(served) as listener:
        assert listener.comments[0] == ": keelman"
        assert listener.last_id == f"{log_id(served)}:3"
        task_id = await served.run("true")
        heard = await listener.events(PER_TASK)
    assert [event.id for event in heard] == [f"{log_id(served)}:{seq}" for seq in (4, 5, 6)]
    assert [(event.data["From"], event.data["To"]) for event in heard] == [(0, 1), (1, 2), (2, 3)]
    assert {event.data["TaskID"] for event in heard} == {task_id}
    history = (await served.get(f"/tasks/{task_id}/transitions")).json
    assert [event.data for event in heard] == history


@pytest.mark.parametrize("seen", [0, 1, 5, 6])
@pytest.mark.parametrize("how", ["Last-Event-ID", "since", "since with the log"])
async def test_a_listener_resumes_where_it_left_off(served: Served, how: str, seen: int) -> None:
    await ran(served, 2)
    where = {
        "Last-Event-ID": {"last_id": f"{log_id(served)}:{seen}"},
        "since": {"since": str(seen)},
        "since with the log": {"since": f"{log_id(served)}:{seen}"},
    }[how]
    async with listening(served, **where) as listener:
        await ran(served)
        heard = await listener.events(3 * PER_TASK - seen)
    assert [event.seq for event in heard] == list(range(seen + 1, 10))


async def test_the_header_outdoes_the_parameter(served: Served) -> None:
    """A browser that reconnects sends both: the address it was given, and where it is."""
    await ran(served, 2)
    async with listening(served, since="0", last_id=f"{log_id(served)}:5") as listener:
        assert (await listener.next()).seq == 6


async def test_a_list_says_from_where_on_to_listen(served: Served) -> None:
    await ran(served)
    listed = await served.get("/tasks")
    await ran(served)
    async with listening(served, last_id=listed.headers["Last-Event-ID"]) as listener:
        assert [event.seq for event in await listener.events(PER_TASK)] == [4, 5, 6]


async def test_a_list_that_is_ahead_of_what_was_published_can_be_resumed_from(
    served: Served,
) -> None:
    """What is on disk is listed at once; listeners are told a moment later."""
    move = Transition(
        task_id="x", from_=State.PENDING, to=State.SCHEDULED, time=served.worker.clock()
    )
    task = served.worker.get_task(await served.has_run("true"))
    recorded = await served.worker.db.put(task, move)  # and not published yet
    listed = await served.get("/tasks")
    async with listening(served, last_id=listed.headers["Last-Event-ID"]) as listener:
        assert recorded is not None
        served.worker.events.publish(recorded)
        await ran(served)
        assert (await listener.next()).seq == recorded.seq + 1


async def test_listeners_that_come_and_go_miss_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "READ_MOST", 7)
    dice = random.Random(4711)
    tasks = 20

    async def restless() -> list[int]:
        heard: list[int] = []
        while len(heard) < tasks * PER_TASK:
            last_id = f"{log_id(served)}:{heard[-1] if heard else 0}"
            async with listening(served, last_id=last_id) as listener:
                few = min(dice.randint(1, 9), tasks * PER_TASK - len(heard))
                heard += [event.seq for event in await listener.events(few)]
        return heard

    async with asyncio.TaskGroup() as group:
        listeners = [group.create_task(restless()) for _ in range(5)]
        group.create_task(ran(served, tasks))
    everything = list(range(1, tasks * PER_TASK + 1))
    assert [listener.result() for listener in listeners] == [everything] * 5


async def test_a_log_goes_on_in_the_next_process(served: Served) -> None:
    """A new worker's ring is empty: what was before it comes from the Db."""
    await ran(served, 2)
    served.worker.events._ring.clear()
    async with listening(served, since="0") as listener:
        assert [event.seq for event in await listener.events(6)] == [1, 2, 3, 4, 5, 6]


async def test_a_quiet_stream_sends_comments(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "COMMENT_SECONDS", 0.01)
    async with listening(served) as listener:
        while len(listener.comments) < 4:
            assert await listener.block() == {}
    assert listener.comments == [": keelman", *[": still here"] * 3]


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("header", [True, False], ids=["Last-Event-ID", "since"])
@pytest.mark.parametrize(
    ("where", "status", "code"),
    [
        pytest.param("another-log:1", 410, "events_gone", id="another log"),
        pytest.param("{log}:99", 410, "events_gone", id="not yet"),
        pytest.param("99", 410, "events_gone", id="not yet, of any log"),
        pytest.param("{log}:", 400, "bad_field", id="no number"),
        pytest.param("{log}:x", 400, "bad_field", id="a word"),
        pytest.param("{log}:-1", 400, "bad_field", id="a negative number"),
        pytest.param("9" * 30, 400, "bad_field", id="a huge number"),
    ],
)
async def test_what_cannot_be_resumed_is_refused_before_the_first_byte(
    served: Served, where: str, status: int, code: str, header: bool
) -> None:
    await ran(served)
    place = where.format(log=log_id(served))
    headers = {"Last-Event-ID": place} if header else {}
    params = {} if header else {"since": place}
    answer = await served.ask("GET", "/events", headers=headers, params=params)
    assert answer.is_error(status, code)


async def test_what_is_no_longer_kept_is_gone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbs, "TRANSITIONS_MOST", 4)
    await ran(served, 2)
    await served.worker.db.sweep(served.worker.clock())
    answer = await served.get("/events?since=1")
    assert answer.is_error(410, "events_gone")
    assert "list the tasks anew" in answer.json["Message"]
    async with listening(served, since="2") as listener:
        assert (await listener.next()).seq == 3


# -- who does not read ---------------------------------------------------------------------------


ASKED = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"


def deaf_client(served: Served, asked: bytes = ASKED) -> socket.socket:
    """A client that asks for the stream and never reads from it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", served.api.port))
    client.sendall(asked)
    return client


async def test_a_listener_that_never_reads_is_cut_off_and_costs_nobody_else(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "WRITE_SECONDS", 0.05)
    move = Transition(
        task_id="x",
        from_=State.PENDING,
        to=State.SCHEDULED,
        time=served.worker.clock(),
        message="x" * 100_000,
    )
    task = served.worker.get_task(await served.has_run("true"))
    async with listening(served) as listener:
        before = served.connections
        with deaf_client(served):
            await until(lambda: served.connections > before)
            count = 0
            while served.connections > before:  # until it is cut off
                recorded = await served.worker.db.put(task, move)
                assert recorded is not None
                served.worker.events.publish(recorded)
                await listener.next()
                count += 1
                assert count < 1000
    assert (await served.get("/livez")).status == 200
