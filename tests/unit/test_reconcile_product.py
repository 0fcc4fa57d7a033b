"""Every wish with every kind of task and every sight: the laws hold of each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest

from keelman.ending import Ending, Why
from keelman.health import Health
from keelman.reconcile import step
from keelman.seen import (
    Absent,
    Body,
    Created,
    Exited,
    Missing,
    Present,
    Pulled,
    Pulling,
    Running,
    Seen,
    Unavailable,
    Unknown,
)
from keelman.task import EDGES, State, Task, Wish
from tests.unit.given import CONTAINER, NOW, PORT_TAKEN, a_task, a_wish
from tests.unit.laws import check_fixpoint, check_step

WISHES = {
    "no wish": None,
    "run": a_wish(),
    "stop": a_wish(State.COMPLETED, seq=2),
    "an old stop": a_wish(State.COMPLETED),
    "a greater run": a_wish(seq=9),
    "a higher generation": a_wish(seq=9, generation=9),
    "a stop of a higher generation": a_wish(State.COMPLETED, seq=9, generation=9),
}
POLICIES = ("", "always", "on-failure:1")
ATTEMPTS = (
    1,
    2,
    3,
)  # older than, the same as, newer than a task's; tasks are in their first or second


def asked() -> Iterator[dict[str, object]]:
    """Specs: restart policy, with a Timeout that is over (30 s) or is not (90 s), image policy."""
    for policy, timeout in product(POLICIES, (0, 30, 90)):
        yield {"restart_policy": policy, "timeout": timeout}
    yield {"pull_policy": "never"}
    yield {"pull_policy": "always"}
    yield {"pull_policy": "always", "restart_policy": "always", "timeout": 90}
    yield {"stop_timeout": 0}


def endings(*whys: Why) -> Iterator[Ending | None]:
    yield None
    for why, signalled, since in product(whys, range(4), (NOW - 60, NOW)):
        yield Ending(why=why, since=since, signalled=signalled)


def pending() -> Iterator[Task]:
    """New, or adopted: an adopted one is rebuilt as PENDING with the attempt of its container."""
    for spec in asked():
        yield a_task(asked=spec)
        for ending in (None, Ending(why=Why.ADOPTED, since=NOW)):
            yield a_task(asked=spec, ending=ending, attempt=2, started=2)


def scheduled() -> Iterator[Task]:
    endings_ = (
        None,
        Ending(why=Why.ADOPTED, since=NOW),
        *(Ending(why=Why.STOPPED, since=NOW - 60, signalled=rungs) for rungs in (0, 2)),
    )
    for spec, (attempt, started, ran), due, retries, ending in product(
        asked(),
        ((1, 0, None), (1, 1, None), (2, 1, NOW - 60), (2, 2, NOW - 60)),
        (NOW - 5, NOW + 5),
        (0, 5),
        endings_,
    ):
        yield a_task(
            State.SCHEDULED,
            asked=spec,
            attempt=attempt,
            started=started,
            first_running=ran,
            due=due,
            retries=retries,
            failures=attempt - 1,
            ending=ending,
        )


def running() -> Iterator[Task]:
    for spec, attempt, ending in product(
        asked(), (1, 2), endings(Why.STOPPED, Why.DEADLINE, Why.UNHEALTHY, Why.ADOPTED)
    ):
        yield a_task(
            State.RUNNING, asked=spec, attempt=attempt, started=attempt, failures=1, ending=ending
        )
    for spec, health in product(asked(), (Health.STARTING, Health.HEALTHY, Health.UNHEALTHY)):
        yield a_task(State.RUNNING, asked=spec, attempt=1, started=1, health=health)


def ended(state: State) -> Iterator[Task]:
    for policy, attempt, ending in product(POLICIES, (1, 2), endings(Why.STRAY)):
        yield a_task(
            state,
            asked={"restart_policy": policy},
            attempt=attempt,
            started=attempt,
            ending=ending,
        )


TASKS = {
    State.PENDING: list(pending()),
    State.SCHEDULED: list(scheduled()),
    State.RUNNING: list(running()),
    State.COMPLETED: list(ended(State.COMPLETED)),
    State.FAILED: list(ended(State.FAILED)),
}


def bodies() -> Iterator[Body]:
    yield Unknown(why="no answer")
    for image in (Missing(), Pulling(), Present()):
        yield Absent(image=image)
    for at, final in product((NOW - 30, NOW), (True, False)):
        denied = Unavailable(at=at, final=final, message="denied")
        yield Absent(image=denied)
        yield Absent(image=Present(pull=denied))
        yield Absent(image=Present(pull=Pulled(at=at)))
    yield Absent(image=Present(pull=Pulling()))
    for attempt in ATTEMPTS:
        yield from containers(attempt)


def containers(attempt: int) -> Iterator[Body]:
    for spec_hash in ("", "another spec's"):
        yield Running(container_id=CONTAINER, attempt=attempt, since=NOW - 60, spec_hash=spec_hash)
    for health in (Health.HEALTHY, Health.UNHEALTHY):
        yield Running(container_id=CONTAINER, attempt=attempt, since=NOW - 60, health=health)
    for refused in (None, PORT_TAKEN):
        yield Created(container_id=CONTAINER, attempt=attempt, refused=refused)
    for code, oom, up in (
        *((0, False, 60), (3, False, 601), (137, False, 60), (143, False, 60)),
        *((137, True, 60), (0, True, 60)),
    ):
        yield Exited(
            container_id=CONTAINER,
            attempt=attempt,
            code=code,
            oom=oom,
            since=NOW - up,
            until=NOW - 1,
        )


def sights() -> Iterator[Seen]:
    for body in bodies():
        yield Seen(body=body)
        if isinstance(body, Absent | Created):  # who could use a slot
            yield Seen(body=body, slot=False)
        yield Seen(body=body, expired=True)
    yield Seen(body=Unknown(), others=("older",))
    yield Seen(body=Absent(image=Present()), others=("older",))
    yield Seen(body=Running(container_id=CONTAINER, attempt=2, since=NOW), others=("older", "old"))


SIGHTS = list(sights())


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_step_keeps_the_laws(state: State, wish: Wish | None) -> None:
    for task, seen in product(TASKS[state], SIGHTS):
        check_step(wish, task, seen, step(wish, task, seen, NOW))


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_on_one_sight_every_task_comes_to_rest_and_asks_for_the_same_again(
    state: State, wish: Wish | None
) -> None:
    for task, seen in product(TASKS[state][::5], SIGHTS[::2]):
        check_fixpoint(wish, task, seen, NOW)


@pytest.mark.parametrize("kind", [Created, Running, Exited])
def test_every_kind_of_container_is_seen_of_every_attempt(kind: type[Created]) -> None:
    """With each of its forms: what is left out here, no law is held against."""
    forms = [body for body in bodies() if isinstance(body, kind)]
    counts = Counter(body.attempt for body in forms)
    assert set(counts) == set(ATTEMPTS)
    assert len(set(counts.values())) == 1


NOT_WALKED = {
    (State.PENDING, State.FAILED),  # it is SCHEDULED first: every state passes
}


def test_every_edge_of_the_design_is_walked_but_one() -> None:
    walked = set()
    for wish, state in product(WISHES.values(), State):
        for task, seen in product(TASKS[state][::11], SIGHTS[::2]):
            move = step(wish, task, seen, NOW).transition
            walked |= {(move.from_, move.to)} if move else set()
    assert walked == EDGES - NOT_WALKED
