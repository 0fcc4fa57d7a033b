"""A line of the audit log says who asked what and what was answered, and cannot be made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman import audit_log
from keelman.audit_log import WORD_MOST, Answered, Asked, Subject
from keelman.task import State, TaskEvent
from tests.unit.given import NOW, TASK_ID
from tests.unit.given_wire import an_event

ASKED = Asked(at=NOW, caller="token:m", peer="10.0.0.7:41", method="POST", path="/tasks")
DONE = Answered(status=201)
LINE_MOST_BYTES = 16 * WORD_MOST


def line(asked: Asked = ASKED, about: Subject | None = None, answered: Answered = DONE) -> Any:  # noqa: ANN401  # JSON
    told = audit_log.encode(
        audit_log.entry("node-1", asked, about or Subject(), answered, NOW + 0.5)
    )
    assert told.endswith(b"\n")
    assert told.count(b"\n") == 1
    assert len(told) < LINE_MOST_BYTES
    return json.loads(told)


def test_a_line_has_all_there_is_to_say() -> None:
    event = an_event(name="web", env={"TOKEN": "s3cret-pass"})
    told = line(about=audit_log.subject(event))
    assert told.pop("Time").endswith("Z")
    assert told == {
        "Worker": "node-1",
        "Caller": "token:m",
        "Peer": "10.0.0.7:41",
        "Method": "POST",
        "Path": "/tasks",
        "DryRun": False,
        "EventID": event.id,
        "TaskID": event.task_id,
        "Wants": "run",
        "Name": "web",
        "Image": event.spec.image if event.spec else "",
        "Status": 201,
        "Code": "",
        "Seconds": 0.5,
    }


def test_a_stop_has_a_task_and_no_more() -> None:
    stop = TaskEvent(id=None, state=State.COMPLETED, task_id=TASK_ID)
    about = audit_log.subject(stop)
    assert about == Subject(task_id=TASK_ID, wants="stop")


@given(st.text(max_size=2 * WORD_MOST))
def test_nothing_that_a_client_sends_makes_up_a_line_or_steers_a_terminal(text: str) -> None:
    asked = Asked(at=NOW, caller=text, peer=text, method=text, path=text)
    told = line(asked, Subject(name=text, image=text))
    for field in ("Caller", "Peer", "Method", "Path", "Name", "Image"):
        assert told[field].isprintable()
        assert len(told[field]) <= WORD_MOST
        assert told[field] == text[:WORD_MOST] or not text[:WORD_MOST].isprintable()


def test_what_is_no_unicode_is_written_all_the_same() -> None:
    assert audit_log.word("/\udc80\x9b2J") == "/\\udc80\\x9b2J"


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        *(("POST", True), ("DELETE", True), ("PUT", True), ("BREW", True)),
        *(("GET", False), ("HEAD", False), ("OPTIONS", False)),
    ],
)
def test_what_may_change_something_is_told_by_its_method(method: str, changes: bool) -> None:
    """One that nobody knows may."""
    asked = Asked(at=NOW, caller="", peer="", method=method, path="/")
    assert asked.changes == changes


def test_only_who_is_not_let_in_is_at_the_door() -> None:
    at_the_door = [
        code
        for code in ("unauthorized", "forbidden_client", "forbidden_page", "not_allowed", "")
        if Answered(status=403, code=code).at_the_door
    ]
    assert at_the_door == ["unauthorized", "forbidden_client", "forbidden_page"]
