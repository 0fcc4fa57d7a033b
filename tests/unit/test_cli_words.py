"""The command line as words: which belong to the container, which task a word means."""

from __future__ import annotations

import pytest

from keelman.cli import app
from keelman.cli.asking import pick
from keelman.cli.failures import NoSuchTask, Usage
from keelman.cli.passing import guarded
from keelman.task import State
from keelman.wire import TaskReport

RUN_OPTIONS = app["run"].assemble_argument_collection()


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("run img", "run -- img"),
        ("run img ls -l --help", "run -- img ls -l --help"),
        ("run img sh -- -x", "run -- img sh -- -x"),
        ("run --name web img -p", "run --name web -- img -p"),
        ("run --name=web img", "run --name=web -- img"),
        ("run --init img --init", "run --init -- img --init"),
        ("run -e A=1 -eB=2 -p8080:80 img", "run -e A=1 -eB=2 -p8080:80 -- img"),
        ("run --wait --follow -m 64m img", "run --wait --follow -m 64m -- img"),
        ("run --name web -- img -x", "run --name web -- img -x"),
        ("run -f task.json", "run -f task.json --"),
        ("run --frob img", "run --frob -- img"),
        ("run", "run --"),
        ("run --help", "run --help --"),
        ("ps -a", "ps -a"),
        ("logs run -f", "logs run -f"),
        ("", ""),
    ],
)
def test_what_follows_the_image_is_the_commands(line: str, after: str) -> None:
    assert guarded(line.split(), RUN_OPTIONS) == after.split()


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("run --name web img sh -c true --name x", ("sh", "-c", "true", "--name", "x")),
        ("run -e A=-1 img -- --wait", ("--", "--wait")),
        ("run img --version", ("--version",)),
        ("run img", ()),
    ],
)
def test_the_command_gets_its_words_untouched(line: str, command: tuple[str, ...]) -> None:
    _, bound, _ = app.parse_args(guarded(line.split(), RUN_OPTIONS))
    assert bound.args == ("img", *command)


# -- which task a word means ---------------------------------------------------------------------


def a_task(task_id: str, name: str = "", state: State = State.RUNNING) -> TaskReport:
    return TaskReport(id=task_id, name=name, state=state)


TASKS = [
    a_task("aa11", "web"),
    a_task("aa22", "web", State.COMPLETED),
    a_task("bb11", "job", State.FAILED),
    a_task("cc11", "twice"),
    a_task("cc22", "twice"),
    a_task("dd11", "old", State.FAILED),
    a_task("dd22", "old", State.COMPLETED),
    a_task("ee11", "bb1"),
]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("aa1", "aa11"),
        ("AA2", "aa22"),
        ("web", "aa11"),
        ("job", "bb11"),
        ("old", "dd22"),
        ("bb1", "ee11"),
        ("bb11", "bb11"),
    ],
    ids=[
        "the start of an ID",
        "in capitals",
        "a Name, the live one",
        "a Name, an ended one",
        "a Name, the newest of the ended",
        "a Name before an ID",
        "a whole ID",
    ],
)
def test_a_word_means_one_task(word: str, found: str) -> None:
    assert pick(TASKS, word).id == found


@pytest.mark.parametrize(("word", "ids"), [("aa", "aa11, aa22"), ("twice", "cc")])
def test_a_word_that_means_several_is_refused_with_them(word: str, ids: str) -> None:
    with pytest.raises(Usage, match=f"may mean 2 tasks: {ids}"):
        pick(TASKS, word)


def test_an_empty_word_means_nothing_not_even_the_one_without_a_name() -> None:
    with pytest.raises(Usage, match="empty word"):
        pick([a_task("aa11", "")], "")


@pytest.mark.parametrize("word", ["ff", "we"])
def test_a_word_that_means_none_is_no_such_task(word: str) -> None:
    with pytest.raises(NoSuchTask, match="no such task"):
        pick(TASKS, word)
