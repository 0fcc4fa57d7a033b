"""A task's output over HTTP."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from aiohttp import ClientPayloadError, ClientResponse

from tests.api.conftest import Served

PATIENCE_SECONDS = 20.0


async def more(response: ClientResponse) -> bytes:
    """What comes next."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        chunk = await response.content.readany()
    assert chunk, "it has ended"
    return chunk


async def the_rest(response: ClientResponse) -> bytes:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await response.read()


def container_of(served: Served, task_id: str) -> str:
    return served.worker.get_task(task_id).container_id


@pytest.mark.parametrize("end", ["", "/"], ids=["no slash", "slash"])
async def test_output_is_text_as_it_was_written(served: Served, end: str) -> None:
    task_id = await served.is_running("talk")
    answer = await served.get(f"/tasks/{task_id}/logs{end}")
    assert (answer.status, answer.body) == (200, b"one\ntwo\nthree\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("query", "output"),
    [
        ("stream=both", b"one\ntwo\nthree\n"),
        ("stream=stdout", b"one\nthree\n"),
        ("stream=stderr", b"two\n"),
        ("tail=0", b""),
        ("tail=2", b"two\nthree\n"),
        ("tail=1000000", b"one\ntwo\nthree\n"),
        ("since=0", b"one\ntwo\nthree\n"),
        ("since=99999999999", b""),
        ("attempt=1", b"one\ntwo\nthree\n"),
        ("follow=0&tail=1", b"three\n"),
    ],
)
async def test_a_part_can_be_asked_for(served: Served, query: str, output: bytes) -> None:
    task_id = await served.is_running("talk")
    assert (await served.get(f"/tasks/{task_id}/logs?{query}")).body == output


async def test_an_ended_tasks_output_is_kept(served: Served) -> None:
    task_id = await served.has_run("talk-and-fail")
    assert (await served.get(f"/tasks/{task_id}/logs")).body == b"bye\n"
    assert (await served.get(f"/tasks/{task_id}/logs?follow=1")).body == b"bye\n"


async def test_a_task_that_has_no_container_yet_has_no_output_yet(served: Served) -> None:
    served.engine.down()
    task_id = await served.run("talk")
    answer = await served.get(f"/tasks/{task_id}/logs")
    assert (answer.status, answer.body) == (200, b"")


async def test_whoever_follows_from_before_the_start_gets_everything(served: Served) -> None:
    served.engine.down()
    task_id = await served.run("talk")
    async with served.session.get(f"/tasks/{task_id}/logs?follow=1") as response:
        served.engine.up()
        text = b""
        while len(text) < len(b"one\ntwo\nthree\n"):
            text += await more(response)
        served.engine.write(container_of(served, task_id), "stdout", b"four\n")
        assert await more(response) == b"four\n"
        served.engine.exit(container_of(served, task_id), 0)
        assert await the_rest(response) == b""
    assert text == b"one\ntwo\nthree\n"


async def test_whoever_follows_is_led_across_restarts_to_the_end(served: Served) -> None:
    task_id = await served.run("talk-and-fail", RestartPolicy="on-failure:3")
    async with served.session.get(f"/tasks/{task_id}/logs?follow=1") as response:
        assert await the_rest(response) == b"bye\n" * 4
    assert (await served.until(task_id, "ended"))["Attempt"] == 4


async def test_whoever_follows_one_attempt_is_not_led_on(served: Served) -> None:
    task_id = await served.is_running("talk", RestartPolicy="always")
    async with served.session.get(f"/tasks/{task_id}/logs?follow=1&attempt=1") as response:
        await more(response)
        served.engine.exit(container_of(served, task_id), 1)
        await the_rest(response)  # it ends
    assert (await served.until(task_id, "running"))["State"] != 4


async def test_of_whoever_follows_several_each_gets_everything(served: Served) -> None:
    task_id = await served.is_running("talk")

    async def follow() -> bytes:
        async with served.session.get(f"/tasks/{task_id}/logs?follow=1&tail=1") as response:
            text = await more(response)
            heard.release()
            return text + await the_rest(response)

    heard = asyncio.Semaphore(0)
    followers = [asyncio.create_task(follow()) for _ in range(5)]
    for _ in followers:
        await heard.acquire()
    served.engine.write(container_of(served, task_id), "stderr", b"last\n")
    served.engine.exit(container_of(served, task_id), 0)
    assert await asyncio.gather(*followers) == [b"three\nlast\n"] * 5


# -- what is not to be had -----------------------------------------------------------------------


async def test_the_output_of_a_container_that_is_gone_is_gone(served: Served) -> None:
    task_id = await served.has_run("talk-and-fail")
    served.engine.vanish(container_of(served, task_id))
    assert (await served.get(f"/tasks/{task_id}/logs")).is_error(410, "container_gone")


async def test_a_task_that_ended_before_it_had_a_container_has_no_output(served: Served) -> None:
    task_id = await served.has_run(Image="no/such:image", PullPolicy="never")
    assert (await served.get(f"/tasks/{task_id}/logs")).is_error(410, "container_gone")


async def test_an_attempt_that_never_was_is_gone(served: Served) -> None:
    task_id = await served.is_running("talk")
    answer = await served.get(f"/tasks/{task_id}/logs?attempt=2")
    assert answer.is_error(410, "container_gone")


async def test_the_attempt_before_a_restart_is_gone_with_its_container(served: Served) -> None:
    task_id = await served.has_run("talk-and-fail", RestartPolicy="on-failure:1")
    answer = await served.get(f"/tasks/{task_id}/logs?attempt=1")
    assert answer.is_error(410, "container_gone")
    assert (await served.get(f"/tasks/{task_id}/logs?attempt=2")).body == b"bye\n"


async def test_a_task_stopped_in_its_back_off_shows_what_it_last_said(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keelman.policy.BACKOFF_FIRST_SECONDS", 300.0)
    task_id = await served.run("talk-and-fail", RestartPolicy="always")
    while served.worker.get_task(task_id).attempt < 2:
        await served.worker.events.news()
    assert (await served.get(f"/tasks/{task_id}/logs")).body == b"bye\n"
    await served.delete(f"/tasks/{task_id}")
    await served.until(task_id, "ended")
    assert (await served.get(f"/tasks/{task_id}/logs")).body == b"bye\n"


async def test_an_unknown_task_has_no_output(served: Served) -> None:
    assert (await served.get(f"/tasks/{uuid4()}/logs")).is_error(404, "unknown_task")


# -- trouble -------------------------------------------------------------------------------------


async def test_while_the_engine_is_away_its_output_is_503(served: Served) -> None:
    task_id = await served.is_running("talk")
    served.engine.down()
    answer = await served.get(f"/tasks/{task_id}/logs")
    assert answer.is_error(503, "engine_unavailable")
    served.engine.up()
    assert (await served.get(f"/tasks/{task_id}/logs")).status == 200


async def test_an_engine_that_goes_away_cuts_the_answer_visibly_short(served: Served) -> None:
    task_id = await served.is_running("talk")
    async with served.session.get(f"/tasks/{task_id}/logs?follow=1") as response:
        await more(response)
        served.engine.down()
        with pytest.raises(ClientPayloadError):
            await the_rest(response)
    served.engine.up()


async def test_a_reader_that_goes_leaves_the_others_alone(served: Served) -> None:
    task_id = await served.is_running("talk")
    async with served.session.get(f"/tasks/{task_id}/logs?follow=1") as staying:
        await more(staying)
        async with served.session.get(f"/tasks/{task_id}/logs?follow=1") as going:
            await more(going)
            going.close()
        served.engine.write(container_of(served, task_id), "stdout", b"four\n")
        assert await more(staying) == b"four\n"
