"""The moves of a task from state to state, and the Step that carries one. PURE.

`reconcile` decides which move is due; here is what each makes of the task: what a new attempt
begins with, what an end records, and which words people read.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from keelman.ending import Why
from keelman.health import Health
from keelman.policy import ENGINE_RETRIES, PULL_RETRIES, backoff_seconds, restart_due, rested
from keelman.seen import Action, Exited, Running
from keelman.task import Reason, State, Task, Transition, Wish


class Step(Struct, frozen=True, kw_only=True):
    """The task as it is to be recorded, the move to log, the action, when to look again.

    `wake` is in seconds since the epoch; None means that only an event or a wish changes anything.
    `forget` asks for the ended task's record to be dropped.
    """

    task: Task
    transition: Transition | None = None
    action: Action | None = None
    wake: float | None = None
    forget: bool = False


# What every new attempt begins with.
FRESH: dict[str, Any] = {
    "retries": 0,
    "ending": None,
    "container_id": "",
    "host_ports": {},
    "health": Health.NONE,
    "start_time": None,
    "finish_time": None,
}


# What an Ending of ours makes of its task.
_BY_US = {
    Why.STOPPED: (State.COMPLETED, Reason.STOPPED),
    Why.DEADLINE: (State.FAILED, Reason.DEADLINE),
    Why.DISCONNECTED: (State.FAILED, Reason.DISCONNECTED),
}


def scheduled(task: Task, now: float) -> Step:
    """The loop takes a new task up."""
    return moved(task, task.to(State.SCHEDULED, attempt=max(task.attempt, 1), due=now), now)


def begun_again(wish: Wish, task: Task, now: float) -> Step:
    """A greater wish (or, after COMPLETED, a higher Generation) begins a new life."""
    after = task.to(
        State.SCHEDULED,
        **FRESH,
        spec=wish.spec,
        wish=wish.seq,
        generation=max(wish.generation, task.generation),
        attempt=task.attempt + 1,
        failures=0,
        due=now,
        first_running=None,
        exit_code=None,
        reason=Reason.NONE,
        message="",
    )
    return moved(task, after, now)


def running(task: Task, body: Running | Exited, now: float) -> Step:
    """It runs, or ran before anyone looked."""
    after = task.to(
        State.RUNNING,
        started=task.attempt,
        retries=0,
        container_id=body.container_id,
        host_ports=body.host_ports if isinstance(body, Running) else {},
        health=Health.STARTING if task.spec.probe else Health.NONE,
        start_time=body.since,
        first_running=task.first_running or min(body.since, now),
        exit_code=None,
        reason=Reason.NONE,
        message="",
    )
    return moved(task, after, now)


def health_changed(task: Task, health: Health, words: str, now: float) -> Step:
    """Its probes say something else than before."""
    reason = Reason.UNHEALTHY if health is Health.UNHEALTHY else Reason.HEALTHY
    after = task.to(State.RUNNING, health=health, reason=reason, message=words)
    return moved(task, after, now)


def ended_or_again(
    task: Task, reason: Reason, message: str, now: float, *, exit_code: int | None = None
) -> Step:
    """It could not go on, without an exit to tell of: again if a restart is due, else FAILED."""
    if restarts(task, succeeded=False, now=now):
        return restarted(task, reason, message, now, exit_code=exit_code)
    after = task.to(
        State.FAILED,
        reason=reason,
        message=message,
        exit_code=exit_code,
        finish_time=now,
        ending=None,
        health=Health.NONE,
        host_ports={},
    )
    return moved(task, after, now)


def overdue(task: Task, now: float) -> Step:
    """Its Timeout passed while it was not running."""
    return ended_or_again(task, Reason.DEADLINE, _deadline_words(task), now)


def vanished(task: Task, now: float) -> Step:
    """The engine knows no container of it any more."""
    if is_over(task, now):
        return overdue(task, now)
    task = rested(task, now - (task.start_time or now))
    return ended_or_again(task, Reason.VANISHED, "its container is gone", now)


def by_us(task: Task, ran: Exited | None, now: float) -> Step | None:
    """The end that an Ending of ours made: its Reason is taken from there, but for a stop's."""
    if task.ending is None:
        return None
    if task.ending.why is Why.UNHEALTHY:
        return _unhealthy(task.but(ending=None), ran, now)
    if task.ending.why not in _BY_US:
        return None
    state, reason = _BY_US[task.ending.why]
    return finished(task, state, reason, now, ran=ran)


def _unhealthy(task: Task, ran: Exited | None, now: float) -> Step:
    """Ended for its health: that is a failure like another, and its policy may start it again."""
    up_seconds = ran.until - ran.since if ran else now - (task.start_time or now)
    code = ran.code if ran else None
    words = task.message or "its probes failed"
    return ended_or_again(rested(task, up_seconds), Reason.UNHEALTHY, words, now, exit_code=code)


def restarts(task: Task, *, succeeded: bool, now: float) -> bool:
    """Whether a restart is due: never against an ending of our own, nor past the deadline."""
    if task.ending is not None or is_over(task, now):
        return False
    return restart_due(task.spec.restart_policy, succeeded=succeeded, failures=task.failures)


def restarted(
    task: Task, reason: Reason, message: str, now: float, *, exit_code: int | None
) -> Step:
    """The next attempt, after its back-off."""
    due, failures = now + backoff_seconds(task, task.failures), task.failures + 1
    after = next_attempt(task, reason, message, exit_code, due=due, failures=failures)
    return moved(task, after, now)


def next_attempt(
    task: Task, reason: Reason, message: str, exit_code: int | None, **changes: object
) -> Task:
    """A task on its way up once more; `changes` are to its other fields."""
    return task.to(
        State.SCHEDULED,
        **FRESH,
        attempt=task.attempt + 1,
        reason=reason,
        message=message,
        exit_code=exit_code,
        **changes,
    )


def finished(
    task: Task, state: State, reason: Reason, now: float, *, ran: Exited | None = None
) -> Step:
    """The end, with what the exited container tells where there is one."""
    words = {
        Reason.STOPPED: "stopped as asked",
        Reason.DEADLINE: _deadline_words(task),
        Reason.DISCONNECTED: f"nobody was heard for {task.spec.stop_after_disconnect} s",
    }
    killed = "; it was killed when its grace was over" if was_killed(task, ran) else ""
    after = task.to(
        state,
        reason=reason,
        message=(words.get(reason) or (exit_words(ran) if ran else "")) + killed,
        exit_code=ran.code if ran else task.exit_code,
        finish_time=ran.until if ran else now,
        ending=None,
        health=Health.NONE,
        host_ports={},
    )
    return moved(task, after, now)


def tried_again(task: Task, reason: Reason, message: str, now: float) -> Step:
    """The same attempt once more, a few times, before it counts as a failure."""
    most = PULL_RETRIES if reason is Reason.IMAGE_UNAVAILABLE else ENGINE_RETRIES
    if task.retries >= most:
        return ended_or_again(task, reason, message, now)
    due = now + backoff_seconds(task, task.retries)
    after = task.but(retries=task.retries + 1, due=due, reason=reason, message=message)
    return Step(task=after, wake=due)


def moved(before: Task, after: Task, now: float) -> Step:
    """The Step from one to the other.

    The Transition of a restart tells of the attempt that ended, any other of the present one.
    """
    told = before if after.attempt > before.attempt > 0 and not before.state.ended else after
    move = Transition(
        task_id=after.id,
        generation=after.generation,
        attempt=told.attempt,
        from_=before.state,
        to=after.state,
        time=now,
        reason=after.reason,
        message=after.message,
        exit_code=after.exit_code,
        container_id=told.container_id,
    )
    return Step(task=after, transition=move)


def is_over(task: Task, now: float) -> bool:
    return task.deadline is not None and now >= task.deadline


def was_killed(task: Task, ran: Exited | None) -> bool:
    """Told by the exit code, which a crash between KILL and its record does not lose."""
    if task.ending is None or task.ending.signalled == 0:
        return False
    return ran.code == 137 if ran is not None else task.ending.signalled >= 2


def _deadline_words(task: Task) -> str:
    return f"ran into its Timeout of {task.spec.timeout} s"


def cause(body: Exited) -> Reason:
    """137 and 143 are SIGKILL and SIGTERM; no Ending of ours explains them here."""
    if body.oom:
        return Reason.OOM_KILLED
    return Reason.KILLED_BY_OTHER if body.code in (137, 143) else Reason.EXITED


def exit_words(body: Exited) -> str:
    if body.oom:
        return f"out of memory: killed by the kernel (exit code {body.code})"
    return f"exited with code {body.code}"
