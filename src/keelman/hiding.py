"""What is hidden of a task from whoever need not know it: the values of its Env. PURE.

Names stay. The one place that says how: for answers, for records that are kept beside the database,
and for words of others that may quote a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from keelman.task import Spec

HIDDEN = "***"
LONG = 8  # characters by which a value is known wherever it stands: an 80 may be any 80

_NO_ENV = b'"Env":{}'  # in no string of JSON: there a quote has a backslash before it
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENV = msgspec.json.Decoder(dict[str, str])


def env(names: Iterable[str]) -> dict[str, str]:
    """An Env of these names with nothing in it."""
    return dict.fromkeys(names, HIDDEN)


def spec(asked: Spec) -> Spec:
    """A spec without the values of its Env."""
    return msgspec.structs.replace(asked, env=env(asked.env)) if asked.env else asked


def report(told: bytes) -> bytes:
    """The JSON of a Task without the values of its Env; nothing else of it is touched."""
    if _NO_ENV in told:
        return told
    fields = _FIELDS.decode(told)
    return msgspec.json.encode({**fields, "Env": env(_ENV.decode(fields["Env"]))})


def words(text: str, secret: Mapping[str, str]) -> str:
    """A text without the values of an Env that it quotes, as they are, escaped or line by line.

    Of values of less than `LONG` characters only `NAME=value` is known for one.
    """
    found = {said: shown for said, shown in _sayings(secret) if said in text}
    for said in sorted(found, key=len, reverse=True):
        text = text.replace(said, found[said])
    return text


def _sayings(secret: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What would tell a value, with what is to stand there."""
    for name, value in secret.items():
        for form in _forms(value):
            yield f"{name}={form}", f"{name}={HIDDEN}"
        for part in {value, *value.splitlines()}:
            yield from ((form, HIDDEN) for form in _forms(part) if len(part) >= LONG)


def _forms(value: str) -> set[str]:
    """A value as it is, and as JSON, Go's and Python's, and Python itself write it in quotes."""
    if not value:
        return set()
    quoted = msgspec.json.encode(value).decode()[1:-1]
    go = _escaped(quoted, lambda sign: sign in "<>&\u2028\u2029")
    plain = _escaped(quoted, lambda sign: not sign.isascii())
    return {value, quoted, go, plain, repr(value)[1:-1], ascii(value)[1:-1]}


def _escaped(text: str, which: Callable[[str], bool]) -> str:
    """With some signs spelt out as JSON does: by their UTF-16."""
    return "".join(_utf16(sign) if which(sign) else sign for sign in text)


def _utf16(sign: str) -> str:
    units = sign.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
