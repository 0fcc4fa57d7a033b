"""`keelman why`: how an Explanation looks, and the command."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from keelman.cli.why import why_page
from keelman.explanation import Asked, Block, Blocker, Explanation
from keelman.task import State
from tests.api.test_client import answering, worker_of
from tests.unit.test_cli_show import lines, printed
from tests.unit.test_cli_status import RUNNING, TASK_ID, UNKNOWN, Keelman, keelman

__all__ = ["keelman"]  # a fixture

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


def an_explanation(**fields: Any) -> Explanation:
    usual: dict[str, Any] = {
        "id": TASK_ID,
        "name": "web",
        "state": State.SCHEDULED,
        "summary": "It waits for its back-off: attempt 4 is due in 37 s.",
        "because": "attempt 3 ended, and a restart was due, 12 s ago: exited with code 3",
        "blocked": Block(by=Blocker.BACK_OFF, message="attempt 4 is due in 37 s"),
        "next": "create the container of attempt 4",
        "at": NOW + timedelta(seconds=37),
        "wish": Asked(wants="run", seq=7),
        "seen": "absent",
    }
    return Explanation(**{**usual, **fields})


def test_the_sentence_is_first_and_its_parts_follow() -> None:
    assert lines(why_page(an_explanation(), NOW)) == [
        "web  SCHEDULED",
        "  It waits for its back-off: attempt 4 is due in 37 s.",
        "",
        "  Because  attempt 3 ended, and a restart was due, 12 s ago: exited with code 3",
        "  Blocked  back_off: attempt 4 is due in 37 s",
        "  Next     create the container of attempt 4",
        "  At       2026-01-31T08:00:37Z, in 37 s",
        "  Wish     run, number 7",
        "  Seen     absent",
    ]


def test_what_there_is_nothing_of_is_left_out() -> None:
    told = an_explanation(name="", blocked=Block(by="", message=""), at=None, wish=None)
    shown = lines(why_page(told, NOW))
    assert shown[0] == "21b23589  SCHEDULED"
    assert [line.split()[0] for line in shown[3:]] == ["Because", "Next", "Wish", "Seen"]
    assert "  Wish     none" in shown


@pytest.mark.parametrize("seconds", [0, 0.5, -30])
def test_what_is_due_is_now_also_by_another_clock(seconds: float) -> None:
    told = an_explanation(at=NOW + timedelta(seconds=seconds))
    assert any(line.endswith("Z, now") for line in lines(why_page(told, NOW)))


def test_nothing_in_it_steers_a_terminal() -> None:
    bad = "\x1b[2J"
    told = an_explanation(
        name=bad, summary=bad, because=bad, next=bad, blocked=Block(by="pull", message=bad)
    )
    assert "\x1b" not in printed(why_page(told, NOW))


# -- the command ---------------------------------------------------------------------------------


async def test_a_task_is_found_by_its_name(keelman: Keelman) -> None:
    asked: list[str] = []

    async def why(request: web.Request) -> web.Response:
        asked.append(request.match_info["id"])
        return web.Response(body=msgspec.json.encode(an_explanation()))

    async with worker_of(GET_tasks=answering([RUNNING]), GET_tasks_ID_why=why) as address:
        for word in ("web", TASK_ID[:6], TASK_ID):
            ended = await keelman("why", word, KEELMAN_ADDR=address)
            assert ended.status == 0
            assert ended.out.startswith("web  SCHEDULED\n  It waits for its back-off")
    assert asked == [TASK_ID] * 3


async def test_for_programs_it_is_what_the_worker_says(keelman: Keelman) -> None:
    told = an_explanation()
    async with worker_of(GET_tasks_ID_why=answering(told)) as address:
        ended = await keelman("why", "--json", TASK_ID, KEELMAN_ADDR=address)
    assert ended.status == 0
    assert json.loads(ended.out) == json.loads(msgspec.json.encode(told))


@pytest.mark.parametrize("word", ["nobody", TASK_ID])
async def test_no_such_task_is_3(word: str, keelman: Keelman) -> None:
    handlers = {"GET_tasks": answering([]), "GET_tasks_ID_why": answering(UNKNOWN, 404)}
    async with worker_of(**handlers) as address:
        assert (await keelman("why", word, KEELMAN_ADDR=address)).status == 3
