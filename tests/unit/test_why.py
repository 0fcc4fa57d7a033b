"""Why a task is where it is, in words that people read."""

from __future__ import annotations

from typing import Any

import pytest

from keelman.ending import Ending, Why
from keelman.explanation import Asked, Blocker
from keelman.health import Health
from keelman.progress import Progress
from keelman.seen import Absent, Missing, Present, Pulling, Running, Seen, Unknown
from keelman.situation import Parked, Unrecorded
from keelman.task import Reason, State, Task, Transition, Wish
from tests.unit.given import (
    CONTAINER,
    NOW,
    OLD_CONTAINER,
    PORT_TAKEN,
    RUN,
    STOP,
    TASK_ID,
    UNKNOWN,
    a_task,
    a_wish,
    absent,
    created,
    exited,
    in_back_off,
    running,
    stopping,
    unavailable,
)
from tests.unit.given_why import explained, seconds_of

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = State
DAY = 86_400.0
DEADLINE: dict[str, Any] = {"timeout": 90}
HEALTHY = Seen(
    body=Running(
        container_id=CONTAINER, attempt=1, since=NOW - 60, health=Health.HEALTHY,
        health_words="GET / answered 200",
    )
)  # fmt: skip
IS_COMING = absent(Pulling())


def case(
    name: str, wish: Wish | None, task: Task, sight: Seen, *told: object, **beside: object
) -> Any:  # noqa: ANN401  # pytest's own
    return pytest.param(wish, task, sight, beside, told, id=name)


@pytest.mark.parametrize(
    ("wish", "task", "sight", "beside", "told"),
    [
        case(
            "a wish not taken up yet", RUN, a_task(), absent(Missing()),
            "It is not taken up yet; the worker is about to record it as SCHEDULED, attempt 1 and"
            " pull nginx:1.",
            "", "record it as SCHEDULED, attempt 1 and pull nginx:1", 0,
        ),
        case(
            "a pull", RUN, a_task(SCHEDULED), IS_COMING,
            "It waits for its image: pulling nginx:1: 2 of 5 layers.",
            Blocker.PULL, "create the container of attempt 1 when the image is here", None,
            pull=Progress(layers=5, layers_done=2),
        ),
        case(
            "a pull behind others", RUN, a_task(SCHEDULED), IS_COMING,
            "It waits for its image: pulling nginx:1: other pulls are before it.",
            Blocker.PULL, "create the container of attempt 1 when the image is here", None,
        ),
        case(
            "a pull anew", RUN, a_task(SCHEDULED, asked={"pull_policy": "always"}),
            absent(Present(pull=Pulling())),
            "It waits for its image: pulling nginx:1.",
            Blocker.PULL, "create the container of attempt 1 when the image is here", None,
            pull=Progress(),
        ),
        case(
            "somebody else's pull", RUN, a_task(SCHEDULED), absent(Present(pull=Pulling())),
            "It has no container; the worker is about to create the container of attempt 1.",
            "", "create the container of attempt 1", 0,
        ),
        case(
            "somebody else's pull, and no slot", RUN, a_task(SCHEDULED),
            absent(Present(pull=Pulling()), slot=False),
            "It waits for a start slot: the only one.",
            Blocker.SLOT, "create the container of attempt 1 when a start slot is free", None,
        ),
        case(
            "a pull, and a Timeout", RUN,
            in_back_off(due=NOW - 1, asked=DEADLINE), IS_COMING,
            "It waits for its image: pulling nginx:1.",
            Blocker.PULL,
            "create the container of attempt 2 when the image is here, or record it as FAILED"
            " (deadline) when its Timeout is over", 30,
            pull=Progress(),
        ),
        case(
            "no slot", RUN, a_task(SCHEDULED), absent(slot=False),
            "It waits for a start slot: one of 4, and 3 tasks are before it.",
            Blocker.SLOT, "create the container of attempt 1 when a start slot is free", None,
            slots=4, before=3,
        ),
        case(
            "no slot to start with", RUN, a_task(SCHEDULED), created(slot=False),
            "It waits for a start slot: one of 4, and 1 task is before it.",
            Blocker.SLOT, "start container c0ffee when a start slot is free", None,
            slots=4, before=1,
        ),
        case(
            "the next to start", RUN, a_task(SCHEDULED), absent(slot=False),
            "It waits for a start slot: the only one, and no task is before it.",
            Blocker.SLOT, "create the container of attempt 1 when a start slot is free", None,
            slots=1, before=0,
        ),
        case(
            "no slot, and not in the queue yet", RUN, a_task(SCHEDULED), absent(slot=False),
            "It waits for a start slot: one of 2.",
            Blocker.SLOT, "create the container of attempt 1 when a start slot is free", None,
            slots=2,
        ),
        case(
            "back-off", RUN,
            in_back_off(attempt=4, due=NOW + 37, message="exited with code 3"), absent(),
            "It waits for its back-off: attempt 4 is due in 37 s; the last one:"
            " exited with code 3.",
            Blocker.BACK_OFF, "create the container of attempt 4", 37,
        ),
        case(
            "back-off of a pull", RUN,
            a_task(SCHEDULED, due=NOW + 4, retries=2, message="pull nginx:1: toomanyrequests"),
            absent(Missing()),
            "It waits for its back-off: attempt 1 is tried again in 4 s; the last one:"
            " pull nginx:1: toomanyrequests.",
            Blocker.BACK_OFF, "pull nginx:1", 4,
        ),
        case(
            "back-off, with the last container there", RUN, in_back_off(), exited(3),
            "It waits for its back-off: attempt 2 is due in 10 s.",
            Blocker.BACK_OFF, "remove container c0ffee", 10,
        ),
        case(
            "back-off without a slot", RUN, in_back_off(), absent(slot=False),
            "It waits for its back-off: attempt 2 is due in 10 s.",
            Blocker.BACK_OFF, "create the container of attempt 2", 10,
        ),
        case(
            "back-off beyond the Timeout", RUN,
            in_back_off(due=NOW + 50, asked={"timeout": 70}), absent(),
            "It waits for its back-off: attempt 2 is due in 50 s.",
            Blocker.BACK_OFF, "record it as FAILED (deadline)", 10,
        ),
        case(
            "back-off, and then a pull of others", RUN, in_back_off(), IS_COMING,
            "It waits for its back-off: attempt 2 is due in 10 s.",
            Blocker.BACK_OFF, "wait for its image", 10,
        ),
        case(
            "an older container", RUN, a_task(SCHEDULED, attempt=2),
            Seen(body=created(attempt=2).body, others=(OLD_CONTAINER,)),
            "Another container of it has to go: the worker is about to remove container 0ld first.",
            Blocker.CONTAINER, "remove container 0ld", 0,
        ),
        case(
            "the last attempt's container", RUN, in_back_off(due=NOW), exited(3),
            "Another container of it has to go: the worker is about to remove container c0ffee"
            " first.",
            Blocker.CONTAINER, "remove container c0ffee", 0,
        ),
        case(
            "the container of another life", RUN, a_task(),
            Seen(body=Running(container_id="x", attempt=1, since=0, spec_hash="another")),
            "Another container of it has to go: the worker is about to remove container x first.",
            Blocker.CONTAINER, "remove container x", 0,
        ),
        case(
            "made", RUN, a_task(SCHEDULED), created(),
            "Its container is made and does not run; the worker is about to start container"
            " c0ffee.",
            "", "start container c0ffee", 0,
        ),
        case(
            "up, and not recorded yet", RUN, a_task(SCHEDULED, started=1), running(),
            "It runs; the worker is about to record it as RUNNING.",
            "", "record it as RUNNING", 0,
        ),
        case(
            "runs", RUN, a_task(RUNNING), running(),
            "It runs.",
            "", "nothing until it ends by itself (then COMPLETED after exit code 0, FAILED after"
            " another) or a stop is asked for", None,
        ),
        case(
            "runs, and is always restarted", RUN,
            a_task(RUNNING, asked={"restart_policy": "always"}), running(),
            "It runs.",
            "", "nothing until it ends by itself (then SCHEDULED) or a stop is asked for", None,
        ),
        case(
            "runs, until its Timeout", RUN, a_task(RUNNING, asked=DEADLINE), running(),
            "It runs, for 30 s more at most: its Timeout.",
            "", "send SIGTERM when its Timeout is over; nothing before, until it ends by itself"
            " (then COMPLETED after exit code 0, FAILED after another) or a stop is asked for", 30,
        ),
        case(
            "runs, adopted", None, a_task(RUNNING), running(),
            "It runs.",
            "", "nothing until it ends by itself (then COMPLETED after exit code 0, FAILED after"
            " another) or a stop is asked for", None,
        ),
        case(
            "has exited", RUN, a_task(RUNNING), exited(3),
            "Its process is gone (exited with code 3); the worker is about to record it as FAILED"
            " (exited).",
            "", "record it as FAILED (exited)", 0,
        ),
        case(
            "has exited and restarts", RUN,
            a_task(RUNNING, asked={"restart_policy": "on-failure"}), exited(3),
            "Its process is gone (exited with code 3); the worker is about to record it as"
            " SCHEDULED, attempt 2.",
            "", "record it as SCHEDULED, attempt 2", 0,
        ),
        case(
            "refused by the engine", RUN, a_task(SCHEDULED, started=1),
            created(refused=PORT_TAKEN),
            "The engine refused to start its container (port is already allocated); the worker is"
            " about to record it as FAILED (port_taken).",
            "", "record it as FAILED (port_taken)", 0,
        ),
        case(
            "no such image", RUN, a_task(SCHEDULED), unavailable(final=True),
            "Its image cannot be had (the registry's words); the worker is about to record it as"
            " FAILED (image_unavailable).",
            "", "record it as FAILED (image_unavailable)", 0,
        ),
        case(
            "vanished", RUN, a_task(RUNNING), absent(),
            "It has no container; the worker is about to record it as FAILED (vanished).",
            "", "record it as FAILED (vanished)", 0,
        ),
        case(
            "a stop asked for", STOP, a_task(RUNNING), running(),
            "Its process is being ended: a stop was asked for; nothing was sent yet.",
            Blocker.PROCESS,
            "send SIGTERM; once its process is gone, record it as COMPLETED", 0,
        ),
        case(
            "a stop under way", STOP, stopping(1, since=NOW - 2), running(),
            "Its process is being ended: a stop was asked for; SIGTERM was sent 2 s ago.",
            Blocker.PROCESS,
            "send KILL; once its process is gone, record it as COMPLETED", 8,
        ),
        case(
            "a stop by the signal that was asked for", STOP,
            stopping(1, since=NOW - 2, asked={"stop_signal": "SIGINT", "stop_timeout": 60}),
            running(),
            "Its process is being ended: a stop was asked for; SIGINT was sent 2 s ago.",
            Blocker.PROCESS,
            "send KILL; once its process is gone, record it as COMPLETED", 58,
        ),
        case(
            "a stop that KILL did not end yet", STOP, stopping(2, since=NOW - 4), running(),
            "Its process is being ended: a stop was asked for; KILL was sent 4 s ago.",
            Blocker.PROCESS,
            "remove container c0ffee by force; once its process is gone, record it as COMPLETED", 6,
        ),
        case(
            "a stuck process", STOP, stopping(5, since=NOW - 20), running(),
            "Its process is being ended: a stop was asked for; it is stuck: it outlives KILL, and"
            " removal by force was tried 3 times, 20 s ago.",
            Blocker.PROCESS,
            "remove container c0ffee by force; once its process is gone, record it as COMPLETED",
            10,
        ),
        case(
            "a stop before it ran", STOP, a_task(SCHEDULED), absent(),
            "It has no container; the worker is about to record it as COMPLETED (stopped).",
            "", "record it as COMPLETED (stopped)", 0,
        ),
        case(
            "a stop of a container that never ran", STOP, a_task(SCHEDULED), created(),
            "Its container is made and does not run; the worker is about to remove container"
            " c0ffee.",
            "", "remove container c0ffee", 0,
        ),
        case(
            "a Timeout that is over", RUN,
            a_task(
                RUNNING, asked={"timeout": 50},
                ending=Ending(why=Why.DEADLINE, since=NOW - 1, signalled=1),
            ),
            running(),
            "Its process is being ended: it ran into its Timeout of 50 s; SIGTERM was sent 1 s"
            " ago.",
            Blocker.PROCESS, "send KILL; once its process is gone, record it as FAILED", 9,
        ),
        case(
            "unhealthy, and restarts", RUN,
            a_task(
                RUNNING, asked={"restart_policy": "on-failure", "health_check": "/"},
                health=Health.UNHEALTHY, message="GET / answered 500 (3 times in a row)",
                ending=Ending(why=Why.UNHEALTHY, since=NOW - 3, signalled=1),
            ),
            running(),
            "Its process is being ended: it is unhealthy (GET / answered 500 (3 times in a row));"
            " SIGTERM was sent 3 s ago.",
            Blocker.PROCESS, "send KILL; once its process is gone, record it as SCHEDULED", 7,
        ),
        case(
            "healthy", RUN, a_task(RUNNING, asked={"health_check": "/"}, health=Health.HEALTHY),
            HEALTHY,
            "It runs, and its probes pass (GET / answered 200).",
            "", "nothing until it ends by itself (then COMPLETED after exit code 0, FAILED after"
            " another) or a stop is asked for", None,
        ),
        case(
            "not healthy yet", RUN,
            a_task(RUNNING, asked={"health_check": "/"}, health=Health.STARTING), running(),
            "It runs, and no probe has passed yet.",
            "", "nothing until it ends by itself (then COMPLETED after exit code 0, FAILED after"
            " another) or a stop is asked for", None,
        ),
        case(
            "the engine is away", RUN, a_task(RUNNING), UNKNOWN,
            "It stays RUNNING: the engine has not answered for 12 s (no answer), and no task fails"
            " for that.",
            Blocker.ENGINE, "look at it again", 1, away_since=NOW - 12,
        ),
        case(
            "nothing is known", STOP, a_task(RUNNING), Seen(body=Unknown(why="removing")),
            "It stays RUNNING: nothing is known of its container (removing).",
            Blocker.ENGINE, "look at it again", 1,
        ),
        case(
            "a bug", RUN, a_task(SCHEDULED), absent(),
            "It is parked after an error in the worker: LookupError('a bug'); it is tried again"
            " in 4 s.",
            Blocker.INTERNAL_ERROR, "create the container of attempt 1", 4,
            mishap=Parked(until=NOW + 4, words="LookupError('a bug')", times=1),
        ),
        case(
            "a bug, and the engine is away", RUN, a_task(SCHEDULED), UNKNOWN,
            "It is parked after an error in the worker: a bug; it is tried again in less than 1 s.",
            Blocker.INTERNAL_ERROR, "look at it again", 0,
            mishap=Parked(until=NOW - 1, words="a bug", times=1),
        ),
        case(
            "a full disk", RUN, a_task(SCHEDULED), absent(),
            "What cannot be recorded is not done: database or disk is full; it is tried again in"
            " 1 s.",
            Blocker.CANNOT_RECORD, "create the container of attempt 1", 1,
            mishap=Unrecorded(until=NOW + 1, words="database or disk is full"),
        ),
        case(
            "COMPLETED", RUN, a_task(COMPLETED), exited(),
            "COMPLETED is final: its record is kept for 1 d 0 h more.",
            Blocker.RETENTION, "remove its container and drop its record", DAY,
            kept_seconds=DAY + 1,
        ),
        case(
            "FAILED", RUN, a_task(FAILED), exited(3),
            "It FAILED and runs again only for a new event: its record is kept for 59 m 59 s more.",
            Blocker.RETENTION, "remove its container and drop its record", 3599,
            kept_seconds=3600,
        ),
        case(
            "FAILED, and asked for again", a_wish(seq=7), a_task(FAILED), exited(3),
            "It has failed, and a newer wish asks for it again; the worker is about to record it as"
            " SCHEDULED, attempt 2.",
            "", "record it as SCHEDULED, attempt 2", 0,
        ),
        case(
            "a new life after COMPLETED", a_wish(seq=7, generation=1), a_task(COMPLETED), exited(),
            "It has completed, and a newer wish asks for it again; the worker is about to record it"
            " as SCHEDULED, attempt 2.",
            "", "record it as SCHEDULED, attempt 2", 0,
        ),
        case(
            "over its time", RUN, a_task(FAILED), exited(3, expired=True),
            "Its process is gone (exited with code 3); the worker is about to remove container"
            " c0ffee.",
            "", "remove container c0ffee", 0,
        ),
        case(
            "over its time, without a container", RUN, a_task(FAILED), absent(expired=True),
            "It has no container; the worker is about to drop its record.",
            "", "drop its record", 0,
        ),
        case(
            "a stray", RUN, a_task(FAILED), running(),
            "Its process is being ended: its task has ended, and it runs; nothing was sent yet.",
            Blocker.PROCESS, "send SIGTERM", 0,
        ),
        case(
            "adopted after its end, and runs", None,
            a_task(RUNNING, ending=Ending(why=Why.ADOPTED, since=NOW, signalled=1)), running(),
            "Its process is being ended: it had ended before it was adopted, and it runs; SIGTERM"
            " was sent just now.",
            Blocker.PROCESS, "send KILL; once its process is gone, record it as FAILED", 10,
        ),
    ],
)  # fmt: skip
def test_it_is_told_in_words(
    wish: Wish | None, task: Task, sight: Seen, beside: dict[str, Any], told: tuple[object, ...]
) -> None:
    answer = explained(wish, task, sight, **beside)
    assert (answer.summary, answer.blocked.by, answer.next, seconds_of(answer)) == told
    assert answer.blocked.message in answer.summary


def a_move(from_: State, to: State, *, attempt: int = 3, ago: float = 12) -> Transition:
    return Transition(task_id=TASK_ID, attempt=attempt, from_=from_, to=to, time=NOW - ago)


@pytest.mark.parametrize(
    ("task", "last", "words"),
    [
        (a_task(), None, "it was asked for"),
        (a_task(SCHEDULED), None, "how it came here is no longer in the log"),
        (a_task(SCHEDULED), a_move(PENDING, SCHEDULED), "it was taken up, 12 s ago"),
        (a_task(RUNNING), a_move(SCHEDULED, RUNNING), "attempt 3 began to run, 12 s ago"),
        (
            in_back_off(message="exited with code 3", reason=Reason.EXITED),
            a_move(RUNNING, SCHEDULED, ago=0.2),
            "attempt 3 ended, and a restart was due, just now: exited with code 3",
        ),
        (
            a_task(FAILED, message="exited with code 3; its last lines:\nno sheep"),
            a_move(RUNNING, FAILED, ago=7200),
            "attempt 3 ended, 2 h 0 m ago: exited with code 3",
        ),
        (a_task(FAILED), a_move(RUNNING, FAILED), "attempt 3 ended, 12 s ago: exited"),
        (
            a_task(RUNNING, reason=Reason.STUCK, message="its process outlives KILL"),
            a_move(SCHEDULED, RUNNING),
            "attempt 3 began to run, 12 s ago: its process outlives KILL",
        ),
    ],
)
def test_because_tells_the_last_move_and_what_is_on_record(
    task: Task, last: Transition | None, words: str
) -> None:
    assert explained(RUN, task, UNKNOWN, last=last).because == words


def test_a_task_that_was_found_was_asked_for_by_nobody() -> None:
    told = explained(None, a_task(), UNKNOWN)
    assert told.because == "its container was found, and was not on record"
    assert told.wish is None


@pytest.mark.parametrize(("wish", "asked"), [(RUN, ("run", 1)), (STOP, ("stop", 2))])
def test_the_wish_is_told_with_its_number(wish: Wish, asked: tuple[Any, int]) -> None:
    wants, seq = asked
    assert explained(wish, a_task(RUNNING), running()).wish == Asked(wants=wants, seq=seq)


@pytest.mark.parametrize(
    ("sight", "word"),
    [
        (Seen(body=Absent(image=Missing())), "absent"),
        (created(), "created"),
        (running(), "running"),
        (exited(), "exited"),
        (UNKNOWN, "unknown"),
    ],
)
def test_what_is_seen_is_told_in_a_word(sight: Seen, word: str) -> None:
    assert explained(RUN, a_task(SCHEDULED), sight).seen == word


def test_state_and_name_are_those_that_the_list_shows() -> None:
    """A FAILED task that was asked for again is PENDING there, by the name that it has now."""
    told = explained(a_wish(seq=7, name="other"), a_task(FAILED), exited(3))
    assert (told.id, told.name, told.state) == (TASK_ID, "other", PENDING)
