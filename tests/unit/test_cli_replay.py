"""`keelman replay`: what it says of a record, and with which status it ends."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from keelman import cli
from keelman.cli import story
from keelman.errors import EngineFailed
from keelman.flight import Began, Call, Change, Did, Failed, Stepped, answered, encode, trouble
from keelman.health import Health
from keelman.seen import Create, Kill, Pulling, Remove, Running, Seen, Signal
from keelman.task import State, Wish
from tests.unit.given import (
    CONTAINER,
    NOW,
    PORT_TAKEN,
    RUN,
    STOP,
    TASK_ID,
    UNKNOWN,
    a_spec,
    a_task,
    a_wish,
    absent,
    created,
    exited,
    in_back_off,
    running,
    seen,
    stopping,
    unavailable,
)
from tests.unit.given_wire import an_id

BEGAN = Began(version="0.1.0", worker="node-1", at=NOW)
OTHER_ID = an_id(7)


class Ended(NamedTuple):
    status: int
    out: list[str]
    err: str


Replay = Callable[..., Ended]


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Replay:
    """`keelman replay`, with what is on its standard input."""

    def carry_out(*words: object, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = cli.status(["replay", *map(str, words)])
        out, err = capsys.readouterr()
        return Ended(status, out.splitlines(), err)

    return carry_out


def stepped(call: Seen, wish: Wish = RUN, state: State = State.RUNNING) -> Call:
    return answered(Stepped(wish=wish, task=a_task(state), seen=call, at=NOW))


STORY = [
    stepped(absent(), state=State.PENDING),
    stepped(running(), state=State.SCHEDULED),
    stepped(exited(3)),
]
RECORD = b"".join(map(encode, [BEGAN, *STORY]))


def of_another(call: Call) -> Call:
    task = msgspec.structs.replace(call.task, id=OTHER_ID, spec=a_spec(name="other"))
    return answered(msgspec.structs.replace(call, task=task))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A record of two tasks."""
    path = tmp_path / "flight.jsonl"
    path.write_bytes(RECORD + encode(of_another(STORY[0])))
    return path


# -- statuses ------------------------------------------------------------------------------------


def test_a_record_that_replays_is_said_to(replay: Replay, file: Path) -> None:
    told = f"{file}: 4 lines replayed (written by node-1, Keelman 0.1.0): none differs"
    assert replay(file) == (0, [told], "")


def test_a_record_comes_from_standard_input_too(replay: Replay) -> None:
    ended = replay("-", stdin=RECORD)
    told = "-: 3 lines replayed (written by node-1, Keelman 0.1.0): none differs"
    assert ended == (0, [told], "")


def test_what_differs_is_shown_field_by_field(
    replay: Replay, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keelman.policy.restart_due", lambda *_, **__: True)
    monkeypatch.setattr("keelman.moves.restart_due", lambda *_, **__: True)
    status, out, _ = replay(file)
    assert status == 1
    assert out[0] == f"{TASK_ID}  web"
    assert out[1].endswith("RUNNING #1    sees Exited #1 with 3 → FAILED #1 exited")
    assert out[2] == f"  line 4 of {file} differs:"
    assert "    after.task.State: FAILED on record, SCHEDULED now" in out
    assert "    after.transition.To: FAILED on record, SCHEDULED now" in out
    assert out[-1].endswith("4 lines replayed (written by node-1, Keelman 0.1.0): 1 differs")


def test_several_files_are_several_records(replay: Replay, file: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.write_bytes(RECORD.replace(b'"Due":1000000.0', b'"Due":7.0'))
    status, out, _ = replay(file, second)
    assert (status, out[0].endswith("none differs")) == (1, True)
    assert out[-1].startswith(f"{second}: 3 lines")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"hello\nworld\n", "line 1 is no JSON"),
        (RECORD + b"{}\n", "line 5 is not understood"),
        (b"", "no line of it is of a flight record"),
    ],
)
def test_what_is_no_record_is_wrong_usage(
    replay: Replay, tmp_path: Path, text: bytes, words: str
) -> None:
    path = tmp_path / "other"
    path.write_bytes(text)
    status, _, err = replay(path)
    assert status == 2
    assert err.startswith(f"keelman: {path}: {words}")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "name the files"),
        (["nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--frob", "x"], "Unknown option: --frob"),
        (["/"], "/: Is a directory"),
    ],
)
def test_wrong_usage_is_told(replay: Replay, words: list[str], complaint: str) -> None:
    status, _, err = replay(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert complaint in err


def test_a_torn_line_is_told_of(replay: Replay) -> None:
    status, out, err = replay("-", stdin=RECORD + b'{"line":"Ste')
    assert (status, err) == (0, "keelman: -: line 5 is torn, and passed over\n")
    assert out[0].startswith("-: 3 lines")


# -- a task's story ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["web", TASK_ID, TASK_ID[:6], TASK_ID[:6].upper()])
def test_the_story_of_one_task_is_told(replay: Replay, file: Path, word: str) -> None:
    status, out, _ = replay(file, "--task", word)
    assert status == 0
    assert out[:-1] == [f"{TASK_ID}  web", *(f"  {story.line(call)}" for call in STORY)]
    assert "3 lines" in out[-1]


def test_a_task_that_is_not_in_it_is_no_such_task(replay: Replay, file: Path) -> None:
    status, _, err = replay(file, "--task", "nobody")
    assert (status, err) == (3, "keelman: no line is of a task nobody\n")


def test_what_a_task_wrote_does_not_steer_the_terminal(replay: Replay) -> None:
    task = a_task(asked={"name": "\x1b[2Jweb\nx"})
    line = encode(answered(Stepped(wish=RUN, task=task, seen=absent(), at=NOW)))
    _, out, _ = replay("-", "--task", TASK_ID, stdin=line)
    assert (out[0], len(out)) == (f"{TASK_ID}  �[2Jweb x", 3)


SIGHTS = [
    (absent(), "sees no container"),
    (absent(Pulling()), "sees no container, image Pulling"),
    (unavailable(), f"sees no container, image Unavailable at={NOW}"),
    (created(), "sees Created #1"),
    (created(refused=PORT_TAKEN), "sees Created #1, refused (port is already allocated)"),
    (running(slot=False), "sees Running #1, no start slot"),
    (
        seen(Running(container_id=CONTAINER, attempt=1, since=NOW, health=Health.HEALTHY)),
        "sees Running #1, healthy",
    ),
    (exited(137, oom=True), "sees Exited #1 with 137, out of memory"),
    (exited(others=("older",), expired=True), "sees Exited #1 with 0, 1 older, its time is over"),
    (UNKNOWN, "sees nothing (no answer)"),
]


@pytest.mark.parametrize(("sight", "words"), SIGHTS, ids=[words for _, words in SIGHTS])
def test_what_is_seen_is_told(sight: Seen, words: str) -> None:
    assert story.line(stepped(sight)).startswith(f"1970-01-12T13:46:40.000Z  RUNNING #1    {words}")


ANSWERS = [
    (stepped(running()), "→ nothing"),
    (stepped(exited(3)), "→ FAILED #1 exited"),
    (stepped(exited(), a_wish(seq=9)), "→ COMPLETED #1 exited"),
    (stepped(running(), STOP), "is asked to stop, sees Running #1 → records Wish Ending, Signal"),
    (stepped(absent(), a_wish(seq=2), State.FAILED), "is asked to run, sees no container"),
    (stepped(UNKNOWN), "→ again in 1 s"),
    (
        answered(Stepped(wish=None, task=in_back_off(), seen=absent(), at=NOW)),
        "SCHEDULED #2  sees no container → again in 10 s",
    ),
    (stepped(absent(expired=True), state=State.FAILED), "→ forget it"),
    (
        answered(
            Did(task=stopping(0), action=Signal(container_id=CONTAINER, signal="TERM"), at=NOW + 1)
        ),
        "did Signal c0ffee TERM → records Ending",
    ),
    (
        answered(Did(task=a_task(), action=Kill(container_id="4df4d44d1541eeee"), at=NOW)),
        "did Kill 4df4d44d1541 →",
    ),
    (
        answered(Did(task=a_task(), action=Remove(container_id=CONTAINER), at=NOW)),
        "did Remove c0ffee → nothing",
    ),
    (
        answered(
            Failed(
                wish=RUN,
                task=a_task(State.SCHEDULED),
                action=Create(attempt=1),
                error=trouble(EngineFailed("no space")),
                at=NOW,
            )
        ),
        "failed Create #1 (EngineFailed: no space) → records",
    ),
    (
        Stepped(wish=RUN, task=a_task(), seen=absent(), at=NOW, raised="KeyError"),
        "→ raised KeyError",
    ),
]


@pytest.mark.parametrize(("call", "words"), ANSWERS, ids=[words for _, words in ANSWERS])
def test_what_came_of_it_is_told(call: Call, words: str) -> None:
    assert words in story.line(call)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(field="after.task.State", recorded=2, found=4), "RUNNING on record, FAILED now"),
        (Change(field="after.task.Due", recorded=1.5, found=2.0), "1.5 on record, 2.0 now"),
        (
            Change(field="after.action", recorded=None, found={"a": 1}),
            'null on record, {"a":1} now',
        ),
        (Change(field="raised", recorded="", found="KeyError"), '"" on record, "KeyError" now'),
    ],
)
def test_a_change_is_told_in_words(change: Change, words: str) -> None:
    assert story.difference(change) == f"{change.field}: {words}"
