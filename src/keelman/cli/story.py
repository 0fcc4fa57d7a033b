"""A line of a flight record in words: what was seen of a task, and what the rules made of it. PURE.

What a task could have written itself is for whoever shows it to clean.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import assert_never

import msgspec

from keelman.flight import Call, Change, Did, Failed, Stepped
from keelman.moves import Step
from keelman.seen import (
    Absent,
    Body,
    Created,
    Exited,
    Present,
    Running,
    Seen,
    Sight,
    Unknown,
)
from keelman.task import State, Task, Wish

_STATES = ("State", "From", "To")
_ENGINE_ID = 12  # as many characters of a container's ID as the engine's own tools show


def line(call: Call) -> str:
    """`2026-11-24T05:25:40.790Z  SCHEDULED #1  sees no container → Create #1`."""
    when = datetime.fromtimestamp(call.at, UTC).isoformat(timespec="milliseconds")
    where = f"{call.task.state.name} #{call.task.attempt}"
    return f"{when.replace('+00:00', 'Z')}  {where:12}  {_event(call)} → {_answer(call)}"


def difference(change: Change) -> str:
    """`after.task.Due: 1000011.07 on record, 1000021.07 now`."""
    recorded, found = (_value(change.field, value) for value in (change.recorded, change.found))
    return f"{change.field}: {recorded} on record, {found} now"


def _value(field: str, value: object) -> str:
    if isinstance(value, int) and field.rpartition(".")[2] in _STATES:
        return State(value).name
    return msgspec.json.encode(value).decode()


# -- what came -----------------------------------------------------------------------------------


def _event(call: Call) -> str:
    match call:
        case Stepped(wish=wish, seen=seen):
            return _wished(wish, call.task) + f"sees {', '.join(_world(seen))}"
        case Failed(action=action, error=error):
            return f"failed {_named(action)} ({error.kind}: {error.message})"
        case Did(action=action):
            return f"did {_named(action)}"
        case _:
            return "asked"


def _wished(wish: Wish | None, task: Task) -> str:
    """A wish that the task does not serve yet, or one that it is to stop."""
    if wish is None or (wish.seq == task.wish and not wish.stops):
        return ""
    return f"is asked to {'stop' if wish.stops else 'run'}, "


def _world(seen: Seen) -> Iterator[str]:
    yield _body(seen.body)
    if seen.others:
        yield f"{len(seen.others)} older"
    if not seen.slot:
        yield "no start slot"
    if seen.expired:
        yield "its time is over"


def _body(body: Body) -> str:
    match body:
        case Absent(image=Present(pull=None)):
            return "no container"
        case Absent(image=image):
            pull = image.pull if isinstance(image, Present) else None
            return f"no container, image {_named(pull or image)}"
        case Unknown(why=why):
            return f"nothing ({why})"
        case Created(attempt=attempt, refused=refused):
            return f"Created #{attempt}" + (f", refused ({refused.message})" if refused else "")
        case Running(attempt=attempt, health=health):
            return f"Running #{attempt}" + (f", {health}" if health else "")
        case Exited(attempt=attempt, code=code, oom=oom):
            return f"Exited #{attempt} with {code}" + (", out of memory" if oom else "")
        case _:
            assert_never(body)


def _named(sight: Sight) -> str:
    """`Pull nginx:1`, `Start 4df4d44d1541`, `Create #2`, `Missing`."""
    fields = msgspec.to_builtins(sight)
    return " ".join([fields.pop("type"), *(_told(key, value) for key, value in fields.items())])


def _told(key: str, value: object) -> str:
    match key:
        case "container_id":
            return str(value)[:_ENGINE_ID]
        case "attempt":
            return f"#{value}"
        case "image" | "signal":
            return str(value)
        case _:
            return f"{key}={value}"


# -- what the rules made of it -------------------------------------------------------------------


def _answer(call: Call) -> str:
    after = call.after
    if after is None:
        return f"raised {call.raised}"
    if isinstance(after, Task):
        return ", ".join(_recorded(call.task, after)) or "nothing"
    return ", ".join(_stepped(call, after)) or "nothing"


def _stepped(call: Call, step: Step) -> Iterator[str]:
    move = step.transition
    if move is not None:
        yield f"{move.to.name} #{step.task.attempt}" + (f" {move.reason}" if move.reason else "")
    else:
        yield from _recorded(call.task, step.task)
    if step.action is not None:
        yield _named(step.action)
    if step.forget:
        yield "forget it"
    if step.wake is not None:
        yield f"again in {max(step.wake - call.at, 0.0):.3g} s"


def _recorded(before: Task, after: Task) -> Iterator[str]:
    """What is remembered of it, but for where nothing of it changed."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    changed = [name for name, value in new.items() if value != old[name]]
    if changed:
        yield f"records {' '.join(changed)}"
