"""The API keeps its contract, whatever is sent that the contract allows, and much that it does not.

Beyond this, every answer that any other test here gets is held to it (`contract`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from msgspec import Struct
from msgspec.structs import replace
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from keelman.runtime.fake import FakeEngine
from keelman.worker import Credentials
from tests.api import contract
from tests.api.conftest import Served
from tests.api.test_access import guarded
from tests.fuzzing import drawn, times
from tests.unit.given_credentials import OLD, OTHER, Folder, secret

CASES, FEWER_CASES = times(60), times(15)
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


def cases_of(label: str, number: int = CASES) -> list[AnyCase]:
    """Some of what the document allows to be sent."""
    return drawn(OPERATIONS[label].as_strategy(), number)


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


class Visitor(Struct, frozen=True):
    """Who asks a worker that does not let in everybody, and how."""

    scheme: str
    token: str = ""
    name: str = ""
    is_let_in: bool = True

    def call(self, case: AnyCase, served: Served, folder: Folder) -> int:
        """The status of an answer that keeps the contract."""
        how: dict[str, Any] = {"headers": {"Authorization": f"Bearer {self.token}"}}
        if self.scheme == "https":
            how["verify"] = str(folder.ca)
        if self.name:
            how = {"verify": str(folder.ca), "cert": tuple(map(str, folder.issue(self.name)))}
        address = f"{self.scheme}://127.0.0.1:{served.api.port}"
        return case.call_and_validate(base_url=address, checks=CHECKS, **how).status_code


VISITORS = [
    pytest.param(Visitor("http", token=OLD), id="a token"),
    pytest.param(Visitor("http", token=OTHER, is_let_in=False), id="a wrong token"),
    pytest.param(Visitor("https", token=OLD), id="a token over TLS"),
    pytest.param(Visitor("https", name="manager-1"), id="a certificate"),
    pytest.param(Visitor("https", name="node-1", is_let_in=False), id="another certificate"),
]


@pytest.mark.parametrize("visitor", VISITORS)
async def test_the_contract_is_kept_where_not_everybody_is_let_in(
    tmp_path: Path, engine: FakeEngine, visitor: Visitor
) -> None:
    folder = Folder(tmp_path / "certs")
    given = Credentials(token_file=secret(tmp_path / "tokens", f"manager-1 {OLD}\n"))
    if visitor.scheme == "https":
        cert, key = folder.issue("node-9")
        given = replace(given, tls_cert=cert, tls_key=key)
        given = replace(given, tls_ca=folder.ca, allow_client=("manager-1",))
    async with guarded(tmp_path, engine, given) as served:
        for label in sorted(set(OPERATIONS) - ENDLESS):
            for case in cases_of(label, FEWER_CASES):
                if "wait" in case.query:
                    case.query["timeout"] = 0
                await asyncio.to_thread(visitor.call, case, served, folder)
        shut_out = [line for line in served.callers if line.endswith((" 401", "node-1 403"))]
    assert bool(shut_out) is not visitor.is_let_in


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
