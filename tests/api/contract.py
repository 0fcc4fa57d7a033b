"""The contract as it is served: whatever a test is answered must be in it."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
from aiohttp import ClientSession, TraceConfig, TraceRequestEndParams

from keelman.worker.handlers import CONTRACT, ROUTES

DOCUMENT: dict[str, Any] = json.loads(CONTRACT)
METHODS = {(route.method, route.path) for route in ROUTES}
PATHS = {re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "/?"): path for path in DOCUMENT["paths"]}
BUG = (500, "internal_error")


def _of_the_document(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A schema of the document, with all that it may refer to."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


VALIDATORS = {
    (path, method.upper(), status): _of_the_document(content["application/json"]["schema"])
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for status, answer in operation["responses"].items()
    if "application/json" in (content := answer.get("content", {}))
}


def watching() -> TraceConfig:
    """Holds a session's answers to the contract as they begin: streams never end."""

    async def answered(
        _session: ClientSession, _context: object, params: TraceRequestEndParams
    ) -> None:
        answer = params.response
        check(params.method, answer.url.raw_path, answer.status, answer.content_type)

    trace = TraceConfig()
    trace.on_request_end.append(answered)
    return trace


def check(method: str, path: str, status: int, kind: str, body: bytes | None = None) -> None:
    """An answer is one that its route documents: its status, its media type, its form."""
    where = path_of(path)
    if (method, where) not in METHODS:
        assert status in (404, 405), f"{method} {path} is no route and answered {status}"
        return
    answers = DOCUMENT["paths"][where][method.lower()]["responses"]
    documented = str(status) if str(status) in answers else "default"
    media = answers[documented].get("content", {})
    assert (kind in media) if media else not body, f"{method} {where} {status}: {kind}"
    if body is not None and (validator := VALIDATORS.get((where, method, documented))) is not None:
        validator.validate(json.loads(body))  # "default" is for bugs only: its code says so


def path_of(path: str) -> str | None:
    """The documented path that a request's path is one of."""
    bare = path.partition("?")[0]
    return next((known for pattern, known in PATHS.items() if pattern.fullmatch(bare)), None)
