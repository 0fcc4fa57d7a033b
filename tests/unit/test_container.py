"""A Task and the engine's JSON mean the same, there and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelman.ending import Ending, Why
from keelman.runtime import Row
from keelman.runtime.container import (
    asked_ports,
    body_of,
    create_body,
    epoch,
    row_of,
    tagged,
    task_in_event,
    task_of,
)
from keelman.runtime.marks import Mark, by_attempt, container_name, labels_for, mark_of, rename_from
from keelman.runtime.told import Inspect, inspect_of, words_of
from keelman.seen import Absent, Body, Created, Exited, Refused, Running, Unknown
from keelman.task import HostPort, Reason, Spec, Task
from keelman.values import INT64_MAX

ID = "c" * 64
TASK = Task(
    id="11111111-1111-4111-8111-111111111111",
    spec=Spec(image="busybox:1", command=("sleep", "1"), env={"KEY": "s3cret=x", "EMPTY": ""}),
    generation=3,
)
NAME = container_name("w-1", TASK.id, 2)
LABELS = labels_for("w-1", TASK, 2)
ZERO = "0001-01-01T00:00:00Z"
START, END = "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:06Z"
STARTED, ENDED = 1767323045.123456, 1767323046.0


def an_inspect(
    state: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **more: object
) -> Inspect:
    """As an engine tells it, nulls and all."""
    told = {
        "Id": ID,
        "Name": f"/{NAME}",
        "Created": "2026-01-02T03:04:04.5Z",
        "Path": "sleep",
        "State": {"Status": "created", "StartedAt": ZERO, "FinishedAt": ZERO} | (state or {}),
        "Config": {"Labels": LABELS if labels is None else labels, "Env": None},
        "HostConfig": {"PortBindings": None},
        "NetworkSettings": {"Ports": None},
    }
    return inspect_of(told | more)


# -- a Task in the engine's words ----------------------------------------------------------------


def test_a_name_tells_worker_task_and_attempt() -> None:
    assert f"keelman-w-1-{TASK.id}-2" == NAME


def test_labels_hold_the_whole_spec_but_no_value_of_env() -> None:
    assert LABELS["keelman.worker"] == "w-1"
    assert LABELS["keelman.task"] == TASK.id
    assert (LABELS["keelman.attempt"], LABELS["keelman.generation"]) == ("2", "3")
    assert LABELS["keelman.spec-hash"] == TASK.spec.digest()
    shown = json.loads(LABELS["keelman.spec"])
    assert shown["Env"] == {"KEY": "", "EMPTY": ""}
    assert shown["Command"] == ["sleep", "1"]
    assert "s3cret" not in str(LABELS)


def test_our_labels_win_over_a_tasks_own() -> None:
    task = TASK.but(spec=Spec(image="i", labels={"keelman.worker": "another", "mine": "1"}))
    labels = create_body("w-1", task, 1)["Labels"]
    assert (labels["keelman.worker"], labels["mine"]) == ("w-1", "1")


def test_a_body_has_env_as_pairs_and_nothing_that_was_not_asked_for() -> None:
    body = create_body("w-1", TASK, 2)
    assert body["Env"] == ["KEY=s3cret=x", "EMPTY="]
    assert body["Entrypoint"] is None
    assert body["StopSignal"] is None
    assert json.dumps(body)


@pytest.mark.parametrize(
    ("asked", "usual", "limit"), [(0, 4096, 4096), (0, 0, None), (20, 4096, 20), (9000, 10, 9000)]
)
def test_a_spec_has_the_last_word_on_its_processes(asked: int, usual: int, limit: int) -> None:
    body = create_body("w-1", TASK.but(spec=Spec(image="i", pids_limit=asked)), 1, usual)
    assert body["HostConfig"]["PidsLimit"] == limit


def test_every_body_forbids_new_privileges_and_bounds_the_log() -> None:
    host = create_body("w-1", TASK, 1)["HostConfig"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["LogConfig"]["Type"] == "json-file"
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert "Privileged" not in host


@pytest.mark.parametrize(("memory", "score"), [(0, 1000), (1, 500)])
def test_who_asked_for_no_memory_is_killed_first_and_all_before_the_worker(
    memory: int, score: int
) -> None:
    body = create_body("w-1", TASK.but(spec=Spec(image="i", memory=memory)), 1)
    assert body["HostConfig"]["OomScoreAdj"] == score


def test_what_every_container_gets_is_in_no_label() -> None:
    """So containers of a worker that gave it not, or another limit, stay ours."""
    bodies = [create_body("w-1", TASK, 1, usual) for usual in (0, 10)]
    assert bodies[0]["HostConfig"] != bodies[1]["HostConfig"]
    assert bodies[0]["Labels"] == bodies[1]["Labels"]


@pytest.mark.parametrize(
    ("cores", "nano"), [(0.0, 0), (0.01, 10_000_000), (0.29, 290_000_000), (2.01, 2_010_000_000)]
)
def test_cores_are_rounded_to_whole_billionths(cores: float, nano: int) -> None:
    body = create_body("w", TASK.but(spec=Spec(image="i", cpu=cores)), 1)
    assert body["HostConfig"]["NanoCpus"] == nano


def test_a_port_that_is_exposed_and_bound_is_named_once() -> None:
    spec = msgspec.convert(
        {
            "ExposedPorts": {"1/tcp": {}, "2/udp": {}},
            "PortBindings": {"2/udp": "22", "3/tcp": "33"},
        },
        Spec,
    )
    body = create_body("w", TASK.but(spec=spec), 1)
    assert body["ExposedPorts"] == {"1/tcp": {}, "2/udp": {}, "3/tcp": {}}
    numbers = {
        port: binding["HostPort"] for port, (binding,) in body["HostConfig"]["PortBindings"].items()
    }
    assert numbers == {"1/tcp": "", "2/udp": "22", "3/tcp": "33"}


@pytest.mark.parametrize(
    ("image", "meant"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1", "busybox:1"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("host:5000/a/b:2", "host:5000/a/b:2"),
        ("a@sha256:" + "0" * 64, "a@sha256:" + "0" * 64),
        ("host:1/a:1@sha256:" + "0" * 64, "host:1/a:1@sha256:" + "0" * 64),
    ],
)
def test_no_tag_means_latest(image: str, meant: str) -> None:
    assert tagged(image) == meant


# -- whose container it is -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "changed"),
    [
        (["/another"], {}),
        ([], {}),
        ([f"/{NAME}"], {"keelman.attempt": "3"}),
        ([f"/{NAME[:-1]}02"], {}),
        ([f"/{NAME[:-1]}\u0662"], {}),
        ([f"/{NAME[:-1]}-3"], {}),
        ([f"/{NAME[:-1]}"], {}),
        ([f"/{NAME[:-1]}9223372036854775808"], {}),
        ([f"/{NAME[:-1]}{'9' * 20}"], {}),
        ([f"/{NAME}"], {"keelman.attempt": "two"}),
        ([f"/{NAME}"], {"keelman.worker": "w"}),
        ([f"/{NAME}"], {"keelman.task": "another"}),
        ([f"/{NAME}"], {"keelman.generation": ""}),
    ],
    ids=str,
)
def test_a_name_that_labels_do_not_agree_with_is_not_ours(
    names: list[str], changed: dict[str, str]
) -> None:
    assert mark_of(names, LABELS | changed) is None


@pytest.mark.parametrize("missing", ["worker", "task", "attempt", "generation"])
def test_without_each_label_it_is_not_ours(missing: str) -> None:
    labels = {key: value for key, value in LABELS.items() if key != f"keelman.{missing}"}
    assert mark_of([NAME], labels) is None


@pytest.mark.parametrize("names", [[NAME], [f"/{NAME}"], ["/linked/alias", f"/{NAME}"]], ids=str)
def test_one_of_its_names_is_enough(names: list[str]) -> None:
    mark = Mark(
        worker="w-1", task_id=TASK.id, attempt=2, generation=3, spec_hash=TASK.spec.digest()
    )
    assert mark_of(names, LABELS) == mark


@pytest.mark.parametrize("attempt", [2, 3, 10, INT64_MAX])
def test_the_attempt_is_what_the_name_says_and_no_less_than_the_labels(attempt: int) -> None:
    """A container whose start was given up as unanswered has the name of a later attempt."""
    name = container_name("w-1", TASK.id, attempt)
    mark = mark_of([f"/{name}"], LABELS)
    assert mark is not None
    assert mark.attempt == attempt
    body = body_of(an_inspect(Name=f"/{name}"))
    assert isinstance(body, Created)
    assert body.attempt == attempt
    row = row_of({"Id": ID, "Names": [f"/{name}"], "Labels": LABELS})
    assert row is not None
    assert row.attempt == attempt


@pytest.mark.parametrize(
    ("name", "known", "attempt"),
    [
        pytest.param("somebody-s", 2, 2, id="made for this attempt"),
        pytest.param("somebody-s", 3, 3, id="renamed by us, then by somebody"),
        pytest.param(container_name("w-1", TASK.id, 3), 2, 3, id="renamed by us, not recorded yet"),
        pytest.param(container_name("w-1", TASK.id, 2), 3, 3, id="given its old name again"),
    ],
)
def test_a_known_container_is_the_one_of_the_attempt_on_record_or_of_a_later_one(
    name: str, known: int, attempt: int
) -> None:
    task = TASK.but(attempt=known, container_id=ID)
    body = body_of(an_inspect(Name=f"/{name}"), known=task)
    assert isinstance(body, Created)
    assert body.attempt == attempt
    row = row_of({"Id": ID, "Names": [f"/{name}"], "Labels": LABELS}, task)
    assert row is not None
    assert row.attempt == attempt


def test_another_container_than_the_one_on_record_is_known_by_its_name_only() -> None:
    task = TASK.but(attempt=9, container_id="d" * 64)
    assert isinstance(body_of(an_inspect(Name="/another"), known=task), Unknown)
    body = body_of(an_inspect(), known=task)
    assert isinstance(body, Created)
    assert body.attempt == 2


@pytest.mark.parametrize(
    ("name", "address"),
    [
        pytest.param(NAME, NAME, id="ours: a late request finds nothing by it"),
        pytest.param(container_name("w-1", TASK.id, 3), "", id="so already"),
        pytest.param(container_name("w-1", TASK.id, 4), "", id="further already"),
        pytest.param("somebody-s", ID, id="renamed by somebody"),
    ],
)
def test_a_rename_goes_by_the_name_that_it_takes_away(name: str, address: str) -> None:
    assert rename_from(an_inspect(Name=f"/{name}"), "w-1", TASK.id, 3) == address


def test_a_renamed_task_is_rebuilt_under_its_last_name() -> None:
    """No name is used twice; and it was never restarted."""
    labels = labels_for("w-1", TASK, 1)
    back = task_of(an_inspect(labels=labels))
    assert back is not None
    assert (back.attempt, back.started, back.renames, back.restart_count) == (2, 2, 1, 0)


@pytest.mark.parametrize(
    ("state", "live"),
    [
        ("running", True),
        ("paused", True),
        ("restarting", True),
        ("created", False),
        ("exited", False),
        ("dead", False),
        ("removing", False),
    ],
)
def test_a_row_tells_whether_it_lives(state: str, live: bool) -> None:
    told = {"Id": ID, "Names": [f"/{NAME}"], "Labels": LABELS, "State": state, "Ports": []}
    assert row_of(told) == Row(container_id=ID, worker="w-1", task_id=TASK.id, attempt=2, live=live)


def test_a_strangers_row_is_none() -> None:
    assert row_of({"Id": ID, "Names": None, "Labels": None, "State": "running"}) is None


@pytest.mark.parametrize(
    ("line", "task_id"),
    [
        ({"Action": "die", "Actor": {"ID": ID, "Attributes": LABELS}}, TASK.id),
        ({"Action": "exec_die", "Actor": {"Attributes": LABELS}}, None),
        ({"Action": "die", "Actor": {"Attributes": None}}, None),
        ({}, None),
    ],
)
def test_an_event_tells_which_task_moved(line: dict[str, Any], task_id: str | None) -> None:
    assert task_in_event(json.dumps(line).encode()) == task_id


# -- what the worker may know --------------------------------------------------------------------


def created(refused: Refused | None = None) -> Created:
    return Created(container_id=ID, attempt=2, refused=refused)


def refused(reason: Reason, exit_code: int | None = None) -> Created:
    return created(Refused(reason=reason, message="words", exit_code=exit_code))


BODIES: dict[str, tuple[dict[str, Any], list[str], Body]] = {
    "created": ({}, [], created()),
    "created, a port taken": ({}, ["80/tcp"], created()),
    "not found": (
        {"Error": "words", "ExitCode": 127},
        ["80/tcp"],
        refused(Reason.COMMAND_NOT_FOUND, 127),
    ),
    "no program": (
        {"Error": " words\n", "ExitCode": 126},
        [],
        refused(Reason.COMMAND_NOT_EXECUTABLE, 126),
    ),
    "port taken": ({"Error": "words", "ExitCode": 128}, ["80/tcp"], refused(Reason.PORT_TAKEN)),
    "refused": ({"Error": "words", "ExitCode": 128}, [], refused(Reason.START_REFUSED)),
    "its text decides nothing": (
        {"Error": "port is already allocated", "ExitCode": 0},
        [],
        created(Refused(reason=Reason.START_REFUSED, message="port is already allocated")),
    ),
    "running": (
        {"Status": "running", "StartedAt": START},
        [],
        Running(container_id=ID, attempt=2, since=STARTED),
    ),
    "paused": (
        {"Status": "paused", "StartedAt": START},
        [],
        Running(container_id=ID, attempt=2, since=STARTED),
    ),
    "exited": (
        {"Status": "exited", "StartedAt": START, "FinishedAt": END, "ExitCode": 3},
        [],
        Exited(container_id=ID, attempt=2, code=3, since=STARTED, until=ENDED),
    ),
    "out of memory": (
        {"Status": "exited", "StartedAt": START, "FinishedAt": END, "OOMKilled": True},
        [],
        Exited(container_id=ID, attempt=2, code=0, oom=True, since=STARTED, until=ENDED),
    ),
    "ended before it began": (  # two clocks' readings, a real engine's
        {"Status": "exited", "StartedAt": END, "FinishedAt": START},
        [],
        Exited(container_id=ID, attempt=2, code=0, since=ENDED, until=ENDED),
    ),
    "dead": (
        {"Status": "dead", "FinishedAt": END},
        [],
        Exited(container_id=ID, attempt=2, code=0, since=0.0, until=ENDED),
    ),
    "removing": ({"Status": "removing"}, [], Unknown(why="the engine says removing")),
    "restarting": ({"Status": "restarting"}, [], Unknown(why="the engine says restarting")),
}


@pytest.mark.parametrize(("state", "taken", "body"), BODIES.values(), ids=BODIES)
def test_a_state_is_seen_as(state: dict[str, Any], taken: list[str], body: Body) -> None:
    if not isinstance(body, Absent | Unknown):
        body = msgspec.structs.replace(body, spec_hash=TASK.spec.digest())
    assert body_of(an_inspect(state), taken) == body


def test_what_is_not_ours_is_unknown() -> None:
    assert isinstance(body_of(an_inspect(labels={})), Unknown)


def test_only_published_ports_are_told() -> None:
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "81/tcp": None, "82/tcp": []}
    body = body_of(an_inspect({"Status": "running"}, NetworkSettings={"Ports": ports}))
    assert isinstance(body, Running)
    assert body.host_ports == {"80/tcp": (HostPort(host_ip="0.0.0.0", host_port="32768"),)}


def test_the_ports_that_were_asked_for_are_those_with_a_number() -> None:
    bindings = {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "", "HostPort": "53"}, {"HostIp": "", "HostPort": ""}],
        "81/tcp": [{"HostIp": "", "HostPort": "0"}],
        "82/tcp": None,
    }
    asked = asked_ports(an_inspect(HostConfig={"PortBindings": bindings}))
    assert asked == [("127.0.0.1", 8080, "tcp"), ("", 53, "udp")]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-02T03:04:05.123456789Z", 1767323045.123456),
        ("2026-01-02T03:04:05.1Z", 1767323045.1),
        ("2026-01-02T05:04:05+02:00", 1767323045.0),
        (ZERO, 0.0),
        ("", 0.0),
        ("yesterday", 0.0),
        ("1969-12-31T23:59:59Z", 0.0),
    ],
)
def test_a_timestamp_is_seconds_since_the_epoch_or_nothing(text: str, seconds: float) -> None:
    assert epoch(text) == pytest.approx(seconds, abs=1e-6)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_no_timestamp_is_too_strange(text: str) -> None:
    assert epoch(text) >= 0


# -- a Task from a container ---------------------------------------------------------------------

ENV = ["PATH=/bin", "KEY=s3cret=x", "EMPTY=", "NOT_A_PAIR", "EXTRA=1"]


def rebuilt(state: dict[str, Any], labels: dict[str, str] = LABELS) -> Task | None:
    return task_of(an_inspect(state, Config={"Labels": labels, "Env": ENV}))


def test_a_task_comes_back_with_its_secrets_and_no_other_env() -> None:
    assert rebuilt({"Status": "running"}) == Task(
        id=TASK.id,
        spec=TASK.spec,
        generation=3,
        attempt=2,
        started=2,
        container_id=ID,
    )


@pytest.mark.parametrize(
    ("state", "ending"),
    [
        ({"Status": "running"}, None),
        ({"Status": "paused"}, None),
        ({"Status": "created"}, None),
        ({"Status": "exited", "FinishedAt": END}, Ending(why=Why.ADOPTED, since=ENDED)),
        ({"Status": "dead", "FinishedAt": END}, Ending(why=Why.ADOPTED, since=ENDED)),
    ],
    ids=str,
)
def test_only_what_ran_and_ended_comes_back_as_ended(
    state: dict[str, Any], ending: Ending | None
) -> None:
    task = rebuilt(state)
    assert task is not None
    assert task.ending == ending


@pytest.mark.parametrize(
    "label",
    ["", "no json", "[]", '{"Image": 7}', '{"Env": {"A": null}}'],
)
def test_a_spec_that_cannot_be_read_is_no_task(label: str) -> None:
    assert rebuilt({}, LABELS | {"keelman.spec": label}) is None


def test_a_field_that_a_newer_worker_wrote_is_passed_over() -> None:
    newer = json.dumps(json.loads(LABELS["keelman.spec"]) | {"Nice": 5})
    task = rebuilt({}, LABELS | {"keelman.spec": newer})
    assert task is not None
    assert task.spec == TASK.spec


def test_a_copys_task_is_none() -> None:
    assert task_of(an_inspect(Name="/another")) is None
    assert task_of(an_inspect(labels={})) is None


text = st.characters(codec="utf-8", exclude_characters="\0")


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.text(text.filter(lambda one: one != "="), min_size=1), st.text(text)))
def test_any_env_comes_back(env: dict[str, str]) -> None:
    task = TASK.but(spec=Spec(image="i", env=env))
    body = create_body("w-1", task, 2)
    back = task_of(an_inspect(Config={"Labels": body["Labels"], "Env": body["Env"]}))
    assert back is not None
    assert back.spec == task.spec


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b'{"message": "no such container"}', "no such container"), (b"<html>\xff", "<html>\ufffd")],
)
def test_an_errors_words_are_the_engines_or_a_proxys(answer: bytes, words: str) -> None:
    assert words_of(answer) == words


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("keelman.task", "hello"),
        ("keelman.attempt", "-1"),
        ("keelman.attempt", "0"),
        ("keelman.attempt", "many"),
        ("keelman.generation", "-1"),
        ("keelman.generation", "9" * 23),
    ],
)
def test_labels_that_no_worker_would_write_are_nobodys(label: str, value: str) -> None:
    labels = {**LABELS, label: value}
    name = f"keelman-w-1-{labels['keelman.task']}-{labels['keelman.attempt']}"
    assert mark_of([name], labels) is None


def test_a_forged_spec_is_not_rebuilt() -> None:
    """No worker accepted it, and the rules could not even read it."""
    forged = LABELS | {"keelman.spec": '{"Image": "busybox:1", "RestartPolicy": "on-failure:x"}'}
    assert task_of(an_inspect(labels=forged)) is None


@pytest.mark.parametrize(
    ("live", "order"),
    [
        pytest.param(True, ["older", "late", "newer", "known"], id="it lives"),
        pytest.param(False, ["older", "late", "known", "newer"], id="it has ended"),
    ],
)
def test_the_container_on_record_is_the_last_while_it_lives(live: bool, order: list[str]) -> None:
    """Somebody renamed it, and a create that had been given up was done at last."""
    rows = [
        Row(container_id=container_id, worker="w", task_id="t", attempt=attempt, live=live)
        for container_id, attempt in (("known", 1), ("late", 1), ("newer", 2), ("older", 0))
    ]
    assert [row.container_id for row in by_attempt(rows, "known")] == order
