"""What holds of every step, whatever was wished, recorded and seen."""

from __future__ import annotations

from keelman.moves import Step
from keelman.reconcile import step
from keelman.seen import (
    Absent,
    Action,
    Create,
    Created,
    Exited,
    Image,
    Kill,
    Present,
    Pull,
    Pulling,
    Remove,
    Rename,
    Running,
    Seen,
    Signal,
    Start,
    Unknown,
)
from keelman.task import EDGES, State, Task, Wish

STEPS_ON_ONE_SIGHT = 6


def check_move(before: Task, after: Step) -> None:
    """I4: a State changes along an edge, and the Transition tells of just that."""
    move, task = after.transition, after.task
    if move is None:
        assert task.state is before.state, "a State changed and no Transition tells of it"
        return
    assert (before.state, task.state) in EDGES
    assert (move.from_, move.to) == (before.state, task.state)
    assert (move.task_id, move.generation) == (task.id, task.generation)
    assert before.attempt <= move.attempt <= task.attempt


def check_counts(before: Task, after: Step) -> None:
    """Names are never used twice, and numbers never run backwards."""
    task = after.task
    assert task.attempt >= before.attempt
    if after.transition and task.state is State.SCHEDULED and before.state is not State.PENDING:
        assert task.attempt > before.attempt, "a new start under an old name"
    assert task.started <= task.attempt
    assert before.pulled <= task.pulled <= task.attempt
    assert task.generation >= before.generation


def check_action(wish: Wish | None, before: Task, seen: Seen, after: Step) -> None:
    """Every action has its intent on record, and nothing starts against an end or a stop."""
    task = after.task
    match after.action:
        case Create(attempt=attempt):
            check_may_start(wish, before, after)
            assert isinstance(seen.body, Absent)
            check_image(task, seen.body.image)
            assert seen.slot
            assert attempt == task.attempt > task.started
        case Start(container_id=container_id, attempt=attempt):
            check_may_start(wish, before, after)
            assert isinstance(seen.body, Created)
            assert seen.slot
            assert (container_id, attempt) == (seen.body.container_id, seen.body.attempt)
            assert task.started == task.attempt == attempt
            assert before.started < attempt, "a second start by the same name"
        case Rename(container_id=container_id, attempt=attempt):
            check_may_start(wish, before, after)
            assert isinstance(seen.body, Created)
            assert seen.body.refused is None
            assert seen.slot
            assert (container_id, task.container_id) == (seen.body.container_id,) * 2
            assert task.started == task.attempt == seen.body.attempt == attempt - 1
        case Signal() | Kill():
            assert task.ending is not None
        case Pull():
            check_may_start(wish, before, after)
            assert isinstance(seen.body, Absent)
        case Remove() | None:
            pass


def check_image(task: Task, image: Image) -> None:
    """It is here; who wants it pulled anew has had that, begun no sooner than this attempt."""
    assert isinstance(image, Present)
    if task.spec.pull_policy == "always":
        assert task.pulled == task.attempt


def check_may_start(wish: Wish | None, before: Task, after: Step) -> None:
    assert not before.state.ended
    assert not is_ending(wish, before)
    assert after.task.state is not State.COMPLETED
    assert not is_ending(wish, after.task)


def is_ending(wish: Wish | None, task: Task) -> bool:
    return task.ending is not None or (wish is not None and wish.stops)


def check_truth(wish: Wish | None, before: Task, seen: Seen, after: Step) -> None:
    """Silence changes nothing, and nobody is told that a live process is gone."""
    move = after.transition
    if isinstance(seen.body, Unknown):
        assert (after.task, move, after.action) == (before, None, None)
        assert after.wake is not None
    elif seen.others:
        assert (move, after.action) == (None, Remove(container_id=seen.others[0]))
    if move is not None and move.to is State.COMPLETED:
        assert not isinstance(seen.body, Running | Unknown)
        assert before.state is State.RUNNING or is_ending(wish, before)
    if move is not None and move.to.ended and isinstance(seen.body, Exited):
        older = seen.body.attempt < after.task.attempt
        assert before.state is State.RUNNING or older, "it ran, and nobody was told"
    if move is not None and move.to is State.RUNNING:
        assert isinstance(seen.body, Running | Exited)
        assert seen.body.attempt == after.task.attempt
    if after.forget:
        assert before.state.ended
        assert isinstance(seen.body, Absent)


def check_rest(seen: Seen, after: Step) -> None:
    """A lane that goes to sleep without a timer has something that wakes it."""
    if after.transition or after.action or after.forget or after.wake is not None:
        return
    body, task = seen.body, after.task
    watched = task.state is State.RUNNING and isinstance(body, Running) and task.deadline is None
    waits = not seen.slot or (isinstance(body, Absent) and is_pulled(body.image))
    assert task.state.ended or watched or waits, "it sleeps and nothing wakes it"


def is_pulled(image: Image) -> bool:
    """Whether a pull is under way, the end of which wakes who waits for it."""
    return isinstance(image.pull if isinstance(image, Present) else image, Pulling)


def check_step(wish: Wish | None, before: Task, seen: Seen, after: Step) -> None:
    check_move(before, after)
    check_counts(before, after)
    check_action(wish, before, seen, after)
    check_truth(wish, before, seen, after)
    check_rest(seen, after)


def check_fixpoint(wish: Wish | None, task: Task, seen: Seen, now: float) -> None:
    """Level, not edge: on one unchanging sight a task comes to rest, and is asked the same again.

    That is what makes a crash between the record and the action harmless.
    """
    last: tuple[Task, Action | None] | None = None
    for _ in range(STEPS_ON_ONE_SIGHT):
        after = step(wish, task, seen, now)
        if last == (after.task, after.action):
            return
        last, task = (after.task, after.action), after.task
    raise AssertionError(f"still moving: {last}")
