"""The flight record: what is written of a decision, what is not, and what a replay finds."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelman import errors, flight, policy, reconcile
from keelman.errors import EngineError, EngineFailed, NameTaken
from keelman.flight import (
    Began,
    Call,
    Change,
    Did,
    Failed,
    NotAFlight,
    Stepped,
    Torn,
    answered,
    encode,
    hidden,
    read,
    replayed,
    trouble,
)
from keelman.hiding import HIDDEN
from keelman.seen import Absent, Action, Create, Pull, Remove, Seen, Signal, Start, Unknown
from keelman.task import Spec, State, Task, Wish
from keelman.words import ANNOUNCED
from keelman.worker.recorder import Rules
from tests.unit import world as worlds_own
from tests.unit.given import (
    CONTAINER,
    NOW,
    RUN,
    a_spec,
    a_task,
    a_wish,
    created,
    exited,
    running,
    stopping,
)
from tests.unit.test_reconcile_product import SIGHTS, TASKS, WISHES
from tests.unit.test_reconcile_safety import MOVES, SCRIPTS
from tests.unit.world import World
from tests.unit.worlds import REPEATABLE, WORLDS

SECRET = "pa55w0rd"
ENV = {"TOKEN": SECRET, "EMPTY": ""}
BEGAN = Began(version="0.1.0", worker="w", at=NOW)
STEPPED = answered(
    Stepped(wish=a_wish(env=ENV), task=a_task(asked={"env": ENV}), seen=created(), at=NOW)
)
DID = answered(Did(task=stopping(0), action=Signal(container_id=CONTAINER, signal="TERM"), at=NOW))
FAILED = answered(
    Failed(
        wish=RUN,
        task=a_task(State.SCHEDULED),
        action=Create(attempt=1),
        error=trouble(EngineFailed("no space")),
        at=NOW,
    )
)
CALLS = [STEPPED, DID, FAILED]
ACTIONS: list[Action] = [
    Pull(image="nginx:1"),
    Create(attempt=1),
    Start(container_id=CONTAINER, attempt=1),
    Signal(container_id=CONTAINER, signal="SIGTERM"),
    Remove(container_id=CONTAINER),
]


def read_back(line: bytes) -> Any:  # noqa: ANN401  # any line, whose fields are asked
    ((_, found),) = read([line])
    return found


# -- a line --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [BEGAN, *CALLS], ids=lambda line: type(line).__name__)
def test_what_is_written_is_one_line_and_is_read_back(line: Began | Call) -> None:
    text = encode(line)
    assert (text.count(b"\n"), text[-1:]) == (1, b"\n")
    assert read_back(text) == (line if isinstance(line, Began) else hidden(line))


@pytest.mark.parametrize("call", CALLS, ids=lambda line: type(line).__name__)
def test_a_line_that_was_just_written_is_replayed_without_a_difference(call: Call) -> None:
    assert replayed(read_back(encode(call))) is None


ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EngineError)
]


def test_every_error_of_an_engine_can_be_written_down() -> None:
    assert set(typing.get_args(flight.Kind)) == {kind.__name__ for kind in ERRORS}
    assert set(flight._KINDS.values()) == set(ERRORS)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_comes_back_as_what_it_was(kind: type[EngineError]) -> None:
    error = trouble(kind("its words")).error
    assert (type(error), error.message) == (kind, "its words")


def test_an_error_of_a_class_made_elsewhere_is_the_one_above_it() -> None:
    class Special(NameTaken):
        pass

    assert type(trouble(Special("taken")).error) is NameTaken


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_the_rules_do_not_tell_an_error_from_the_one_written_down(
    kind: type[EngineError], action: Action
) -> None:
    task, error = a_task(State.SCHEDULED), kind("its words")
    told = Failed(wish=RUN, task=task, action=action, error=trouble(error), at=NOW)
    assert answered(told).after == reconcile.failed(RUN, task, action, error, NOW)


# -- what is hidden ------------------------------------------------------------------------------


def secretive(call: Call) -> bytes:
    text = encode(call)
    assert SECRET.encode() not in text
    return text


def test_no_value_of_env_is_written_and_every_name_is() -> None:
    line = read_back(secretive(STEPPED))
    for spec in (line.wish.spec, line.task.spec, line.after.task.spec):
        assert spec.env == {"TOKEN": HIDDEN, "EMPTY": HIDDEN}


def test_what_a_failed_task_wrote_last_is_not_written() -> None:
    message = f"exited with code 3{ANNOUNCED}\nTOKEN={SECRET}\nbye"
    task = a_task(State.FAILED, message=message)
    line = read_back(secretive(answered(Stepped(wish=RUN, task=task, seen=exited(3), at=NOW))))
    assert line.task.message == f"exited with code 3{ANNOUNCED}\n{HIDDEN}"
    assert line.after.task.message == line.task.message


def test_nothing_else_is_hidden() -> None:
    asked: dict[str, Any] = {"command": ("sh", "-c", "x"), "labels": {"app": "y"}, "user": "me"}
    task = a_task(State.RUNNING, asked=asked, message="no luck")
    call = answered(Stepped(wish=a_wish(**asked), task=task, seen=running(), at=NOW))
    assert hidden(call) == call


def of_spec(seen: Seen, spec_hash: str) -> Seen:
    if isinstance(seen.body, Absent | Unknown):
        return seen
    return msgspec.structs.replace(
        seen, body=msgspec.structs.replace(seen.body, spec_hash=spec_hash)
    )


@pytest.mark.parametrize(
    ("container_of", "removed"),
    [(a_spec(env=ENV), False), (a_spec(env={**ENV, "TOKEN": "other"}), True), (None, False)],
    ids=["its own", "another's", "an old worker's"],
)
def test_whose_spec_a_container_has_is_kept(container_of: Spec | None, removed: bool) -> None:
    """The digest covers Env, and cannot be written as it is: values could be guessed from it."""
    digest = container_of.digest() if container_of else ""
    task = a_task(asked={"env": ENV})
    call = answered(Stepped(wish=RUN, task=task, seen=of_spec(running(), digest), at=NOW))
    line = read_back(encode(call))
    assert line.seen.body.spec_hash != digest or not digest
    for one in (call, line):
        assert isinstance(one, Stepped)
        assert one.after is not None
        assert isinstance(one.after.action, Remove) is removed
    assert replayed(line) is None


MESSAGES = st.sampled_from(["", "no luck", f"exited with code 3{ANNOUNCED}\n{SECRET}\nbye"])
ENVS = st.sampled_from([{}, ENV, {**ENV, "TOKEN": "another"}])
HASHES = st.sampled_from(["", "own", "wished", "another"])
ANY_TASKS = st.sampled_from([task for tasks in TASKS.values() for task in tasks])
ANY_WISHES = st.sampled_from(list(WISHES.values()))


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    task = draw(ANY_TASKS)
    spec = msgspec.structs.replace(task.spec, env=draw(ENVS))
    return task.but(spec=spec, message=draw(MESSAGES))


@st.composite
def wishes(draw: st.DrawFn) -> Wish | None:
    wish = draw(ANY_WISHES)
    if wish is None:
        return None
    return msgspec.structs.replace(wish, spec=msgspec.structs.replace(wish.spec, env=draw(ENVS)))


@st.composite
def steps(draw: st.DrawFn) -> Stepped:
    wish, task, seen = draw(wishes()), draw(tasks()), draw(st.sampled_from(SIGHTS))
    digests = {"": "", "own": task.spec.digest(), "another": "0" * 64}
    digests["wished"] = wish.spec.digest() if wish else ""
    seen = of_spec(seen, digests[draw(HASHES)])
    return Stepped(wish=wish, task=task, seen=seen, at=NOW)


@st.composite
def results(draw: st.DrawFn) -> Call:
    task, action = draw(tasks()), draw(st.sampled_from(ACTIONS))
    error = draw(st.sampled_from([None, *ERRORS]))
    if error is None:
        return Did(task=task, action=action, at=NOW)
    told = trouble(error("its words"))
    return Failed(wish=draw(wishes()), task=task, action=action, error=told, at=NOW)


@settings(REPEATABLE, max_examples=1000)
@given(call=steps() | results())
def test_the_rules_decide_on_what_is_hidden_as_they_did(call: Call) -> None:
    """The answer to what is hidden is the answer to what was asked, hidden."""
    assert answered(hidden(call)) == hidden(answered(call))
    assert hidden(hidden(call)) == hidden(call)
    secretive(answered(call))


@settings(REPEATABLE, max_examples=100)
@given(world=WORLDS, script=SCRIPTS)
def test_a_whole_life_is_replayed_without_a_difference_and_without_its_secrets(
    world: World, script: list[str]
) -> None:
    calls: list[Call] = []
    rules = Rules(calls.append)
    world.spec = msgspec.structs.replace(world.spec, env=ENV)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds_own, "step", rules.step)
        patch.setattr(worlds_own, "done", rules.done)
        world.ask()
        for name in script:
            MOVES[name][1](world)
    assert calls
    for number, line in read([encode(BEGAN), *map(secretive, calls)]):
        assert number == 1 or replayed(line) is None  # type: ignore[arg-type]  # 1 is BEGAN


# -- a bug in the rules --------------------------------------------------------------------------


def broken(*arguments: object) -> None:
    raise LookupError(f"a bug that tells {SECRET}")


def test_a_step_that_raises_is_told_of_by_the_class_of_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[Call] = []
    monkeypatch.setattr(reconcile, "step", broken)
    with pytest.raises(LookupError):
        Rules(calls.append).step(RUN, a_task(), created(), NOW)
    line = read_back(secretive(calls[0]))
    assert (line.after, line.raised) == (None, "LookupError")
    assert replayed(line) is None


def test_a_bug_that_is_mended_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "step", broken)
        line = answered(Stepped(wish=RUN, task=a_task(), seen=created(), at=NOW))
    found = replayed(line)
    assert found is not None
    assert Change(field="raised", recorded="LookupError", found="") in found.changes


# -- replayed ------------------------------------------------------------------------------------


def test_a_rule_that_has_changed_is_shown_where_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    wish = a_wish(restart_policy="always")
    task = a_task(State.RUNNING, asked={"restart_policy": "always"})
    line = answered(Stepped(wish=wish, task=task, seen=exited(3), at=NOW))
    assert line.after is not None
    monkeypatch.setattr("keelman.moves.backoff_seconds", lambda task, failures: 7.0)
    found = replayed(line)
    assert found is not None
    due = NOW + policy.backoff_seconds(task, 0)
    assert found.changes == (Change(field="after.task.Due", recorded=due, found=NOW + 7.0),)


def test_an_answer_of_another_kind_is_shown_field_by_field() -> None:
    call = Stepped(wish=RUN, task=a_task(State.SCHEDULED), seen=created(), at=NOW)
    told = answered(call).after
    assert told is not None
    other = msgspec.structs.replace(told, action=None, wake=NOW)
    found = replayed(msgspec.structs.replace(call, after=other))
    assert found is not None
    assert {change.field: change.recorded for change in found.changes} == {
        "after.action": None,
        "after.wake": NOW,
    }


# -- a file --------------------------------------------------------------------------------------


def kinds(lines: list[bytes]) -> list[tuple[int, type]]:
    return [(number, type(line)) for number, line in read(lines)]


LINE = encode(STEPPED)
TORN = [LINE[:-1].rstrip(b"}"), LINE[:9], b"\0\0\0\0", b"\xff\n", LINE[:40] + b"\xc3"]


@pytest.mark.parametrize("torn", TORN, ids=range(len(TORN)))
def test_a_torn_line_may_be_the_last_of_a_worker(torn: bytes) -> None:
    lines = [encode(BEGAN), LINE, torn + b"\n", encode(BEGAN), LINE, torn]
    assert kinds(lines) == [
        (1, Began), (2, Stepped), (3, Torn), (4, Began), (5, Stepped), (6, Torn)
    ]  # fmt: skip


def test_a_part_of_a_record_is_one() -> None:
    """Such as the lines of one task."""
    assert kinds([LINE]) == [(1, Stepped)]


def other_lines() -> Iterator[Any]:
    yield pytest.param([b"hello\n", LINE], "line 1 is no JSON", id="text")
    yield pytest.param([LINE, TORN[0] + b"\n", LINE], "line 2 is no JSON", id="torn between")
    yield pytest.param([LINE, b'{"a": 1}\n'], "line 2 is not understood", id="other JSON")
    yield pytest.param([b"\x7fELF"], "no line of it", id="binary")
    yield pytest.param([], "no line of it", id="empty")
    began = encode(Began(format=2, version="9.0", worker="w", at=0.0))
    yield pytest.param([began], "of format 2, written by Keelman 9.0", id="another format")
    newer = LINE.replace(b'"Attempt"', b'"Newer":1,"Attempt"')
    words = r"line 2 is not understood: .*`Newer`.*\(written by Keelman 0.1.0\)"
    yield pytest.param([encode(BEGAN), newer], words, id="a newer field")
    older = LINE.replace(b'"Image"', b'"Picture"')
    yield pytest.param([older], "line 1 is not understood: .*`Picture`", id="an older field")
    kind = encode(FAILED).replace(b"EngineFailed", b"EngineBored")
    yield pytest.param([kind], "line 1 is not understood: .*EngineBored", id="another error")


@pytest.mark.parametrize(("lines", "words"), list(other_lines()))
def test_what_is_no_flight_record_is_refused_by_its_line(lines: list[bytes], words: str) -> None:
    with pytest.raises(NotAFlight, match=words):
        list(read(lines))
