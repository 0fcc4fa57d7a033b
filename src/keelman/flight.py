"""The flight record: each decision with its arguments and its result, one line each. PURE.

A line asks the rules (`ask`), is written with what they answered (`encode`), and asks them again
when it is replayed. Values of Env are never written, nor what a failed task wrote last: no rule
looks at them, so that each decides the same on what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from keelman import hiding, reconcile
from keelman.errors import (
    EngineAway,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineRefused,
    ImageNotFound,
    KeelmanError,
    NameTaken,
    NotAllowedHere,
)
from keelman.hiding import HIDDEN
from keelman.moves import Step
from keelman.seen import Absent, Action, Seen, Unknown
from keelman.task import Spec, Task, Wish
from keelman.words import ANNOUNCED

FORMAT = 1

After = TypeVar("After", Step, Task)
Kind = Literal[
    "EngineError",
    "EngineAway",
    "EngineBusy",
    "EngineFailed",
    "EngineRefused",
    "NameTaken",
    "ImageNotFound",
    "NotAllowedHere",
]
_KINDS: dict[str, type[EngineError]] = {
    kind.__name__: kind
    for kind in (
        *(EngineError, EngineAway, EngineBusy, EngineFailed, EngineRefused),
        *(NameTaken, ImageNotFound, NotAllowedHere),
    )
}


class NotAFlight(KeelmanError):
    """What is read is no flight record, or one of another version."""

    code = "not_a_flight"


# -- lines ---------------------------------------------------------------------------------------


class Line(Struct, frozen=True, kw_only=True, tag=True, tag_field="line"):
    """The base of all lines, which their names tell apart."""


class Began(Line, frozen=True, kw_only=True):
    """A worker begins to write, at `at` (seconds since the epoch)."""

    format: int = FORMAT
    version: str
    worker: str
    at: float


class Asked(
    Line, Generic[After], frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The rules were asked at `at` (seconds since the epoch): what came of it, or which error.

    `raised` is the class of that, which is a bug of theirs. What else a rule is asked with is in
    its own line.
    """

    task: Task
    at: float
    after: After | None = None
    raised: str = ""

    def ask(self) -> After:
        """What the rules answer. Raises: whatever a bug in them does."""
        raise NotImplementedError


class Stepped(Asked[Step], frozen=True, kw_only=True):
    """`reconcile.step`."""

    wish: Wish | None
    seen: Seen

    def ask(self) -> Step:
        return reconcile.step(self.wish, self.task, self.seen, self.at)


class Did(Asked[Task], frozen=True, kw_only=True):
    """`reconcile.done`: an action went well."""

    action: Action

    def ask(self) -> Task:
        return reconcile.done(self.task, self.action, self.at)


class Trouble(Struct, frozen=True, kw_only=True):
    """An EngineError as a value: its class, since several have one code, and its words."""

    kind: Kind
    message: str

    @property
    def error(self) -> EngineError:
        return _KINDS[self.kind](self.message)


def trouble(error: EngineError) -> Trouble:
    """The error as it is written down; of a class that is made elsewhere, the one above it."""
    kind = next(kind.__name__ for kind in type(error).__mro__ if kind in _KINDS.values())
    return msgspec.convert({"kind": kind, "message": error.message}, Trouble)


class Failed(Asked[Step], frozen=True, kw_only=True):
    """`reconcile.failed`: the engine failed on an action."""

    wish: Wish | None
    action: Action
    error: Trouble

    def ask(self) -> Step:
        return reconcile.failed(self.wish, self.task, self.action, self.error.error, self.at)


Call = Asked[Step] | Asked[Task]


# -- written -------------------------------------------------------------------------------------


def encode(line: Began | Call) -> bytes:
    """The line as JSON, with its end, and without what is nobody's business."""
    shown = line if isinstance(line, Began) else hidden(line)
    return msgspec.json.encode(shown) + b"\n"


def hidden(call: Call) -> Call:
    """The call with its secrets hidden: what the rules answer to it is their answer, hidden."""
    changes: dict[str, Any] = {"task": _task(call.task), "after": _after(call.after)}
    if isinstance(call, Stepped | Failed) and call.wish is not None:
        changes["wish"] = msgspec.structs.replace(call.wish, spec=hiding.spec(call.wish.spec))
    if isinstance(call, Stepped):
        changes["seen"] = _seen(call.seen, call.task.spec)
    return msgspec.structs.replace(call, **changes)


def _after(after: Step | Task | None) -> Step | Task | None:
    if after is None or isinstance(after, Task):
        return after and _task(after)
    move = after.transition
    if move is not None:
        move = msgspec.structs.replace(move, message=_message(move.message))
    return msgspec.structs.replace(after, task=_task(after.task), transition=move)


def _task(task: Task) -> Task:
    return task.but(spec=hiding.spec(task.spec), message=_message(task.message))


def _message(message: str) -> str:
    """A task may write its Env out."""
    words, announced, _ = message.partition(ANNOUNCED)
    return f"{words}{announced}\n{HIDDEN}" if announced else message


def _seen(seen: Seen, spec: Spec) -> Seen:
    """A digest covers Env: it stays the task's own, or one of another spec, as it was."""
    body = seen.body
    if isinstance(body, Absent | Unknown) or not body.spec_hash:
        return seen
    told = hiding.spec(spec).digest() if body.spec_hash == spec.digest() else HIDDEN
    return msgspec.structs.replace(seen, body=msgspec.structs.replace(body, spec_hash=told))


# -- read ----------------------------------------------------------------------------------------


class Torn(Struct, frozen=True):
    """A line that was not written to its end: the machine went down, or the disk was full."""


_decoder = msgspec.json.Decoder[Began | Stepped | Did | Failed](Began | Stepped | Did | Failed)


def read(lines: Iterable[bytes]) -> Iterator[tuple[int, Began | Call | Torn]]:
    """The lines of one file with their numbers, from 1.

    A torn one may be the last, or the last before a worker began again.
    Raises: NotAFlight, naming the line.
    """
    writer, torn, whole = "", 0, 0
    for number, text in enumerate(lines, start=1):
        line = _read(number, text, writer)
        if torn and not isinstance(line, Began):
            raise NotAFlight(f"line {torn} is no JSON")
        if torn:
            yield torn, Torn()
        torn = number if isinstance(line, Torn) else 0
        if isinstance(line, Began):
            writer = line.version
        if not isinstance(line, Torn):
            whole += 1
            yield number, line
    if not whole:
        raise NotAFlight("no line of it is of a flight record")
    if torn:
        yield torn, Torn()


def _read(number: int, text: bytes, writer: str) -> Began | Call | Torn:
    try:
        line: Began | Call = _decoder.decode(text)
    except msgspec.ValidationError as error:
        told = f" (written by Keelman {writer})" if writer else ""
        raise NotAFlight(f"line {number} is not understood: {error}{told}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Torn()
    if isinstance(line, Began) and line.format != FORMAT:
        told = f"written by Keelman {line.version}; this one reads format {FORMAT}"
        raise NotAFlight(f"line {number} is of format {line.format}, {told}")
    return line


# -- replayed ------------------------------------------------------------------------------------


class Change(Struct, frozen=True, kw_only=True):
    """One field of an answer, as it is on record and as it was found now."""

    field: str
    recorded: object
    found: object


class Difference(Struct, frozen=True, kw_only=True):
    """Where the rules' answer is not the one on record."""

    changes: tuple[Change, ...]


def replayed(call: Call) -> Difference | None:
    """Ask the rules again; None when they answer as they did."""
    again = answered(call)
    if (again.after, again.raised) == (call.after, call.raised):
        return None
    recorded, found = ({"after": one.after, "raised": one.raised} for one in (call, again))
    changes = _changes("", msgspec.to_builtins(recorded), msgspec.to_builtins(found))
    return Difference(changes=tuple(changes))


def answered(call: Call) -> Call:
    """The call with what the rules answer to it now."""
    try:
        after = call.ask()
    except Exception as error:  # noqa: BLE001  # a bug of theirs is their answer
        return msgspec.structs.replace(call, after=None, raised=type(error).__name__)
    return msgspec.structs.replace(call, after=after, raised="")


def _changes(field: str, recorded: object, found: object) -> Iterator[Change]:
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in recorded | found:
            name = f"{field}.{key}".lstrip(".")
            yield from _changes(name, recorded.get(key), found.get(key))
    elif recorded != found:
        yield Change(field=field, recorded=recorded, found=found)
