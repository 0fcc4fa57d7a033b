"""The API as an OpenAPI document, made of the route table and the types of the wire. PURE.

Nothing is said here that is not said there: paths, parameters, answers and summaries come from the
routes, schemas from the types, error codes from the errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from keelman.errors import KeelmanError
from keelman.routes import JSON, STRANGERS, Answer, Parameter, Route
from keelman.task import State
from keelman.wire import UNSAID, ErrorReport, TaskEventIn, TaskIn, TaskReport

VERSION = "1"
ABOUT = (
    "Hand a task to the worker, and from the moment it says 201 the task runs, stops and is"
    " reported truthfully. Decoding is strict; every path answers with and without a trailing"
    " slash. What the types do not say of a Task (names, ports, paths) is in the docs."
)
TASK_ID = Parameter(
    "taskID",
    "the task's ID, in any of a UUID's usual forms",
    {"type": "string", "format": "uuid"},
    place="path",
)
NODE = Parameter("node", "the node's name", {"type": "string"}, place="path")
REF = "#/components/schemas/{name}"
BUG = KeelmanError  # what any route may answer: 500 internal_error
# `null` stands for a field left out: it is what Go writes for an empty map.
NULL_IS_NOTHING = (TaskEventIn, TaskIn)
Json = dict[str, Any]
SCHEMES: Json = {
    "token": {"type": "http", "scheme": "bearer"},
    "certificate": {"type": "mutualTLS"},
}
EITHER: list[Json] = [{"token": []}, {"certificate": []}, {}]  # none: where nobody is named


def encoded(routes: Sequence[Route[Any]], title: str = "Keelman worker") -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(document(routes, title))


def document(routes: Sequence[Route[Any]], title: str = "Keelman worker") -> Json:
    """The whole API in OpenAPI 3.1."""
    types = [ErrorReport, TaskEventIn, TaskReport, *_types(routes)]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    known = {str(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": VERSION, "description": ABOUT},
        "paths": paths,
        "security": EITHER,
        "components": {"schemas": _as_spoken(components), "securitySchemes": SCHEMES},
    }


def _types(routes: Iterable[Route[Any]]) -> Iterator[Any]:
    for route in routes:
        yield from (answer.body for answer in route.answers if answer.body is not None)
        if route.sent is not None:
            yield route.sent


def _operation(route: Route[Any], known: Json) -> Json:
    operation: Json = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "parameters": [_parameter(one) for one in _parameters(route)],
        "responses": dict(_responses(route, known)),
    }
    if route.open:
        operation["security"] = []
    if route.sent is not None:
        content = {JSON: {"schema": known[str(route.sent)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route[Any]) -> list[Parameter]:
    in_path = [one for one in (TASK_ID, NODE) if f"{{{one.name}}}" in route.path]
    return [*in_path, *(route.parameters or ())]


def _parameter(one: Parameter) -> Json:
    schema = {"type": "array", "items": one.schema} if one.repeats else one.schema
    told = {"name": one.name, "in": one.place, "description": one.about, "schema": schema}
    return told | {"required": True} if one.place == "path" else told


def _responses(route: Route[Any], known: Json) -> Iterator[tuple[str, Json]]:
    for answer in route.answers:
        yield str(answer.status), _answer(answer, known)
    strangers = () if route.open else STRANGERS
    refusals = sorted((*strangers, *route.refusals), key=lambda error: error.status)
    for status in dict.fromkeys(error.status for error in refusals):
        codes = [error.code for error in refusals if error.status == status]
        yield str(status), _refusal(codes, known)
    yield "default", _refusal([BUG.code], known)


def _answer(answer: Answer, known: Json) -> Json:
    told: Json = {"description": answer.about}
    if answer.body is not None:
        told["content"] = {answer.media: {"schema": known[str(answer.body)]}}
    elif answer.media != JSON:
        told["content"] = {answer.media: {"schema": {"type": "string"}}}
    if answer.headers:
        told["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    return told


def _refusal(codes: Sequence[str], known: Json) -> Json:
    """An error's answer, which says with which codes."""
    code = {"properties": {"Code": {"enum": list(codes)}}}
    schema = {"allOf": [known[str(ErrorReport)], code]}
    return {"description": " or ".join(codes), "content": {JSON: {"schema": schema}}}


# -- what the types do not say -------------------------------------------------------------------


def _as_spoken(components: Json) -> Json:
    """The schemas, with what is done beyond the types: by the decoder, by the encoder."""
    for kind in NULL_IS_NOTHING:
        _allow_null(components[kind.__name__])
    report = components[TaskReport.__name__]
    report["required"] = [name for name in report["properties"] if name not in UNSAID]
    names = ", ".join(f"{state.value} {state.name}" for state in State)
    components[State.__name__]["description"] = f"Where a Task is: {names}."
    for schema in components.values():
        schema["description"] = re.sub(r"\s+", " ", schema.get("description", "")).strip()
    return components


def _allow_null(schema: Json) -> None:
    for name, field in schema["properties"].items():
        if name not in schema.get("required", ()) and field:
            schema["properties"][name] = {"anyOf": [field, {"type": "null"}]}
