"""The wire: what is let in, and what goes out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keelman import wire
from keelman.ending import Ending, Why
from keelman.task import HostPort, Mount, Reason, Spec, State, Task, Transition
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
    *("Reason", "Message", "Health", "RestartCount", "Attempt", "Pull"),
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
