"""What a task waits for, in words, as far as it is known. PURE."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from keelman import ahead, ladder
from keelman.ending import Ending, Why
from keelman.explanation import Blocker
from keelman.progress import words_of
from keelman.seen import Running, Signal, Unknown
from keelman.situation import Parked, Situation, Unrecorded
from keelman.task import State, Task
from keelman.words import about, ago, headline, span


def block_words(here: Situation, by: Blocker) -> str:
    """What it waits for: "attempt 4 is due in 37 s; the last one: exited with code 3"."""
    return "" if by is Blocker.NOTHING else _WORDS[by](here)


def summary(here: Situation, by: Blocker) -> str:
    """The same as a sentence."""
    return f"{_opening(here, by)}: {block_words(here, by)}."


def _opening(here: Situation, by: Blocker) -> str:
    if by is Blocker.ENGINE:
        return f"It stays {here.task.state.name}"
    if by is Blocker.RETENTION and here.task.state is State.COMPLETED:
        return "COMPLETED is final"
    return _OPENINGS[by]


def _engine_words(here: Situation) -> str:
    body, since = here.seen.body, here.beside.away_since
    why = body.why if isinstance(body, Unknown) else ""
    if since is None:
        return f"nothing is known of its container ({why or 'the engine does not say'})"
    away = about(here.at - since)
    return f"the engine has not answered for {away} ({why}), and no task fails for that"


def _slot_words(here: Situation) -> str:
    of = f"one of {here.beside.slots}" if here.beside.slots > 1 else "the only one"
    match here.beside.before:
        case None:
            return of
        case 0:
            return f"{of}, and no task is before it"
        case 1:
            return f"{of}, and 1 task is before it"
        case before:
            return f"{of}, and {before} tasks are before it"


def _back_off_words(here: Situation) -> str:
    task = here.step.task
    what = "is tried again" if task.retries else "is due"
    words = f"attempt {task.attempt} {what} in {about(task.due - here.at)}"
    last = headline(task.message) or task.reason
    return f"{words}; the last one: {last}" if last else words


def _ladder_words(here: Situation) -> str:
    """Why the process is being ended, and what was done for that."""
    ending = here.step.task.ending
    assert ending is not None, "a process is ended only with an Ending on record"
    return f"{_why_words(here.step.task, ending)}; {_rung_words(here, ending)}"


def _why_words(task: Task, ending: Ending) -> str:
    match ending.why:
        case Why.STOPPED:
            return "a stop was asked for"
        case Why.DEADLINE:
            return f"it ran into its Timeout of {span(task.spec.timeout)}"
        case Why.DISCONNECTED:
            return f"nobody was heard for {span(task.spec.stop_after_disconnect)}"
        case Why.UNHEALTHY:
            return f"it is unhealthy ({headline(task.message) or 'its probes failed'})"
        case Why.STRAY:
            return "its task has ended, and it runs"
        case Why.ADOPTED:
            return "it had ended before it was adopted, and it runs"
        case why:
            assert_never(why)


def _rung_words(here: Situation, ending: Ending) -> str:
    since = ago(here.at - ending.since)
    match ending.signalled:
        case 0:
            return "nothing was sent yet"
        case 1:
            return f"{_signal(here)} was sent {since}"
        case 2:
            return f"KILL was sent {since}"
        case rungs:
            times = "once" if rungs == 3 else f"{rungs - 2} times"
            return f"it is stuck: it outlives KILL, and removal by force was tried {times}, {since}"


def _signal(here: Situation) -> str:
    """The signal of the ladder's first rung, as the ladder has it."""
    body, task = here.seen.body, here.step.task.but(ending=None)
    first = ladder.rung(task, body) if isinstance(body, Running) else None
    return first.signal if isinstance(first, Signal) else "the stop signal"


def _kept_words(here: Situation) -> str:
    at = kept_until(here)
    return "its record is kept" + ("" if at is None else f" for {about(at - here.at)} more")


def kept_until(here: Situation) -> float | None:
    """When retention takes an ended task at the latest, in seconds since the epoch."""
    finished = here.task.finish_time
    return None if finished is None else max(finished + here.beside.kept_seconds, here.at)


def _mishap_words(here: Situation) -> str:
    match here.beside.mishap:
        case Parked(until=until, words=words) | Unrecorded(until=until, words=words):
            return f"{headline(words)}; it is tried again in {about(until - here.at)}"
        case None:
            return ""
        case mishap:
            assert_never(mishap)


def _pull_words(here: Situation) -> str:
    return words_of(here.step.task.spec.image, here.beside.pull)


def _container_words(here: Situation) -> str:
    return f"the worker is about to {ahead.step_words(here.step)} first"


_OPENINGS = {
    Blocker.CONTAINER: "Another container of it has to go",
    Blocker.PULL: "It waits for its image",
    Blocker.SLOT: "It waits for a start slot",
    Blocker.BACK_OFF: "It waits for its back-off",
    Blocker.PROCESS: "Its process is being ended",
    Blocker.RETENTION: "It FAILED and runs again only for a new event",
    Blocker.INTERNAL_ERROR: "It is parked after an error in the worker",
    Blocker.CANNOT_RECORD: "What cannot be recorded is not done",
}
_WORDS: dict[Blocker, Callable[[Situation], str]] = {
    Blocker.ENGINE: _engine_words,
    Blocker.CONTAINER: _container_words,
    Blocker.PULL: _pull_words,
    Blocker.SLOT: _slot_words,
    Blocker.BACK_OFF: _back_off_words,
    Blocker.PROCESS: _ladder_words,
    Blocker.RETENTION: _kept_words,
    Blocker.INTERNAL_ERROR: _mishap_words,
    Blocker.CANNOT_RECORD: _mishap_words,
}
