"""The cells of the table of decisions: tasks, what is seen of them, what an engine answers."""

from __future__ import annotations

from typing import Any

from keelman.ending import Ending, Why
from keelman.errors import (
    EngineAway,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineRefused,
    ImageNotFound,
    NameTaken,
    NotAllowedHere,
)
from keelman.health import Health
from keelman.seen import (
    Absent,
    Action,
    Body,
    Create,
    Created,
    Exited,
    Image,
    Kill,
    Missing,
    Present,
    Pull,
    Pulled,
    Pulling,
    Remove,
    Rename,
    Running,
    Seen,
    Signal,
    Start,
    Unavailable,
)
from keelman.task import State, Task, Wish
from tests.unit.given import CONTAINER, NOW, PORT_TAKEN, UNKNOWN, a_task, a_wish, stopping

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State
WISHES: dict[str, Wish | None] = {
    "none": None,
    "run": a_wish(),
    "stop": a_wish(COMPLETED, seq=2),
    "again": a_wish(seq=9),
    "newer": a_wish(seq=9, generation=1),
}


# -- step ----------------------------------------------------------------------------------------


def second(state: State, **known: Any) -> Task:
    """A task in its second attempt, whose start is on record unless it is said otherwise."""
    return a_task(state, **{"attempt": 2, "started": 2, **known})


def ending(why: Why, signalled: int = 0, *, ago: float = 0) -> Ending:
    return Ending(why=why, since=NOW - ago, signalled=signalled)


ALONE = {"stop_after_disconnect": 30, "restart_policy": "always"}
SILENCE = 60.0  # of every sight; who does not ask for it does not mind
TASKS = {
    "PENDING": a_task(),
    "PENDING, adopted": second(PENDING),
    "PENDING, adopted when it had ended": second(PENDING, ending=ending(Why.ADOPTED)),
    "SCHEDULED": second(SCHEDULED, started=1),
    "SCHEDULED, image wanted anew": second(SCHEDULED, started=1, asked={"pull_policy": "always"}),
    "SCHEDULED, image never to be pulled": second(
        SCHEDULED, started=1, asked={"pull_policy": "never"}
    ),
    "SCHEDULED, out of retries": second(SCHEDULED, started=1, retries=5),
    "SCHEDULED, in back-off": second(SCHEDULED, started=1, due=NOW + 10),
    "SCHEDULED, in back-off, Timeout over": second(
        SCHEDULED, started=1, due=NOW + 10, asked={"timeout": 30}, first_running=NOW - 60
    ),
    "SCHEDULED, started": second(SCHEDULED),
    "RUNNING": second(RUNNING),
    "RUNNING, restarted always": second(RUNNING, asked={"restart_policy": "always"}),
    "RUNNING, restarted on-failure": second(RUNNING, asked={"restart_policy": "on-failure"}),
    "RUNNING, Timeout over": second(RUNNING, asked={"timeout": 30, "restart_policy": "always"}),
    "RUNNING, unhealthy, restarted always": second(
        RUNNING, health=Health.UNHEALTHY, asked={"restart_policy": "always"}
    ),
    "RUNNING, signalled for a stop": stopping(1, attempt=2, started=2),
    "RUNNING, killed for a stop in vain": stopping(2, NOW - 10, attempt=2, started=2),
    "RUNNING, signalled for its Timeout": second(
        RUNNING, asked={"timeout": 30}, ending=ending(Why.DEADLINE, 1)
    ),
    "SCHEDULED, nobody heard": second(SCHEDULED, started=1, asked=ALONE),
    "RUNNING, nobody heard": second(RUNNING, asked=ALONE),
    "RUNNING, signalled since nobody was heard": second(
        RUNNING, asked=ALONE, ending=ending(Why.DISCONNECTED, 1)
    ),
    "COMPLETED": second(COMPLETED),
    "FAILED": second(FAILED),
}


def seen(body: Body, **world: Any) -> Seen:
    return Seen(body=body, silence=SILENCE, **world)


def absent(image: Image, **world: Any) -> Seen:
    return seen(Absent(image=image), **world)


def denied(*, final: bool) -> Unavailable:
    return Unavailable(at=NOW, final=final, message="denied")


def created(attempt: int, *, refused: bool = False, **world: Any) -> Seen:
    no = PORT_TAKEN if refused else None
    return seen(Created(container_id=CONTAINER, attempt=attempt, refused=no), **world)


def running(attempt: int, health: Health = Health.NONE, spec_hash: str = "", **world: Any) -> Seen:
    body = Running(
        container_id=CONTAINER,
        attempt=attempt,
        since=NOW - 60,
        health=health,
        spec_hash=spec_hash,
    )
    return seen(body, **world)


def exited(attempt: int, code: int, *, oom: bool = False, **world: Any) -> Seen:
    body = Exited(
        container_id=CONTAINER, attempt=attempt, code=code, oom=oom, since=NOW - 60, until=NOW - 1
    )
    return seen(body, **world)


def sights(attempt: int) -> dict[str, Seen]:
    """What may be seen of a task that is in that attempt."""
    return {
        "unknown": UNKNOWN,
        "absent, image missing": absent(Missing()),
        "absent, image pulled now": absent(Pulling()),
        "absent, pull failed": absent(denied(final=False)),
        "absent, pull denied": absent(denied(final=True)),
        "absent, image here": absent(Present()),
        "absent, image here, no slot": absent(Present(), slot=False),
        "absent, image pulled anew": absent(Present(pull=Pulled(at=NOW))),
        "created": created(attempt),
        "created, no slot": created(attempt, slot=False),
        "created, start refused": created(attempt, refused=True),
        "created, older": created(attempt - 1),
        "running": running(attempt),
        "running, unhealthy": running(attempt, Health.UNHEALTHY),
        "running, other spec": running(attempt, spec_hash="other"),
        "running, older": running(attempt - 1),
        "running, newer": running(attempt + 1),
        "running, and another": running(attempt, others=("0ld",)),
        "exited 0": exited(attempt, 0),
        "exited 3": exited(attempt, 3),
        "exited 137": exited(attempt, 137),
        "exited 137, out of memory": exited(attempt, 137, oom=True),
        "exited 0, out of memory": exited(attempt, 0, oom=True),
        "exited 0, older": exited(attempt - 1, 0),
        "expired, absent": absent(Present(), expired=True),
        "expired, exited 0": exited(attempt, 0, expired=True),
    }


# -- failed --------------------------------------------------------------------------------------

CREATE, REMOVE = Create(attempt=2), Remove(container_id=CONTAINER)
MAKING = second(SCHEDULED, started=1)
LAST_TRY = MAKING.but(retries=5)
ACTIONS: dict[str, tuple[Task, Action]] = {
    "pull": (MAKING, Pull(image="nginx:1")),
    "create": (MAKING, CREATE),
    "create, out of retries": (LAST_TRY, CREATE),
    "create, restarted always": (
        second(SCHEDULED, started=1, asked={"restart_policy": "always"}),
        CREATE,
    ),
    "start": (second(SCHEDULED), Start(container_id=CONTAINER, attempt=2)),
    "start, out of retries": (
        second(SCHEDULED, retries=5),
        Start(container_id=CONTAINER, attempt=2),
    ),
    "rename": (MAKING.but(attempt=1), Rename(container_id=CONTAINER, attempt=2)),
    "remove": (MAKING, REMOVE),
    "remove, of an ended task": (second(FAILED), REMOVE),
    "signal": (stopping(0), Signal(container_id=CONTAINER, signal="SIGTERM")),
    "kill": (stopping(1), Kill(container_id=CONTAINER)),
    "remove, by force": (stopping(2), REMOVE),
}
ERRORS: dict[str, EngineError] = {
    "no answer": EngineAway("timed out"),
    "busy": EngineBusy("at it"),
    "5xx": EngineFailed("no space left"),
    "4xx": EngineRefused("bad parameter"),
    "4xx, name taken": NameTaken("a stranger has our name"),
    "4xx, no image": ImageNotFound("no such image"),
    "not allowed here": NotAllowedHere("/etc may not be mounted"),
}
