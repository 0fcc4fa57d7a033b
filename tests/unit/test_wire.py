"""The wire: what is let in, what is refused and in which words, what goes out."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from keelman import wire
from keelman.errors import BadField, Malformed, NotSupported
from keelman.task import Ending, HostPort, Mount, Reason, Spec, State, Task, Transition, Why
from tests.unit.given import CONTAINER, NOW, TASK_ID, a_task
from tests.unit.given_wire import EVENT_ID, a_body

# -- let in --------------------------------------------------------------------------------------

THE_BOOK = (
    b'{"ID":"6be4cb6b-61d1-40cb-bc7b-9cacefefa60c","State":2,"Task":{"State":1,'
    b'"ID":"21b23589-5d2d-4731-b5c9-a97e9832d021","Name":"test-chapter-5",'
    b'"Image":"strm/helloworld-http","Cpu":1.0}}'
)

# What Go's encoder makes of a Cube Task in which only ID and Image are set.
THE_EMPTY_TASK = (
    b'{"ID":"6be4cb6b-61d1-40cb-bc7b-9cacefefa60c","State":1,'
    b'"Timestamp":"2024-02-29T23:59:59.123456789+01:00","Task":{'
    b'"ID":"21b23589-5d2d-4731-b5c9-a97e9832d021","ContainerID":"","Name":"","State":1,'
    b'"Image":"nginx:1","Cpu":0,"Memory":0,"Disk":0,"ExposedPorts":null,"HostPorts":null,'
    b'"PortBindings":null,"RestartPolicy":"","StartTime":"0001-01-01T00:00:00Z",'
    b'"FinishTime":"0001-01-01T00:00:00Z","HealthCheck":"","RestartCount":0}}'
)


def test_the_books_own_request_is_understood() -> None:
    event = wire.decode_event(THE_BOOK)
    assert (event.id, event.task_id, event.wants) == (EVENT_ID, TASK_ID, State.RUNNING)
    assert event.spec == Spec(name="test-chapter-5", image="strm/helloworld-http", cpu=1.0)


def test_what_go_writes_for_an_empty_task_is_understood() -> None:
    event = wire.decode_event(THE_EMPTY_TASK)
    assert event.spec == Spec(image="nginx:1")
    assert event.timestamp == pytest.approx(1709247599.123456, abs=1e-6)


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        pytest.param(None, None, id="null"),
        pytest.param("0001-01-01T00:00:00Z", None, id="Go's zero time"),
        pytest.param("0001-01-01T00:00:00+05:30", None, id="zero time, east"),
        pytest.param("1970-01-01T00:00:01Z", 1.0, id="whole seconds"),
        pytest.param("1970-01-01T00:00:00.000000999Z", 0.000001, id="nanoseconds"),
        pytest.param("1970-01-01T02:00:01+02:00", 1.0, id="another zone"),
        pytest.param("9999-12-31T23:59:59-23:59", 253402387139.0, id="the last moment there is"),
    ],
)
def test_a_timestamp_becomes_seconds_and_zero_becomes_none(
    timestamp: str | None, seconds: float | None
) -> None:
    assert wire.decode_event(a_body(Timestamp=timestamp)).timestamp == seconds


@pytest.mark.parametrize("state", [0, 1, 2])
def test_states_0_1_and_2_ask_to_run(state: int) -> None:
    assert wire.decode_event(a_body(State=state)).wants is State.RUNNING


@pytest.mark.parametrize("state", [0, 1, 2, 4])
def test_the_tasks_own_state_is_not_looked_at(state: int) -> None:
    assert wire.decode_event(a_body(task={"State": state})).wants is State.RUNNING


@pytest.mark.parametrize(
    "task",
    [
        pytest.param({"ID": TASK_ID}, id="only the ID"),
        pytest.param({"ID": TASK_ID, "State": 3, "Image": "NO IMAGE"}, id="a spec that is wrong"),
    ],
)
def test_a_stop_needs_only_the_tasks_id(task: dict[str, Any]) -> None:
    event = wire.decode_event(a_body(State=3, Task=task))
    assert (event.wants, event.task_id, event.spec) == (State.COMPLETED, TASK_ID, None)


WORKER_OWNED = (
    *("ContainerID", "HostPorts", "StartTime", "FinishTime", "ExitCode"),
    *("Reason", "Message", "Health", "RestartCount", "Attempt"),
)


@pytest.mark.parametrize("value", [None, "", 0, -1, "x", [1], {"a": [{}]}, True], ids=repr)
@pytest.mark.parametrize("field", WORKER_OWNED)
def test_what_the_worker_owns_is_accepted_and_ignored(field: str, value: object) -> None:
    assert wire.decode_event(a_body(task={field: value})) == wire.decode_event(a_body())


NULLABLE = sorted({*wire.TaskIn.__struct_encode_fields__} - {"ID", "Image"})


@pytest.mark.parametrize("field", NULLABLE)
def test_null_is_the_same_as_left_out(field: str) -> None:
    left_out = {"ID": TASK_ID, "Image": "nginx:1"}
    null = {**left_out, field: None}
    assert wire.decode_event(a_body(Task=null)) == wire.decode_event(a_body(Task=left_out))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(TASK_ID.upper(), id="upper case"),
        pytest.param(TASK_ID.replace("-", ""), id="without dashes"),
    ],
)
def test_a_uuid_has_one_form_however_it_was_written(written: str) -> None:
    assert wire.decode_event(a_body(task={"ID": written})).task_id == TASK_ID


EVERY_FIELD: dict[str, Any] = {
    "Name": "web",
    "Image": "registry.example:5000/team/app:1.2",
    "Command": ["sh", "-c", "echo ü"],
    "Entrypoint": ["/bin/env"],
    "Env": {"A": "1", "EMPTY": ""},
    "Cpu": 0.5,
    "Memory": 67108864,
    "PidsLimit": 100,
    "ExposedPorts": {"80/tcp": {}},
    "PortBindings": {"80/tcp": "8080"},
    "Mounts": [{"Source": "/srv", "Target": "/data", "ReadOnly": True}],
    "User": "1000:1000",
    "Labels": {"app": "web"},
    "Init": True,
    "RestartPolicy": "on-failure:3",
    "StopSignal": "SIGINT",
    "StopTimeout": 0,
    "Timeout": 3600,
    "PullPolicy": "never",
    "Generation": 7,
}


def test_every_field_arrives() -> None:
    event = wire.decode_event(a_body(task=EVERY_FIELD))
    assert event.generation == 7
    assert event.spec == Spec(
        name="web",
        image="registry.example:5000/team/app:1.2",
        command=("sh", "-c", "echo ü"),
        entrypoint=("/bin/env",),
        env={"A": "1", "EMPTY": ""},
        cpu=0.5,
        memory=67108864,
        pids_limit=100,
        exposed_ports=event.spec.exposed_ports if event.spec else {},
        port_bindings={"80/tcp": "8080"},
        mounts=(Mount(source="/srv", target="/data", read_only=True),),
        user="1000:1000",
        labels={"app": "web"},
        init=True,
        restart_policy="on-failure:3",
        stop_signal="SIGINT",
        stop_timeout=0,
        timeout=3600,
        pull_policy="never",
    )
    assert list(event.spec.exposed_ports) == ["80/tcp"]


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


NOT_YET = {
    "Disk": 1,
    "ReadOnlyRootfs": True,
    "CapAdd": ["NET_ADMIN"],
    "CapDrop": ["ALL"],
    "Network": "host",
    "HealthCheck": "/health",
    "StopAfterDisconnect": 60,
    "PullPolicy": "always",
}


@pytest.mark.parametrize("field", NOT_YET)
def test_what_comes_later_is_refused_and_never_ignored(field: str) -> None:
    with pytest.raises(NotSupported, match=rf"Task\.{field}: .*not supported yet") as caught:
        wire.decode_event(a_body(task={field: NOT_YET[field]}))
    assert caught.value.code == "not_supported"


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


# -- out -----------------------------------------------------------------------------------------

RAN = a_task(
    State.FAILED,
    asked={
        "cpu": 1.5,
        "memory": 2**40,
        "port_bindings": {"80/tcp": "8080"},
        "restart_policy": "always",
    },
    host_ports={"80/tcp": (HostPort(host_ip="0.0.0.0", host_port="8080"),)},
    container_id=CONTAINER,
    attempt=3,
    reason=Reason.OOM_KILLED,
    message="out of memory",
    exit_code=137,
    generation=4,
)


def told(task: Task) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(wire.encode_task(task))
    return fields


def test_a_report_holds_what_became_of_the_task() -> None:
    fields = told(RAN)
    assert fields["StartTime"] == datetime.fromtimestamp(NOW - 60, UTC).strftime("%FT%TZ")
    assert fields["HostPorts"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    wanted = {
        "ID": TASK_ID,
        "Generation": 4,
        "State": 4,
        "ContainerID": CONTAINER,
        "ExitCode": 137,
        "Reason": "oom_killed",
        "Message": "out of memory",
        "Health": "",
        "RestartCount": 2,
        "Attempt": 3,
    }
    assert {name: fields[name] for name in wanted} == wanted


def test_a_report_begins_with_the_id_and_holds_every_field_of_the_design() -> None:
    spec = {field for field in wire.TaskIn.__struct_encode_fields__ if field in EVERY_FIELD}
    owned = {*WORKER_OWNED, "State", "ID", "Generation"}
    later = {"Disk", "ReadOnlyRootfs", "CapAdd", "CapDrop", "Network", "HealthCheck"}
    fields = told(a_task())
    assert next(iter(fields)) == "ID"
    assert set(fields) == spec | owned | later


def test_what_the_worker_remembers_for_itself_is_not_reported() -> None:
    secret = a_task(State.RUNNING, ending=Ending(why=Why.STOPPED, since=NOW, signalled=1), due=NOW)
    assert not {"Wish", "Due", "Ending", "Started", "Failures", "Retries"} & set(told(secret))


@pytest.mark.parametrize("task", [a_task(), a_task(State.RUNNING), RAN], ids=["new", "runs", "ran"])
def test_a_cube_manager_can_decode_a_report(task: Task) -> None:
    """Each field that Cube's Go struct has is of the JSON type that Go decodes into it."""
    fields = told(task)
    for name in ("ID", "ContainerID", "Name", "Image", "RestartPolicy", "HealthCheck"):
        assert type(fields[name]) is str
    for name in ("State", "Memory", "Disk", "RestartCount"):
        assert type(fields[name]) is int
    assert type(fields["Cpu"]) is float
    for name in ("StartTime", "FinishTime"):  # null leaves Go's zero time
        assert fields[name] is None or datetime.fromisoformat(fields[name]).tzinfo is not None
    assert all(member == {} for member in fields["ExposedPorts"].values())
    assert all(type(port) is str for port in fields["PortBindings"].values())
    for bindings in fields["HostPorts"].values():
        assert all({*binding} == {"HostIp", "HostPort"} for binding in bindings)


def test_a_transition_has_the_fields_of_the_design() -> None:
    move = Transition(
        seq=7,
        task_id=TASK_ID,
        generation=2,
        attempt=3,
        from_=State.RUNNING,
        to=State.FAILED,
        time=0.25,
        reason=Reason.EXITED,
        message="exited with code 3",
        exit_code=3,
        container_id=CONTAINER,
    )
    assert json.loads(wire.encode_transition(move)) == {
        "Seq": 7,
        "TaskID": TASK_ID,
        "Generation": 2,
        "Attempt": 3,
        "From": 2,
        "To": 4,
        "Time": "1970-01-01T00:00:00.250000Z",
        "Reason": "exited",
        "Message": "exited with code 3",
        "ExitCode": 3,
        "ContainerID": CONTAINER,
    }


def test_an_error_has_the_three_fields_of_the_design() -> None:
    assert json.loads(wire.encode_error(404, "no such", "not_found")) == {
        "HTTPStatusCode": 404,
        "Message": "no such",
        "Code": "not_found",
    }


@pytest.mark.parametrize("items", [[], [b"1"], [b"1", b'{"a":2}']], ids=["none", "one", "two"])
def test_a_list_is_made_of_what_is_encoded_already(items: list[bytes]) -> None:
    assert json.loads(wire.encode_list(items)) == [json.loads(item) for item in items]
