"""What to do next for one task: all the rules. PURE.

`step` is asked with what is wished, what is recorded and what is seen, and answers with the task as
it is to be recorded, at most one action, and when to look again. `failed` says what an engine's
error makes of it, `done` what a success leaves to remember. It never acts and never waits.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from keelman import ladder, moves, policy, recall, silence
from keelman.ending import Why
from keelman.errors import EngineAway, EngineBusy, EngineError, ImageNotFound
from keelman.health import Health
from keelman.moves import Step, is_over
from keelman.seen import (
    Absent,
    Action,
    Create,
    Created,
    Exited,
    Missing,
    Present,
    Pull,
    Pulling,
    Remove,
    Rename,
    Running,
    Seen,
    Start,
    Unavailable,
    Unknown,
)
from keelman.task import Reason, State, Task, Wish

LOOK_AGAIN_SECONDS = 1.0


def step(wish: Wish | None, task: Task, seen: Seen, now: float) -> Step:
    """The next step for one task, from `wish` (desired), `task` (current) and `seen` (the world).

    `now` is in seconds since the epoch. A `wish` of None is a task that was adopted: it goes on.
    """
    if isinstance(seen.body, Unknown):
        return _look_again(task, now)
    if seen.others:
        return Step(task=task, action=Remove(container_id=seen.others[0]))
    if (stranger := recall.of_another_life(task, seen)) is not None:
        return Step(task=task, action=Remove(container_id=stranger))
    task = recall.in_line(task, seen, now)
    if task.state.ended:
        return _ended(wish, task, seen, now)
    if wish is not None:
        task = task.but(wish=wish.seq, generation=max(wish.generation, task.generation))
        if wish.stops:
            return _stop(task, seen, now)
    return silence.in_time(_run(task, seen, now), seen, now)


def _look_again(task: Task, now: float) -> Step:
    return Step(task=task, wake=now + LOOK_AGAIN_SECONDS)


# -- ended ---------------------------------------------------------------------------------------


def _ended(wish: Wish | None, task: Task, seen: Seen, now: float) -> Step:
    if wish is not None and wish.begins_anew(task):
        return moves.begun_again(wish, task, now)
    if wish is not None and wish.stops:
        task = task.but(wish=max(wish.seq, task.wish))
    match seen.body:
        case Running() as body:
            return ladder.descend(task, body, Why.STRAY, now)
        case (Created() | Exited()) as body if seen.expired:
            return Step(task=task, action=Remove(container_id=body.container_id))
        case Absent() if seen.expired:
            return Step(task=task, forget=True)
    return Step(task=task.but(ending=None))


# -- stopping ------------------------------------------------------------------------------------


def _stop(task: Task, seen: Seen, now: float) -> Step:
    body = seen.body
    match body:
        case Absent():
            return moves.finished(task, State.COMPLETED, Reason.STOPPED, now)
        case Created():
            return Step(task=task, action=Remove(container_id=body.container_id))
        case Running() if _ran(task) or body.attempt < task.attempt:
            return ladder.descend(task, body, Why.STOPPED, now)
        case Exited() if _ran(task) or body.attempt < task.attempt:
            return moves.finished(task, State.COMPLETED, Reason.STOPPED, now, ran=body)
        case Running() | Exited():
            return _runs(task, body, now)
        case Unknown():
            return _look_again(task, now)
        case _:
            assert_never(body)


def _ran(task: Task) -> bool:
    return task.state is State.RUNNING


def _runs(task: Task, body: Running | Exited, now: float) -> Step:
    """Every state passes, also when nobody looked in time."""
    if task.state is State.PENDING:
        return moves.scheduled(task, now)
    return moves.running(task, body, now)


# -- running -------------------------------------------------------------------------------------


def _run(task: Task, seen: Seen, now: float) -> Step:
    if task.state is State.PENDING:
        return _take_up(task, seen, now)
    if silence.is_over(task, seen):
        return _cut_off(task, seen, now)
    return _go_on(task, seen, now)


def _go_on(task: Task, seen: Seen, now: float) -> Step:
    body = seen.body
    match body:
        case Absent():
            return _run_absent(task, body, seen, now)
        case Created() | Exited() | Running() if body.attempt < task.attempt:
            return _wait(task, now) or _remove(task, body)
        case Created():
            return _run_created(task, body, seen, now)
        case Running():
            return _run_running(task, body, now) if _ran(task) else _runs(task, body, now)
        case Exited():
            return _run_exited(task, body, now) if _ran(task) else _runs(task, body, now)
        case Unknown():
            return _look_again(task, now)
        case _:
            assert_never(body)


def _cut_off(task: Task, seen: Seen, now: float) -> Step:
    """Nobody is heard: what runs is stopped, nothing is started, and an end is one."""
    match seen.body:
        case Running() as body if body.attempt == task.attempt:
            if not _ran(task):
                return _runs(task, body, now)
            return ladder.descend(_as_it_runs(task, body), body, Why.DISCONNECTED, now)
        case Created() | Running() as body:
            return _remove(task, body)
        case Exited() as body if body.attempt == task.attempt:
            if not _ran(task):
                return _runs(task, body, now)
            return silence.ended(_run_exited(task, body, now), task, now, ran=body)
        case _:
            return silence.ended(moves.by_us(task, None, now), task, now)


def _take_up(task: Task, seen: Seen, now: float) -> Step:
    """SCHEDULED, with the first action in the same step where that moves no state itself."""
    first = moves.scheduled(task, now)
    then = _run(first.task, seen, now)
    if then.transition is not None:
        return first
    return msgspec.structs.replace(then, transition=first.transition)


def _wait(task: Task, now: float) -> Step | None:
    """An attempt that is not due waits; one whose Timeout has passed ends."""
    if is_over(task, now):
        return moves.overdue(task, now)
    if now >= task.due:
        return None
    return Step(task=task, wake=min(task.due, task.deadline or task.due))


def _remove(task: Task, body: Created | Exited | Running) -> Step:
    """The last attempt's container goes before its successor is made, or one not to be started."""
    return Step(task=task, action=Remove(container_id=body.container_id))


def _run_absent(task: Task, body: Absent, seen: Seen, now: float) -> Step:
    if _ran(task) or task.started == task.attempt or task.ending is not None:
        return moves.by_us(task, None, now) or moves.vanished(task, now)
    if (waiting := _wait(task, now)) is not None:
        return waiting
    image = policy.image_for_attempt(task, body.image)
    match image:
        case Present():
            pulled = task.attempt if policy.pulls_anew(task) else task.pulled
            action = Create(attempt=task.attempt) if seen.slot else None
            return Step(task=task.but(pulled=pulled), action=action, wake=task.deadline)
        case Pulling():
            return Step(task=task, wake=task.deadline)
        case Missing():
            return _pull(task, now)
        case Unavailable():
            return _unavailable(task, image, now)
        case _:
            assert_never(image)


def _pull(task: Task, now: float) -> Step:
    if words := policy.no_pull(task.spec):
        return moves.ended_or_again(task, Reason.IMAGE_UNAVAILABLE, words, now)
    return Step(task=task, action=Pull(image=task.spec.image))


def _unavailable(task: Task, image: Unavailable, now: float) -> Step:
    if image.at < task.due:  # that pull failed before this try was due
        return _pull(task, now)
    if image.final:
        return moves.ended_or_again(task, Reason.IMAGE_UNAVAILABLE, image.message, now)
    return moves.tried_again(task, Reason.IMAGE_UNAVAILABLE, image.message, now)


def _run_created(task: Task, body: Created, seen: Seen, now: float) -> Step:
    if task.ending is not None or _ran(task):  # the one that ran is another, and gone
        return _remove(task, body)
    task = task.but(container_id=body.container_id)
    if (no := body.refused) is not None:
        return moves.ended_or_again(task, no.reason, no.message, now, exit_code=no.exit_code)
    if (waiting := _wait(task, now)) is not None:
        return waiting
    if not seen.slot:
        return Step(task=task, wake=task.deadline)
    if task.started == task.attempt:  # that start may still be on its way
        rename = Rename(container_id=body.container_id, attempt=task.attempt + 1)
        return Step(task=task, action=rename)
    action = Start(container_id=body.container_id, attempt=task.attempt)
    return Step(task=task.but(started=task.attempt), action=action)


def _run_running(task: Task, body: Running, now: float) -> Step:
    task = _as_it_runs(task, body)
    if task.ending is not None or is_over(task, now):
        return ladder.descend(task, body, Why.DEADLINE, now)
    if body.health not in (Health.NONE, task.health):
        return moves.health_changed(task, body.health, body.health_words, now)
    if task.health is Health.UNHEALTHY:
        return ladder.descend(task, body, Why.UNHEALTHY, now)
    return Step(task=task, wake=task.deadline)


def _as_it_runs(task: Task, body: Running) -> Task:
    return task.but(
        container_id=body.container_id, host_ports=body.host_ports, start_time=body.since
    )


def _run_exited(task: Task, body: Exited, now: float) -> Step:
    if (ended := moves.by_us(task, body, now)) is not None:
        return ended
    task = policy.rested(task, body.until - body.since)
    succeeded = body.code == 0 and not body.oom
    if moves.restarts(task, succeeded=succeeded, now=now):
        words = moves.exit_words(body)
        return moves.restarted(task, moves.cause(body), words, now, exit_code=body.code)
    state = State.COMPLETED if succeeded else State.FAILED
    return moves.finished(task, state, moves.cause(body), now, ran=body)


# -- after an action -----------------------------------------------------------------------------


def done(task: Task, action: Action, now: float) -> Task:
    """The task after an action succeeded: a rung of the ladder that was taken is remembered."""
    if ladder.is_rung(task, action):
        return ladder.taken(task, now)
    return ladder.freed(task) if isinstance(action, Remove) else task


def failed(wish: Wish | None, task: Task, action: Action, error: EngineError, now: float) -> Step:
    """What an engine's error makes of the task. Silence never makes it FAILED, nor does a stop.

    `wish` is the newest by now: a stop may have come while the engine was asked. On the way up no
    error counts any more then, and `step` sees what there is to be taken away.
    """
    silent = isinstance(error, EngineAway | EngineBusy)
    if ladder.is_rung(task, action) and (not silent or ladder.in_vain(task, now)):
        return Step(task=ladder.failed(task, error.message, now))
    if silent or isinstance(error, ImageNotFound):
        return _look_again(task, now)
    if isinstance(action, Remove):
        return _look_again(ladder.stuck(task, error.message), now)
    if wish is not None and wish.stops:
        return Step(task=task, wake=now)
    if policy.is_refusal(action, error):
        return moves.ended_or_again(task, Reason(error.code), error.message, now)
    return moves.tried_again(task, Reason.ENGINE_ERROR, error.message, now)
