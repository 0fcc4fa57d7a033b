"""StopAfterDisconnect: what the core decides when nobody was heard for as long as a task bears."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest

from keelman import situation
from keelman.ending import Ending, Why
from keelman.errors import EngineRefused
from keelman.health import Health
from keelman.moves import Step
from keelman.reconcile import failed, step
from keelman.seen import Create, Kill, Pulling, Remove, Rename, Seen, Signal, Start
from keelman.task import Reason, State, Task
from keelman.why import explain
from tests.unit.given import (
    CONTAINER,
    NOW,
    RUN,
    STOP,
    UNKNOWN,
    a_task,
    a_wish,
    absent,
    created,
    exited,
    in_back_off,
    running,
    unavailable,
)

SCHEDULED, RUNNING, COMPLETED, FAILED = (
    State.SCHEDULED,
    State.RUNNING,
    State.COMPLETED,
    State.FAILED,
)
BEARS = 30
ALONE: dict[str, Any] = {"stop_after_disconnect": BEARS, "restart_policy": "always"}
OURS = Ending(why=Why.DISCONNECTED, since=NOW - 2, signalled=1)


def alone(state: State, **known: Any) -> Task:
    return a_task(state, asked={**ALONE, **known.pop("asked", {})}, **known)


def silent(seen: Seen, seconds: float = BEARS) -> Seen:
    return msgspec.structs.replace(seen, silence=seconds)


def decided(task: Task, seen: Seen, seconds: float = BEARS) -> Step:
    return step(RUN, task, silent(seen, seconds), NOW)


def test_what_runs_is_stopped_by_the_ladder() -> None:
    """Why is on record before the signal is sent."""
    after = decided(alone(RUNNING), running())
    assert after.task.ending == Ending(why=Why.DISCONNECTED, since=NOW)
    assert after.action == Signal(container_id=CONTAINER, signal="SIGTERM")


def test_its_own_signal_and_grace_are_kept() -> None:
    task = alone(RUNNING, asked={"stop_signal": "SIGINT", "stop_timeout": 3})
    assert decided(task, running()).action == Signal(container_id=CONTAINER, signal="SIGINT")
    waiting = decided(task.but(ending=OURS), running())
    assert (waiting.action, waiting.wake) == (None, NOW + 1)
    after = step(RUN, task.but(ending=OURS), silent(running()), NOW + 1)
    assert after.action == Kill(container_id=CONTAINER)


def test_it_is_looked_at_again_when_its_time_is_over() -> None:
    """Not before, and nothing else is done until then."""
    after = decided(alone(RUNNING), running(), BEARS - 4)
    assert (after.action, after.transition) == (None, None)
    assert after.wake == pytest.approx(NOW + 4, abs=0.01)


def test_an_alarm_that_rings_a_little_early_is_set_anew_for_later() -> None:
    """Not for the same moment, again and again."""
    wake = decided(alone(RUNNING), running(), BEARS - 1e-11).wake
    assert wake is not None
    assert wake > NOW


def test_a_nearer_end_of_another_kind_comes_first() -> None:
    task = alone(RUNNING, asked={"timeout": 61})
    assert decided(task, running(), 0.0).wake == NOW + 1
    assert decided(in_back_off(asked=ALONE), absent(), 0.0).wake == NOW + 10


@pytest.mark.parametrize("silence", [0.0, BEARS, 1e10])
def test_who_asks_for_nothing_of_the_kind_is_left_alone(silence: float) -> None:
    after = step(RUN, a_task(RUNNING), silent(running(), silence), NOW)
    assert (after.action, after.wake) == (None, None)


@pytest.mark.parametrize(
    "seen",
    [exited(137), exited(143), exited(0), absent()],
    ids=["killed", "by the signal", "well", "gone"],
)
def test_once_its_process_is_gone_it_is_failed_and_says_why(seen: Seen) -> None:
    """Also when the manager is heard again by then: the signal was sent."""
    for silence in (0.0, BEARS):
        after = decided(alone(RUNNING, ending=OURS), seen, silence)
        assert (after.task.state, after.task.reason) == (FAILED, Reason.DISCONNECTED)
        assert after.task.message.startswith("nobody was heard for 30 s")
        assert (after.task.ending, after.action) == (None, None)


def test_that_it_had_to_be_killed_is_told() -> None:
    ending = Ending(why=Why.DISCONNECTED, since=NOW - 2, signalled=2)
    after = decided(alone(RUNNING, ending=ending), exited(137))
    assert after.task.message.endswith("killed when its grace was over")
    assert after.task.exit_code == 137


def test_who_is_heard_again_does_not_stop_the_ladder() -> None:
    """What was signalled is on its way out."""
    after = decided(alone(RUNNING, ending=OURS), running(), 0.0)
    assert after.task.ending == OURS
    later = step(RUN, alone(RUNNING, ending=OURS), silent(running(), 0.0), NOW + 8)
    assert later.action == Kill(container_id=CONTAINER)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure", "on-failure:9"])
@pytest.mark.parametrize("seen", [exited(3), exited(137, oom=True), absent()])
def test_what_ends_meanwhile_is_not_started_again(policy: str, seen: Seen) -> None:
    task = alone(RUNNING, asked={"restart_policy": policy})
    assert decided(task, seen, 0.0).task.state is SCHEDULED
    after = decided(task, seen)
    assert (after.task.state, after.task.reason) == (FAILED, Reason.DISCONNECTED)


def test_nor_is_what_was_ended_for_its_health() -> None:
    ending = Ending(why=Why.UNHEALTHY, since=NOW - 2, signalled=1)
    task = alone(RUNNING, ending=ending, health=Health.UNHEALTHY)
    assert decided(task, exited(143), 0.0).task.state is SCHEDULED
    assert decided(task, exited(143)).task.reason is Reason.DISCONNECTED


@pytest.mark.parametrize(
    ("seen", "state", "reason"),
    [(exited(0), COMPLETED, Reason.EXITED), (exited(3), FAILED, Reason.EXITED)],
)
def test_an_end_of_its_own_is_told_as_what_it_is(seen: Seen, state: State, reason: Reason) -> None:
    """When nothing would follow."""
    after = decided(alone(RUNNING, asked={"restart_policy": ""}), seen)
    assert (after.task.state, after.task.reason) == (state, reason)


@pytest.mark.parametrize(
    "seen",
    [
        absent(),
        absent(Pulling()),
        absent(slot=False),
        unavailable(),
        created(),
        created(slot=False),
        exited(3, attempt=1),
    ],
)
@pytest.mark.parametrize("task", [a_task(asked=ALONE), alone(SCHEDULED), in_back_off(asked=ALONE)])
def test_nothing_is_started_when_its_time_is_over(task: Task, seen: Seen) -> None:
    """It passes SCHEDULED, its container that never ran is removed, and then it is FAILED."""
    moves, actions = [], []
    for _ in range(5):
        after = decided(task, seen)
        task = after.task
        if after.transition is not None:
            moves.append(after.transition.to)
        if isinstance(after.action, Remove):
            seen = absent()
        actions.append(after.action)
    assert (task.state, task.reason) == (FAILED, Reason.DISCONNECTED)
    assert not any(isinstance(action, Create | Start | Rename) for action in actions)
    assert moves[-1] is FAILED


def test_what_was_started_in_time_is_told_and_stopped() -> None:
    """Every state passes."""
    first = decided(alone(SCHEDULED, started=1), running())
    assert first.task.state is RUNNING
    assert isinstance(decided(first.task, running()).action, Signal)


def test_an_older_container_that_runs_is_taken_away() -> None:
    task = in_back_off(asked=ALONE)
    assert decided(task, running(attempt=1)).action == Remove(container_id=CONTAINER)


def test_an_error_on_the_way_up_starts_nothing_either() -> None:
    """The restart that is due for it is none."""
    task = alone(SCHEDULED)
    again = failed(RUN, task, Create(attempt=1), EngineRefused("no"), NOW).task
    assert again.state is SCHEDULED
    assert decided(again, absent()).task.reason is Reason.DISCONNECTED


def test_an_engine_that_does_not_answer_moves_nothing() -> None:
    after = decided(alone(RUNNING), UNKNOWN)
    assert (after.transition, after.action, after.wake) == (None, None, NOW + 1)


def test_a_stop_has_the_last_word() -> None:
    task = alone(RUNNING, ending=OURS)
    after = step(STOP, task, silent(exited(143)), NOW)
    assert (after.task.state, after.task.reason) == (COMPLETED, Reason.STOPPED)


@pytest.mark.parametrize("silence", [0.0, BEARS])
def test_what_it_ended_stays_ended(silence: float) -> None:
    """Whatever its policy, and whoever is heard again, until a newer event asks for it."""
    ended = alone(FAILED, reason=Reason.DISCONNECTED)
    after = decided(ended, exited(143), silence)
    assert (after.transition, after.action) == (None, None)
    newer = a_wish(seq=2, generation=1, **ALONE)
    begun = step(newer, ended, silent(exited(143), 0.0), NOW)
    assert (begun.task.state, begun.task.generation) == (SCHEDULED, 1)


def test_no_step_ever_starts_anything_or_waits_for_nothing_when_its_time_is_over() -> None:
    """And no step asks for the same moment again and again."""
    tasks = [
        alone(state, attempt=attempt, started=started, ending=ending)
        for state, attempt, started, ending in product(
            (State.PENDING, SCHEDULED, RUNNING),
            (1, 2),
            (0, 1, 2),
            (None, OURS, Ending(why=Why.STOPPED, since=NOW, signalled=2)),
        )
    ]
    sights = [
        absent(),
        unavailable(final=True),
        *(make(attempt=attempt) for make in (created, running, exited) for attempt in (1, 2)),
    ]
    for task, seen in product(tasks, sights):
        after = decided(task, seen)
        told = f"{task} {seen}"
        assert not isinstance(after.action, Create | Start | Rename), told
        if after.action is None and after.task == task:
            assert after.wake is None or after.wake > NOW, told


def test_why_says_when_it_would_be_stopped() -> None:
    """And what of, while it is."""

    def told(task: Task, seconds: float) -> str:
        seen = silent(running(), seconds)
        here = situation.Situation(
            wish=RUN, task=task, seen=seen, step=step(RUN, task, seen, NOW), at=NOW
        )
        explained = explain(here)
        return f"{explained.summary} {explained.next}"

    words = told(alone(RUNNING), 20.0)
    assert "send SIGTERM when nobody was heard for 30 s" in words
    assert "nobody was heard for 30 s; SIGTERM was sent" in told(alone(RUNNING, ending=OURS), 40.0)
