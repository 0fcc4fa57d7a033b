"""Whatever is sent becomes a TaskEvent or is a BadRequest, and what is sound comes back whole."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keelman import wire
from keelman.errors import BadRequest
from keelman.task import TaskEvent, Wish, new_task
from tests.fuzzing import times
from tests.unit.given import TASK_ID
from tests.unit.given_wire import EVENT_ID

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([2**63, 2**64, 2**70, -(2**63), 1e308, "\0", "\ud800", "keelman.x", ""])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NAME = st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)
PORT = st.builds("{}/{}".format, st.integers(1, 65535), st.sampled_from(["tcp", "udp", "sctp"]))
PATH = st.from_regex(r"/[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True)
AMOUNT = st.just(0) | st.integers(6 * 1024 * 1024, 2**63 - 1)

SOUND_FIELDS = {
    "Name": st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20),
    "Command": st.lists(WORD, max_size=3),
    "Entrypoint": st.lists(WORD, max_size=3),
    "Env": st.dictionaries(NAME, WORD, max_size=3),
    "Cpu": st.just(0) | st.floats(0.01, 1_000_000),
    "Memory": AMOUNT,
    "PidsLimit": AMOUNT,
    "ExposedPorts": st.dictionaries(PORT, st.just({}), max_size=2),
    "PortBindings": st.dictionaries(PORT, st.integers(1, 65535).map(str), max_size=1),
    "Mounts": st.lists(
        st.fixed_dictionaries(
            {"Source": PATH, "Target": PATH}, optional={"ReadOnly": st.booleans()}
        ),
        max_size=1,
    ),
    "User": st.sampled_from(["", "1000", "app:app"]),
    "Labels": st.dictionaries(NAME, WORD, max_size=2),
    "Init": st.booleans(),
    "RestartPolicy": st.sampled_from(
        ["", "no", "always", "unless-stopped", "on-failure", "on-failure:12"]
    ),
    "StopSignal": st.sampled_from(["", "SIGTERM", "INT", "9", "SIGRTMIN+3"]),
    "StopTimeout": st.integers(0, 31_536_000),
    "Timeout": st.integers(0, 31_536_000),
    "PullPolicy": st.sampled_from(["", "missing", "never"]),
    "Generation": st.integers(0, 2**63 - 1),
}

SOUND_TASKS = st.fixed_dictionaries(
    {"ID": st.just(TASK_ID), "Image": st.sampled_from(["a", "h.example:5000/a/b_c:v1"])},
    optional=SOUND_FIELDS,
)
SOUND_EVENTS = st.fixed_dictionaries(
    {"ID": st.just(EVENT_ID), "State": st.sampled_from([0, 1, 2]), "Task": SOUND_TASKS}
)


def outcome(body: bytes) -> TaskEvent | None:
    """The TaskEvent, or None for a BadRequest; anything else that is raised fails the test."""
    with contextlib.suppress(BadRequest):
        return wire.decode_event(body)
    return None


@settings(max_examples=times(150), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_politely(body: bytes) -> None:
    outcome(body)


@settings(max_examples=times(150), deadline=None)
@given(ANYTHING)
def test_any_json_is_refused_politely(value: object) -> None:
    outcome(json.dumps(value).encode())


@settings(max_examples=times(250), deadline=None)
@given(SOUND_EVENTS, st.data())
def test_a_field_changed_at_random_is_understood_or_refused(
    event: dict[str, Any], data: st.DataObject
) -> None:
    fields = event["Task"] if data.draw(st.booleans()) else event
    names = sorted({*fields, *SOUND_FIELDS, "StartTime", "HealthCheck", "Disk", "Health"})
    name = data.draw(st.sampled_from(names) | st.text(max_size=5))
    fields[name] = data.draw(ANYTHING)
    outcome(json.dumps(event).encode())


@settings(max_examples=times(150), deadline=None)
@given(SOUND_EVENTS, st.data())
def test_bytes_changed_at_random_are_understood_or_refused(
    event: dict[str, Any], data: st.DataObject
) -> None:
    body = json.dumps(event, ensure_ascii=False).encode()
    at = data.draw(st.integers(0, len(body)))
    until = data.draw(st.integers(at, min(at + 5, len(body))))
    outcome(body[:at] + data.draw(st.binary(max_size=4)) + body[until:])


@settings(max_examples=times(150), deadline=None)
@given(SOUND_EVENTS)
def test_a_sound_event_is_understood_and_its_report_tells_the_same_spec(
    event: dict[str, Any],
) -> None:
    decoded = wire.decode_event(json.dumps(event).encode())
    assert decoded.spec is not None
    wish = Wish(
        seq=1,
        task_id=decoded.task_id,
        wants=decoded.wants,
        spec=decoded.spec,
        generation=decoded.generation,
    )
    report = json.loads(wire.encode_task(new_task(wish)))
    assert {name: report[name] for name in event["Task"] if name != "Mounts"} == {
        name: value for name, value in event["Task"].items() if name != "Mounts"
    }
    again = wire.decode_event(json.dumps({**event, "Task": report}).encode())
    assert again == decoded


@settings(max_examples=times(100), deadline=None)
@given(SOUND_EVENTS)
def test_what_is_recorded_of_an_event_reads_back_as_it_was(event: dict[str, Any]) -> None:
    decoded = wire.decode_event(json.dumps(event).encode())
    assert msgspec.json.decode(msgspec.json.encode(decoded), type=TaskEvent) == decoded
