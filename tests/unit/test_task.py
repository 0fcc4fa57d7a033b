"""Task, its States and their edges."""

from __future__ import annotations

import msgspec
import pytest

from keelman.ending import Ending, Why
from keelman.errors import IllegalMove
from keelman.task import EDGES, Reason, Spec, State, Task, TaskEvent, Transition, new_task
from keelman.values import INT64_MAX, wire_name
from tests.unit.given import NOW, RUN, STOP, TASK_ID, a_spec, a_task, a_wish

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State

# The table of the design, §3.
DRAWN = {
    PENDING: {SCHEDULED, COMPLETED, FAILED},
    SCHEDULED: {SCHEDULED, RUNNING, COMPLETED, FAILED},
    RUNNING: {RUNNING, SCHEDULED, COMPLETED, FAILED},
    COMPLETED: {SCHEDULED},
    FAILED: {SCHEDULED},
}

ALL_PAIRS = [
    pytest.param(before, after, id=f"{before.name}-{after.name}")
    for before in State
    for after in State
]


@pytest.mark.parametrize(("before", "after"), ALL_PAIRS)
def test_the_edges_are_those_of_the_design(before: State, after: State) -> None:
    assert ((before, after) in EDGES) == (after in DRAWN[before])


@pytest.mark.parametrize(("before", "after"), ALL_PAIRS)
def test_a_task_moves_along_an_edge_and_along_nothing_else(before: State, after: State) -> None:
    task = a_task(before)
    asked_again = {"wish": task.wish + 1, "generation": task.generation + 1}
    if after in DRAWN[before]:
        assert task.to(after, **asked_again).state is after
    else:
        with pytest.raises(IllegalMove, match=f"{before.name} to {after.name}"):
            task.to(after, **asked_again)


@pytest.mark.parametrize(
    ("ended", "changes", "legal"),
    [
        pytest.param(FAILED, {}, False, id="failed, the same wish"),
        pytest.param(FAILED, {"wish": 0}, False, id="failed, an older wish"),
        pytest.param(FAILED, {"generation": 1}, False, id="failed, only a higher generation"),
        pytest.param(FAILED, {"wish": 2}, True, id="failed, a greater wish"),
        pytest.param(COMPLETED, {}, False, id="completed, the same wish"),
        pytest.param(COMPLETED, {"wish": 2}, False, id="completed, a greater wish"),
        pytest.param(COMPLETED, {"wish": 2, "generation": 1}, True, id="completed, generation"),
    ],
)
def test_an_end_is_left_only_for_what_the_design_names(
    ended: State, changes: dict[str, int], legal: bool
) -> None:
    if legal:
        assert a_task(ended).to(SCHEDULED, **changes).state is SCHEDULED
    else:
        with pytest.raises(IllegalMove):
            a_task(ended).to(SCHEDULED, **changes)


def test_a_move_leaves_the_task_it_came_from_alone() -> None:
    before = a_task()
    after = before.to(SCHEDULED, attempt=1)
    assert (before.state, before.attempt) == (PENDING, 0)
    assert (after.state, after.attempt) == (SCHEDULED, 1)


def test_but_changes_everything_except_the_state() -> None:
    assert a_task().but(attempt=3).attempt == 3
    with pytest.raises(IllegalMove):
        a_task().but(state=RUNNING)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_only_completed_and_failed_are_ends(state: State) -> None:
    assert state.ended == (state in {COMPLETED, FAILED})


def test_a_new_task_is_pending_and_serves_no_wish_yet() -> None:
    task = new_task(a_wish(seq=7, generation=3, init=True))
    assert (task.id, task.state, task.wish, task.generation) == (TASK_ID, PENDING, 0, 3)
    assert (task.spec.init, task.attempt, task.started) == (True, 0, 0)


@pytest.mark.parametrize(
    ("attempt", "renames", "restarts"),
    [(0, 0, 0), (1, 0, 0), (2, 0, 1), (5, 0, 4), (2, 1, 0), (5, 2, 2)],
)
def test_restarts_are_the_attempts_after_the_first_but_for_new_names(
    attempt: int, renames: int, restarts: int
) -> None:
    assert a_task(attempt=attempt, renames=renames).restart_count == restarts


@pytest.mark.parametrize(
    ("timeout", "first_running", "deadline"),
    [
        pytest.param(0, NOW, None, id="no Timeout"),
        pytest.param(30, None, None, id="never ran"),
        pytest.param(30, NOW, NOW + 30, id="from its first RUNNING"),
    ],
)
def test_a_deadline_counts_from_the_first_running(
    timeout: int, first_running: float | None, deadline: float | None
) -> None:
    assert a_task(asked={"timeout": timeout}, first_running=first_running).deadline == deadline


@pytest.mark.parametrize(
    ("stop_timeout", "grace"),
    [
        pytest.param(None, 10, id="usual"),
        pytest.param(0, 0, id="none at all"),
        pytest.param(75, 75, id="as asked"),
    ],
)
def test_the_usual_grace_is_ten_seconds(stop_timeout: int | None, grace: int) -> None:
    assert a_spec(stop_timeout=stop_timeout).grace_seconds == grace


@pytest.mark.parametrize("state", [PENDING, SCHEDULED, RUNNING], ids=lambda state: state.name)
def test_an_event_of_state_0_1_or_2_wants_it_to_run(state: State) -> None:
    assert TaskEvent(id="e", state=state, task_id=TASK_ID).wants is RUNNING


def test_an_event_of_state_3_wants_it_stopped() -> None:
    assert TaskEvent(id="e", state=COMPLETED, task_id=TASK_ID).wants is COMPLETED
    assert STOP.stops
    assert not RUN.stops


def test_the_same_spec_has_the_same_digest_in_whatever_order_it_was_sent() -> None:
    one = a_spec(env={"A": "1", "B": "2"})
    assert one.digest() == a_spec(env={"B": "2", "A": "1"}).digest()
    assert one.digest() != a_spec(env={"A": "1", "B": "3"}).digest()


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("id", "ID"),
        ("task_id", "TaskID"),
        ("container_id", "ContainerID"),
        ("read_only_rootfs", "ReadOnlyRootfs"),
        ("pids_limit", "PidsLimit"),
        ("env", "Env"),
    ],
    ids=lambda text: text,
)
def test_fields_are_pascal_case_in_json(field: str, name: str) -> None:
    assert wire_name(field) == name


def test_a_transition_says_from_and_to_in_json() -> None:
    move = Transition(task_id=TASK_ID, from_=PENDING, to=SCHEDULED, time=NOW)
    told = msgspec.json.decode(msgspec.json.encode(move))
    assert (told["From"], told["To"], told["Reason"]) == (0, 1, "")


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"Memory": -1}, id="less than nothing"),
        pytest.param({"Memory": INT64_MAX + 1}, id="more than 64 bits"),
        pytest.param({"Cpu": -0.5}, id="less than no core"),
        pytest.param({"Timeout": 31_536_001}, id="longer than a year"),
        pytest.param({"Imagge": "x"}, id="a field nobody knows"),
        pytest.param({"ExposedPorts": {"80/tcp": {"x": 1}}}, id="a field in an empty object"),
    ],
)
def test_a_spec_is_read_strictly(asked: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(asked, Spec)


def test_a_task_survives_being_written_down() -> None:
    task = a_task(
        RUNNING, ending=Ending(why=Why.DEADLINE, since=NOW, signalled=2), reason=Reason.STUCK
    )
    assert msgspec.json.decode(msgspec.json.encode(task), type=Task) == task
