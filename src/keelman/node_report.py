"""Nodes as they are told of, and as they are asked for. PURE."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from keelman.errors import BadField, Malformed
from keelman.machine import Resources
from keelman.values import Value
from keelman.wire import field_words

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
LabelKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_./-]{0,254}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, Meta(max_length=256)]


class NodeIn(Value, frozen=True, kw_only=True):
    """A node as it is asked for."""

    name: Name
    url: str = msgspec.field(name="URL")
    labels: dict[LabelKey, LabelValue] = msgspec.field(default_factory=dict)


class NodeReport(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A node as it is told of. Read leniently: a newer manager may say more.

    `heard` is when it last answered; `trouble` why nothing is placed there, "" when something may.
    """

    name: str
    url: str = msgspec.field(name="URL")
    labels: dict[str, str]
    status: str
    use: str
    trouble: str
    worker: str
    version: str
    heard: datetime
    tasks: tuple[str, ...]
    capacity: Resources
    left: Resources


def decode_node(body: bytes) -> NodeIn:
    """A node from a request's body. Raises: Malformed, BadField."""
    try:
        return msgspec.json.decode(body, type=NodeIn)
    except msgspec.ValidationError as error:
        raise BadField(field_words(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not JSON: {error}") from error
