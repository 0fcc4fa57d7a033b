"""What all values have in common: frozen, strict, PascalCase in JSON. PURE."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

INT64_MAX = 2**63 - 1
_WIRE_NAMES = {
    "id": "ID",
    "task_id": "TaskID",
    "event_id": "EventID",
    "container_id": "ContainerID",
}


def wire_name(field: str) -> str:
    """The PascalCase name that a field has in JSON."""
    return _WIRE_NAMES.get(field) or "".join(part.capitalize() for part in field.split("_"))


class Value(Struct, frozen=True, forbid_unknown_fields=True, rename=wire_name):
    """The base of all values: frozen, strict, PascalCase in JSON."""


Amount = Annotated[int, Meta(ge=0, le=INT64_MAX)]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]


def digest(value: object) -> str:
    """A sha256 over a value's JSON with sorted keys."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
