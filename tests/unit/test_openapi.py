"""The OpenAPI document says what routes and types say, no more and no less."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from keelman import errors, openapi
from keelman.routes import Answer, Parameter, Route
from keelman.task import State
from keelman.wire import UNSAID, TaskReport, decode_event, encode_task
from keelman.worker.handlers import CONTRACT, ROUTES
from tests.unit.given import a_task
from tests.unit.given_wire import a_body

DOCUMENT: dict[str, Any] = json.loads(CONTRACT)
SCHEMAS = DOCUMENT["components"]["schemas"]


def is_a(name: str, value: object) -> bool:
    """Whether a value is what a schema of the document says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    return validator.is_valid(value)


# -- the document --------------------------------------------------------------------------------


def test_it_is_valid_openapi() -> None:
    """By the OpenAPI 3.1 schema, and every reference leads somewhere."""
    assert DOCUMENT["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    wanted = {
        part.partition('"')[0] for part in CONTRACT.decode().split('"#/components/schemas/')[1:]
    }
    assert wanted == set(SCHEMAS)


def test_what_is_no_openapi_is_found() -> None:
    """The check above can fail."""
    broken = json.loads(CONTRACT)
    del broken["paths"]["/livez"]["get"]["responses"]["200"]["description"]
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_route_is_in_it_and_no_other() -> None:
    """With a summary, and an ID that no other has."""
    operations = [
        (method.upper(), path, operation)
        for path, some in DOCUMENT["paths"].items()
        for method, operation in some.items()
    ]
    assert sorted((method, path) for method, path, _ in operations) == sorted(
        (route.method, route.path) for route in ROUTES
    )
    assert all(operation["summary"].endswith(".") for _, _, operation in operations)
    assert len({operation["operationId"] for _, _, operation in operations}) == len(operations)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_an_operation_is_what_its_route_says(route: Route[Any]) -> None:
    """Parameters, statuses, body."""
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    told = {(one["in"], one["name"]) for one in operation["parameters"]}
    in_path = {("path", "taskID")} if "{taskID}" in route.path else set()
    assert told == in_path | {(one.place, one.name) for one in route.parameters or ()}
    statuses = route.statuses | (set() if route.open else {401, 403})
    assert set(operation["responses"]) == {str(status) for status in statuses} | {"default"}
    assert operation.get("security") == ([] if route.open else None)
    assert ("requestBody" in operation) == (route.sent is not None)


def test_an_error_comes_with_its_codes_and_no_others() -> None:
    """Which a route says by naming the errors themselves."""

    def handler() -> None:
        """Do it."""

    route = Route(
        "GET",
        "/x",
        handler,
        (Answer(204, "done"),),
        refusals=(errors.Stopping, errors.UnknownTask, errors.TaskEnded),
    )
    answers = openapi.document([route])["paths"]["/x"]["get"]["responses"]
    assert list(answers) == ["204", "401", "403", "404", "409", "default"]
    _, codes = answers["409"]["content"]["application/json"]["schema"]["allOf"]
    assert codes["properties"]["Code"]["enum"] == ["stopping", "task_ended"]
    assert "content" not in answers["204"]


def test_who_asks_is_shown_by_a_token_or_a_certificate() -> None:
    """Or by nothing, where the operator named nobody; `/livez` alone is open to all."""
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {
        "token": "http",
        "certificate": "mutualTLS",
    }
    assert DOCUMENT["security"] == [{"token": []}, {"certificate": []}, {}]
    assert [route.path for route in ROUTES if route.open] == ["/livez"]


def test_a_parameter_that_may_be_repeated_is_a_list() -> None:
    """As clients that are made from the document send it."""

    def handler() -> None:
        """Do it."""

    words = Parameter("word", "one of many", {"type": "string"}, repeats=True)
    route = Route("GET", "/x", handler, (Answer(204, "done"),), parameters=(words,))
    (told,) = openapi.document([route])["paths"]["/x"]["get"]["parameters"]
    assert told["schema"] == {"type": "array", "items": {"type": "string"}}


# -- the types -----------------------------------------------------------------------------------


def test_names_and_limits_are_those_of_the_wire() -> None:
    """PascalCase, and what a type may hold."""
    task = SCHEMAS["TaskIn"]["properties"]
    assert {"ID", "PidsLimit", "ReadOnlyRootfs", "StopAfterDisconnect", "ContainerID"} <= set(task)
    (cpu, nothing) = task["Cpu"]["anyOf"]
    assert (cpu["type"], cpu["minimum"], cpu["maximum"]) == ("number", 0, 1_000_000)
    assert nothing == {"type": "null"}
    assert SCHEMAS["TaskIn"]["additionalProperties"] is False
    assert all(schema["description"] for schema in SCHEMAS.values())
    for state in State:
        assert f"{state.value} {state.name}" in SCHEMAS["State"]["description"]


@pytest.mark.parametrize(
    ("change", "sound"),
    [
        pytest.param({}, True, id="as it is"),
        pytest.param({"task": {"Labels": None, "Cpu": None, "Reason": 5}}, True, id="null"),
        pytest.param({"Timestamp": None}, True, id="no time"),
        pytest.param({"Timestamp": "0001-01-01T00:00:00Z"}, True, id="Go's zero time"),
        pytest.param({"task": {"Colour": "red"}}, False, id="an unknown field"),
        pytest.param({"Colour": "red"}, False, id="an unknown field of the event"),
        pytest.param({"task": {"ID": None}}, False, id="no ID"),
        pytest.param({"task": {"Memory": -1}}, False, id="below a limit"),
        pytest.param({"task": {"Memory": 2**63}}, False, id="above a limit"),
        pytest.param({"task": {"Command": "true"}}, False, id="a wrong type"),
        pytest.param({"task": {"ExposedPorts": {"80/tcp": {"a": 1}}}}, False, id="deep inside"),
        pytest.param({"State": 7}, False, id="no state"),
        pytest.param({"ID": "x"}, False, id="no UUID"),
    ],
)
def test_the_schema_takes_what_the_decoder_takes(change: dict[str, Any], sound: bool) -> None:
    """As far as types can tell."""
    body = a_body(**change)
    assert is_a("TaskEventIn", json.loads(body)) == sound
    if sound:
        decode_event(body)
    else:
        with pytest.raises(errors.BadRequest):
            decode_event(body)


def test_a_report_has_every_field() -> None:
    """A client need not ask whether one is there, but for what only a manager knows."""
    report = json.loads(encode_task(a_task(State.RUNNING)))
    assert is_a("TaskReport", report)
    names = {field.encode_name for field in msgspec.structs.fields(TaskReport)} - {*UNSAID}
    assert set(report) == names == set(SCHEMAS["TaskReport"]["required"])
    for name in names:
        assert not is_a("TaskReport", {key: report[key] for key in names - {name}}), name
