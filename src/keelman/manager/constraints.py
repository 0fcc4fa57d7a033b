"""Constraints: on which nodes a task may be, by their names and labels. PURE.

`node.name==a`, `node.name!=a`, `node.labels.zone==eu`, `node.labels.zone!=eu`. Names and values are
compared as they are written, capitals and all. A node without the label is not equal to anything:
`==` refuses it, `!=` lets it be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from keelman.errors import BadField

NAME = "node.name"
LABELS = "node.labels."
CONSTRAINTS_MOST = 64
_LONGEST = 1024
_TEXT = re.compile(r"([^=!]*?) *(==|!=) *(.*)\Z")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?\Z")
_VALUE = re.compile(r"[^\x00-\x20\x7f=!]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?\Z")
_EXAMPLES = "such as node.labels.zone==eu or node.name!=node-1"


class Constraint(Struct, frozen=True, kw_only=True):
    """One condition on a node: what `key` names is, or is not, `value`."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key}{'==' if self.equal else '!='}{self.value}"

    def allows(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node with this name and these labels is one of those meant."""
        return (self._of(name, labels) == self.value) is self.equal

    def objection(self, name: str, labels: Mapping[str, str]) -> str:
        """Why such a node is none of those meant; empty when it is one."""
        if self.allows(name, labels):
            return ""
        asked, has = f"{self} is asked for", self._of(name, labels)
        if self.key == NAME or not self.equal:
            return asked
        return f"{asked}, and it has no such label" if has is None else f"{asked}, and it is {has}"

    def _of(self, name: str, labels: Mapping[str, str]) -> str | None:
        return name if self.key == NAME else labels.get(self.key.removeprefix(LABELS))


def parse(text: str) -> Constraint:
    """A constraint as it is written. Raises: BadField, with what would be right."""
    found = _TEXT.match(text.strip(" "))
    if found is None or len(text) > _LONGEST:
        raise _bad(text, f"is no constraint {_EXAMPLES}")
    key, sign, value = found.groups()
    if wrong := _wrong_key(key) or _wrong_value(sign, value):
        raise _bad(text, wrong)
    return Constraint(key=key, equal=sign == "==", value=value)


def parse_all(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """All constraints of a task, each once, in an order that does not hang on theirs.

    Raises: BadField.
    """
    listed = list(texts)
    if len(listed) > CONSTRAINTS_MOST:
        raise BadField(f"Task.Constraints: {len(listed)} are more than {CONSTRAINTS_MOST}")
    return tuple(sorted({parse(text) for text in listed}, key=str))


def _wrong_key(key: str) -> str:
    if key == NAME or (key.startswith(LABELS) and _LABEL.match(key.removeprefix(LABELS))):
        return ""
    if key.startswith(LABELS):
        return f"has no name of a label after {LABELS}: letters, digits and _ . / - are allowed"
    return f"must begin with {NAME} or {LABELS}KEY, not with {key[:80]!r}"


def _wrong_value(sign: str, value: str) -> str:
    if not value:
        return f"says nothing after {sign}"
    if not _VALUE.match(value):
        return f"has after {sign} what is no name or value of a label"
    return ""


def _bad(text: str, words: str) -> BadField:
    return BadField(f"Task.Constraints: {text[:80]!r} {words}")
