"""The API keeps its contract, whatever is sent that the contract allows, and much that it does not.

Beyond this, every answer that any other test here gets is held to it (`contract`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api import contract
from tests.api.conftest import Served

CASES = 60
AnyCase = Case[Any]
CHECKS = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_headers_conformance, response_schema_conformance),
]
ENDLESS = {"GET /events"}
DOCUMENTED = schemathesis.openapi.from_dict(contract.DOCUMENT)
OPERATIONS = {
    f"{method.upper()} {path}": DOCUMENTED[path][method.upper()]
    for path, methods in contract.DOCUMENT["paths"].items()
    for method in methods
}


def cases_of(label: str) -> list[AnyCase]:
    """Some of what the document allows to be sent, the same in every run."""
    found: list[AnyCase] = []

    @settings(
        max_examples=CASES,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(OPERATIONS[label].as_strategy())
    def collect(case: AnyCase) -> None:
        found.append(case)

    collect()
    return found


async def test_it_is_served_as_it_is(served: Served) -> None:
    for path in ("/openapi.json", "/openapi.json/"):
        answer = await served.get(path)
        assert (answer.status, answer.json) == (200, contract.DOCUMENT)


@pytest.mark.parametrize("label", sorted(set(OPERATIONS) - ENDLESS))
async def test_what_the_contract_allows_is_answered_as_it_says(served: Served, label: str) -> None:
    """Half of what is asked about a task is asked about one that is there."""
    task_id = await served.has_run("talk-and-fail")
    address = f"http://127.0.0.1:{served.api.port}"
    for number, case in enumerate(cases_of(label)):
        if "taskID" in case.path_parameters and number % 2:
            case.path_parameters["taskID"] = task_id
        if "wait" in case.query:
            case.query["timeout"] = 0
        await asyncio.to_thread(case.call_and_validate, base_url=address, checks=CHECKS)


def test_an_answer_that_is_not_in_the_contract_is_found() -> None:
    """The net under all other tests here has no hole."""
    error = b'{"HTTPStatusCode":%d,"Message":"x","Code":"%s"}'
    contract.check("GET", "/tasks?limit=1", 200, "application/json", b"[]")
    contract.check("GET", "/tasks/", 400, "application/json", error % (400, b"bad_field"))
    contract.check("GET", "/tasks", 500, "application/json", error % (500, b"internal_error"))
    for status, kind, body in (
        (201, "application/json", b"[]"),
        (200, "text/plain", b"[]"),
        (200, "application/json", b"{}"),
        (200, "application/json", b'[{"ID":"x"}]'),
        (400, "application/json", error % (400, b"malformed")),
        (404, "application/json", error % (404, b"unknown_task")),
        (500, "application/json", error % (500, b"engine_error")),
    ):
        with pytest.raises((AssertionError, ValueError)):
            contract.check("GET", "/tasks", status, kind, body)
    with pytest.raises(AssertionError):
        contract.check("GET", "/nowhere", 200, "application/json", b"{}")
