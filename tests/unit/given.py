"""What the tests of the pure core begin with: wishes, tasks and sights, each in one short call."""

from __future__ import annotations

from typing import Any

from keelman.ending import Ending, Why
from keelman.reconcile import step
from keelman.seen import (
    Absent,
    Action,
    Body,
    Created,
    Exited,
    Image,
    Present,
    Refused,
    Running,
    Seen,
    Unavailable,
    Unknown,
)
from keelman.task import Reason, Spec, State, Task, Wish

NOW = 1_000_000.0
TASK_ID = "21b23589-5d2d-4731-b5c9-a97e9832d021"
CONTAINER = "c0ffee"
OLD_CONTAINER = "0ld"

UNKNOWN = Seen(body=Unknown(why="no answer"))
PORT_TAKEN = Refused(reason=Reason.PORT_TAKEN, message="port is already allocated")


def a_spec(**asked: Any) -> Spec:
    return Spec(**{"name": "web", "image": "nginx:1", **asked})


def a_wish(
    wants: State = State.RUNNING, *, seq: int = 1, generation: int = 0, **asked: Any
) -> Wish:
    return Wish(seq=seq, task_id=TASK_ID, wants=wants, spec=a_spec(**asked), generation=generation)


RUN = a_wish()
STOP = a_wish(State.COMPLETED, seq=2)


def a_task(
    state: State = State.PENDING, *, asked: dict[str, Any] | None = None, **known: Any
) -> Task:
    """A task as its record looks in that State, but for what is said otherwise."""
    usual: dict[State, dict[str, Any]] = {
        State.PENDING: {},
        State.SCHEDULED: {"wish": 1, "attempt": 1, "due": NOW - 1},
        State.RUNNING: {**_RAN, "container_id": CONTAINER},
        State.COMPLETED: {**_RAN, "finish_time": NOW - 1, "exit_code": 0, "reason": Reason.EXITED},
        State.FAILED: {**_RAN, "finish_time": NOW - 1, "exit_code": 3, "reason": Reason.EXITED},
    }
    return Task(id=TASK_ID, spec=a_spec(**(asked or {})), state=state, **{**usual[state], **known})


_RAN: dict[str, Any] = {
    "wish": 1,
    "attempt": 1,
    "started": 1,
    "due": NOW - 61,
    "start_time": NOW - 60,
    "first_running": NOW - 60,
}


def in_back_off(**known: Any) -> Task:
    """The first attempt failed, the second is due in ten seconds."""
    again = {"attempt": 2, "started": 1, "failures": 1, "due": NOW + 10, "first_running": NOW - 60}
    return a_task(State.SCHEDULED, **{**again, **known})


def stopping(signalled: int, since: float = NOW, **known: Any) -> Task:
    ending = Ending(why=Why.STOPPED, since=since, signalled=signalled)
    return a_task(State.RUNNING, ending=ending, **{"wish": STOP.seq, **known})


def seen(body: Body, **world: Any) -> Seen:
    return Seen(body=body, **world)


def absent(image: Image | None = None, **world: Any) -> Seen:
    return seen(Absent(image=image or Present()), **world)


def unavailable(*, at: float = NOW, final: bool = False, **world: Any) -> Seen:
    return absent(Unavailable(at=at, final=final, message="the registry's words"), **world)


def created(attempt: int = 1, refused: Refused | None = None, **world: Any) -> Seen:
    return seen(Created(container_id=CONTAINER, attempt=attempt, refused=refused), **world)


def running(attempt: int = 1, *, since: float = NOW - 60, **world: Any) -> Seen:
    return seen(Running(container_id=CONTAINER, attempt=attempt, since=since), **world)


def exited(
    code: int = 0, *, attempt: int = 1, oom: bool = False, up: float = 59, **world: Any
) -> Seen:
    """Its process ended a second ago, after `up` seconds."""
    until = NOW - 1
    body = Exited(
        container_id=CONTAINER, attempt=attempt, code=code, oom=oom, since=until - up, until=until
    )
    return seen(body, **world)


def next_action(wish: Wish | None, task: Task, sight: Seen, now: float = NOW) -> Action | None:
    return step(wish, task, sight, now).action


def next_task(wish: Wish | None, task: Task, sight: Seen, now: float = NOW) -> Task:
    return step(wish, task, sight, now).task
