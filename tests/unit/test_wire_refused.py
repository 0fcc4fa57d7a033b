"""The wire: what is refused, in which words, naming which field."""

from __future__ import annotations

import contextlib
import json
from uuid import UUID

import pytest

from keelman import wire
from keelman.errors import BadField, Malformed
from tests.unit.given import TASK_ID
from tests.unit.given_wire import EVENT_ID, a_body

# -- refused -------------------------------------------------------------------------------------

SOUND = a_body()


def nested(depth: int, *, left_open: bool = False) -> bytes:
    """A worker-owned field, which may be anything, that is a list in a list in a list."""
    deep = b"[" * depth + (b"" if left_open else b"]" * depth)
    return SOUND.replace(b'"web"', b'"web", "HostPorts": ' + deep)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b" \n ", "not JSON", id="blank"),
        pytest.param(SOUND[:-1], "not JSON", id="truncated by one"),
        pytest.param(SOUND[: len(SOUND) // 2], "not JSON", id="truncated in the middle"),
        pytest.param(SOUND + b"x", "trailing", id="something after it"),
        pytest.param(SOUND + SOUND, "trailing", id="two of them"),
        pytest.param(b"\xff\xfe\x00", "not UTF-8: byte 0", id="no UTF-8 at all"),
        pytest.param(SOUND.decode().encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf" + SOUND, "not JSON", id="a byte order mark"),
        pytest.param(SOUND.replace(b"web", b"w\xffb"), "not UTF-8: byte", id="UTF-8 in a string"),
        pytest.param(SOUND.replace(b"web", b"\xc0\xaf"), "not UTF-8", id="overlong UTF-8"),
        pytest.param(SOUND.replace(b"web", b"\xed\xa0\x80"), "not UTF-8", id="raw surrogate"),
        pytest.param(SOUND.replace(b"web", b"\\ud800"), "not JSON", id="half a surrogate pair"),
        pytest.param(b"[" + SOUND + b"]", "must be a JSON object", id="an array"),
        pytest.param(b'"x"', "must be a JSON object", id="a string"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b"7", "must be a JSON object", id="a number"),
        pytest.param(nested(2_000), "nested too deeply", id="deep nesting"),
        pytest.param(nested(500_000, left_open=True), "nested too deeply", id="a megabyte of ["),
        pytest.param(b'{"a":' * 150_000, "nested too deeply", id="a megabyte of {"),
        pytest.param(a_body(task={"Cpu": float("nan")}), "not JSON", id="NaN"),
        pytest.param(a_body(task={"Cpu": float("-inf")}), "not JSON", id="minus Infinity"),
        pytest.param(SOUND.replace(b'"web"', b"1e999"), "out of range", id="1e999"),
        pytest.param(SOUND.replace(b'"web"', b"9" * 5000), "out of range", id="5000 digits"),
        pytest.param(b"{'ID': 1}", "not JSON", id="Python, not JSON"),
        pytest.param(b"ID=1&State=2", "not JSON", id="a form"),
    ],
)
def test_what_is_no_json_object_is_malformed(body: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words) as caught:
        wire.decode_event(body)
    assert (caught.value.status, caught.value.code) == (400, "malformed")


def test_no_depth_falls_between_the_parser_and_the_check() -> None:
    for depth in range(800, 1010):  # Python's own limit is somewhere in here
        with contextlib.suppress(Malformed):
            wire.decode_event(nested(depth))


BAD_FIELDS = [
    # unknown fields, at every level
    (a_body(Foo=1), "Foo: unknown field"),
    (a_body(Foo=None), "Foo: unknown field"),
    (a_body(id=EVENT_ID), "id: unknown field"),
    (a_body(task={"Foo": 1}), "Task.Foo: unknown field"),
    (a_body(task={"Foo": None}), "Task.Foo: unknown field"),
    (a_body(task={"image": "x"}), "Task.image: unknown field"),
    (a_body(task={"ExposedPorts": {"80/tcp": {"Foo": 1}}}), "Task.ExposedPorts.Foo: unknown field"),
    (a_body(task={"Mounts": [{"Source": "/a", "Target": "/b", "Foo": 1}]}), "Task.Mounts[0].Foo"),
    (SOUND.replace(b"{", b'{"' + b"F" * 10_000 + b'":1,', 1), "F" * 80 + ": unknown field"),
    # missing
    (b"{}", "ID: is missing"),
    (json.dumps({"State": 2, "Task": {"ID": TASK_ID}}).encode(), "ID: is missing"),
    (json.dumps({"ID": EVENT_ID, "Task": {"ID": TASK_ID}}).encode(), "State: is missing"),
    (json.dumps({"ID": EVENT_ID, "State": 2}).encode(), "Task: is missing"),
    (a_body(ID=None), "ID: is missing"),
    (a_body(State=None), "State: is missing"),
    (a_body(Task=None), "Task: is missing"),
    (a_body(Task={"Image": "x"}), "Task.ID: is missing"),
    (a_body(task={"ID": None}), "Task.ID: is missing"),
    (a_body(task={"Mounts": [{"Source": "/a"}]}), "Task.Mounts[0].Target: is missing"),
    # IDs
    (a_body(ID="x"), "ID: invalid UUID"),
    (a_body(ID=""), "ID: invalid UUID"),
    (a_body(ID=EVENT_ID + "0"), "ID: invalid UUID"),
    (a_body(ID="{" + EVENT_ID + "}"), "ID: invalid UUID"),
    (a_body(ID=1), "ID: expected uuid, got int"),
    (a_body(ID=str(UUID(int=0))), "ID: the nil UUID"),
    (a_body(task={"ID": "x"}), "Task.ID: invalid UUID"),
    (a_body(task={"ID": str(UUID(int=0))}), "Task.ID: the nil UUID"),
    # states
    (a_body(State=4), "State: 4 (FAILED) cannot be asked for"),
    (a_body(State=5), "State: invalid enum value 5"),
    (a_body(State=-1), "State: invalid enum value -1"),
    (a_body(State=2**70), "State: "),
    (a_body(State="2"), "State: expected int, got str"),
    (a_body(State=2.0), "State: expected int, got float"),
    (a_body(State=True), "State: expected int, got bool"),
    (a_body(task={"State": 9}), "Task.State: invalid enum value 9"),
    (a_body(task={"State": 3}), "Task.State: 3 (COMPLETED) contradicts"),
    (a_body(State=0, task={"State": 3}), "Task.State: 3 (COMPLETED) contradicts"),
    # timestamps
    (a_body(Timestamp="yesterday"), "Timestamp: invalid RFC3339"),
    (a_body(Timestamp="2024-01-02T03:04:05"), "Timestamp: expected datetime with a timezone"),
    (a_body(Timestamp="2024-02-30T00:00:00Z"), "Timestamp: invalid RFC3339"),
    (a_body(Timestamp=1_700_000_000), "Timestamp: expected datetime | null, got int"),
    # wrong types
    (a_body(Task=[]), "Task: expected object, got array"),
    (a_body(Task="x"), "Task: expected object, got str"),
    (a_body(task={"Name": 1}), "Task.Name: expected str, got int"),
    (a_body(task={"Image": ["x"]}), "Task.Image: expected str, got array"),
    (a_body(task={"Command": "echo hi"}), "Task.Command: expected array, got str"),
    (a_body(task={"Command": ["echo", 1]}), "Task.Command[1]: expected str, got int"),
    (a_body(task={"Command": [None]}), "Task.Command[0]: expected str, got null"),
    (a_body(task={"Env": ["A=1"]}), "Task.Env: expected object, got array"),
    (a_body(task={"Env": {"A": 1}}), "Task.Env: expected str, got int"),
    (a_body(task={"Labels": {"a": None}}), "Task.Labels: expected str, got null"),
    (a_body(task={"Cpu": "1"}), "Task.Cpu: expected float, got str"),
    (a_body(task={"Cpu": True}), "Task.Cpu: expected float, got bool"),
    (a_body(task={"Memory": "64m"}), "Task.Memory: expected int, got str"),
    (a_body(task={"Memory": 8e6}), "Task.Memory: expected int, got float"),
    (a_body(task={"Init": 1}), "Task.Init: expected bool, got int"),
    (a_body(task={"Mounts": {"/a": "/b"}}), "Task.Mounts: expected array, got object"),
    (a_body(task={"Mounts": ["/a:/b"]}), "Task.Mounts[0]: expected object, got str"),
    (a_body(task={"ExposedPorts": ["80/tcp"]}), "Task.ExposedPorts: expected object, got array"),
    (a_body(task={"ExposedPorts": {"80/tcp": None}}), "Task.ExposedPorts: expected object"),
    (a_body(task={"PortBindings": {"80/tcp": 8080}}), "Task.PortBindings: expected str, got int"),
    (a_body(task={"HealthCheck": 1}), "Task.HealthCheck: expected str | object, got int"),
    # ranges
    (a_body(task={"Cpu": -0.5}), "Task.Cpu: expected float >= 0.0"),
    (a_body(task={"Cpu": 2**70}), "Task.Cpu: expected float <= 1000000.0"),
    (a_body(task={"Cpu": 0.001}), "Task.Cpu: must be 0 (no limit) or at least 0.01 cores"),
    (a_body(task={"Memory": -1}), "Task.Memory: expected int >= 0"),
    (a_body(task={"Memory": 2**63}), "Task.Memory: expected int <= 9223372036854775807"),
    (a_body(task={"Memory": 2**70}), "Task.Memory: expected int <= 9223372036854775807"),
    (a_body(task={"Memory": 10**400}), "Task.Memory: expected int <= 9223372036854775807"),
    (a_body(task={"Memory": 1024}), "Task.Memory: must be 0 (no limit) or at least 6291456"),
    (a_body(task={"Disk": -1}), "Task.Disk: expected int >= 0"),
    (a_body(task={"PidsLimit": -1}), "Task.PidsLimit: expected int >= 0"),
    (a_body(task={"StopTimeout": -1}), "Task.StopTimeout: expected int >= 0"),
    (a_body(task={"Timeout": 31_536_001}), "Task.Timeout: expected int <= 31536000"),
    (a_body(task={"Generation": -1}), "Task.Generation: expected int >= 0"),
    (a_body(task={"Generation": 2**63}), "Task.Generation: expected int <= 9223372036854775807"),
    # what `spec` objects to comes out here as well
    (a_body(task={"Image": ""}), "Task.Image: is missing"),
    (a_body(task={"Image": "NO IMAGE"}), "Task.Image: 'NO IMAGE' is no image name"),
    (a_body(task={"PortBindings": {"80/tcp": "65536"}}), "Task.PortBindings: 80/tcp: '65536'"),
    (a_body(task={"Labels": {"keelman.task": "x"}}), "Task.Labels: 'keelman.task'"),
]


@pytest.mark.parametrize(
    ("body", "words"), [pytest.param(body, words, id=words[:60]) for body, words in BAD_FIELDS]
)
def test_a_bad_field_is_named_with_what_is_wrong(body: bytes, words: str) -> None:
    with pytest.raises(BadField) as caught:
        wire.decode_event(body)
    assert caught.value.message.startswith(words)
    assert (caught.value.status, caught.value.code) == (400, "bad_field")


@pytest.mark.parametrize(
    ("field", "empty"),
    [
        ("Disk", 0),
        ("ReadOnlyRootfs", False),
        ("CapAdd", []),
        ("CapDrop", []),
        ("Network", ""),
        ("HealthCheck", ""),
        ("StopAfterDisconnect", 0),
        ("PullPolicy", ""),
    ],
)
def test_an_empty_value_asks_for_nothing(field: str, empty: object) -> None:
    assert wire.decode_event(a_body(task={field: empty})) == wire.decode_event(a_body())


def test_every_wrong_field_is_named_at_once() -> None:
    wrong = {"Cpu": 0.001, "Memory": 1, "RestartPolicy": "sometimes"}
    with pytest.raises(BadField) as caught:
        wire.decode_event(a_body(task=wrong))
    assert [words.split(":")[0] for words in caught.value.message.split("; ")] == [
        *("Task.Cpu", "Task.Memory", "Task.RestartPolicy")
    ]
