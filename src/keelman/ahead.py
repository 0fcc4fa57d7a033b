"""What the worker does next for one task, in words. PURE.

A step that acts is told as it is. Of one that waits, the real rules are asked what they would do
after the wait (`Situation.after`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import msgspec

from keelman import ladder
from keelman.explanation import Blocker
from keelman.moves import Step
from keelman.seen import (
    Absent,
    Action,
    Create,
    Exited,
    Kill,
    Present,
    Pull,
    Pulled,
    Remove,
    Rename,
    Running,
    Seen,
    Signal,
    Start,
)
from keelman.situation import Situation
from keelman.task import State, Transition
from keelman.words import span

SHORT = 12  # as many characters of a container's ID as the engine's own tools show
_KILLED = 137


def next_words(here: Situation) -> str:
    """What comes next, as what the worker will do: "create the container of attempt 2"."""
    waits_for = here.waits_for
    doing = step_words(here.step)
    if waits_for is Blocker.PROCESS:
        return (doing or _after_the_wait(here)) + _once_gone(here)
    return doing or _after(here, waits_for)


def step_words(step: Step) -> str:
    """What a step does; empty for one that only waits."""
    return " and ".join(_parts(step))


def _parts(step: Step) -> Iterator[str]:
    if step.transition is not None:
        yield _move_words(step.transition, step.task.attempt)
    if step.action is not None:
        yield _action_words(step, step.action)
    if step.forget:
        yield "drop its record"


def _move_words(move: Transition, attempt: int) -> str:
    words = f"record it as {move.to.name}"
    if move.to is State.SCHEDULED:
        return f"{words}, attempt {attempt}"
    return f"{words} ({move.reason})" if move.reason else words


def _action_words(step: Step, action: Action) -> str:
    match action:
        case Pull(image=image):
            return f"pull {image}"
        case Create(attempt=attempt):
            return f"create the container of attempt {attempt}"
        case Start(container_id=container_id):
            return f"start container {container_id[:SHORT]}"
        case Rename(attempt=attempt):
            return f"name its container for attempt {attempt}, so that no start of before finds it"
        case Signal(signal=signal):
            return f"send {signal}"
        case Kill():
            return "send KILL"
        case Remove(container_id=container_id):
            by_force = " by force" if ladder.is_rung(step.task, action) else ""
            return f"remove container {container_id[:SHORT]}{by_force}"
        case _:
            assert_never(action)


def _after(here: Situation, waits_for: Blocker) -> str:
    """What a step is followed by that does nothing itself."""
    match waits_for:
        case Blocker.ENGINE:
            return "look at it again"
        case Blocker.RETENTION:
            return "remove its container and drop its record"
        case Blocker.BACK_OFF | Blocker.PROCESS:
            return _after_the_wait(here)
        case Blocker.PULL:
            return _when(here, _with_image(here), "when the image is here")
        case Blocker.SLOT:
            return _when(here, here.seen, "when a start slot is free")
        case Blocker.NOTHING:
            return _after_its_end(here)
        case Blocker.CONTAINER | Blocker.INTERNAL_ERROR | Blocker.CANNOT_RECORD:
            raise AssertionError(f"a step that only waits never waits for {waits_for}")
        case _:
            assert_never(waits_for)


def _after_the_wait(here: Situation) -> str:
    """What the rules say at the step's own wake, when nothing else happens until then."""
    wake = here.at if here.step.wake is None else here.step.wake
    then = here.after(_with_slot(here.seen), wake)
    return step_words(then.step) or _STILL.get(then.waits_for, "look at it again")


_STILL = {
    Blocker.PULL: "wait for its image",
    Blocker.PROCESS: "wait for its process to end",
    Blocker.BACK_OFF: "wait for its back-off",
}


def _when(here: Situation, seen: Seen, words: str) -> str:
    """What follows something that comes at a time nobody knows, or a Timeout before it."""
    then = here.after(_with_slot(seen), here.at)
    told = f"{step_words(then.step)} {words}"
    if here.step.wake is None:
        return told
    return f"{told}, or {_after_the_wait(here)} {_limit(here)}"


def _limit(here: Situation) -> str:
    """What it is that comes at the step's wake, while nothing else does."""
    task = here.step.task
    if here.step.wake == task.deadline:
        return "when its Timeout is over"
    return f"when nobody was heard for {span(task.spec.stop_after_disconnect)}"


def _with_slot(seen: Seen) -> Seen:
    return msgspec.structs.replace(seen, slot=True)


def _with_image(here: Situation) -> Seen:
    here_now = Absent(image=Present(pull=Pulled(at=here.at)))
    return msgspec.structs.replace(here.seen, body=here_now)


# -- a process that ends -------------------------------------------------------------------------


def _once_gone(here: Situation) -> str:
    """What becomes of a task whose process the worker is ending."""
    state = _state_after(here, _KILLED)
    return "" if state is None else f"; once its process is gone, record it as {state.name}"


def _after_its_end(here: Situation) -> str:
    """A process runs, and nothing is to be done before it ends."""
    well, badly = _state_after(here, 0), _state_after(here, 1)
    if well is None or badly is None:
        return "nothing"
    then = f"then {well.name}"
    if well is not badly:
        then = f"{then} after exit code 0, {badly.name} after another"
    until = f"until it ends by itself ({then}) or a stop is asked for"
    if here.step.wake is None:
        return f"nothing {until}"
    return f"{_after_the_wait(here)} {_limit(here)}; nothing before, {until}"


def _state_after(here: Situation, code: int) -> State | None:
    """What the rules make of the task when its process has ended so; None: nothing."""
    body = here.seen.body
    if not isinstance(body, Running):
        return None
    gone = Exited(
        container_id=body.container_id,
        attempt=body.attempt,
        spec_hash=body.spec_hash,
        code=code,
        since=body.since,
        until=here.at,
    )
    move = here.after(Seen(body=gone), here.at).step.transition
    return None if move is None else move.to
