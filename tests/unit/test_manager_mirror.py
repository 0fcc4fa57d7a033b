"""What a node's news make of the manager's record of a task."""

from __future__ import annotations

from itertools import product

import pytest

from keelman import hiding
from keelman.health import Health
from keelman.manager import mirror
from keelman.manager.news import News
from keelman.manager.placement import Copy, Placement
from keelman.task import EDGES, HostPort, Reason, State, Task, Wish
from keelman.wire import TaskReport
from tests.unit.given import NOW, RUN, STOP, a_task
from tests.unit.given_assign import a_report, chosen, listed, missing, moved, on_a

S = State


def read_all(wish: Wish, task: Task, placement: Placement, news: News) -> tuple[Task, list[str]]:
    """All the moves that a piece of news makes."""
    moves = []
    for _ in range(5):
        told = mirror.read(wish, task, placement, news, NOW)
        task, placement = told.task, told.placement
        if told.transition is not None:
            move = told.transition
            moves.append(f"{move.from_.name} {move.to.name} #{move.attempt} {move.reason}".strip())
        if told.all:
            return task, moves
    raise AssertionError("it never comes to an end")


@pytest.mark.parametrize(
    ("task", "news", "moves"),
    [
        (S.PENDING, moved(S.PENDING, S.SCHEDULED), ["PENDING SCHEDULED #1"]),
        (
            S.PENDING,
            moved(S.SCHEDULED, S.RUNNING),
            ["PENDING SCHEDULED #1", "SCHEDULED RUNNING #1"],
        ),
        (S.SCHEDULED, moved(S.PENDING, S.SCHEDULED), []),
        (S.SCHEDULED, moved(S.FAILED, S.SCHEDULED), []),
        (S.SCHEDULED, moved(S.SCHEDULED, S.RUNNING), ["SCHEDULED RUNNING #1"]),
        (S.SCHEDULED, moved(S.SCHEDULED, S.SCHEDULED), ["SCHEDULED SCHEDULED #1"]),
        (S.SCHEDULED, moved(S.SCHEDULED, S.FAILED), ["SCHEDULED FAILED #1"]),
        (
            S.RUNNING,
            moved(S.RUNNING, S.RUNNING, reason="healthy"),
            ["RUNNING RUNNING #1 healthy"],
        ),
        (
            S.RUNNING,
            moved(S.RUNNING, S.SCHEDULED, reason="exited"),
            ["RUNNING SCHEDULED #1 exited"],
        ),
        (
            S.RUNNING,
            moved(S.RUNNING, S.COMPLETED, reason="exited"),
            ["RUNNING COMPLETED #1 exited"],
        ),
        (S.RUNNING, moved(S.RUNNING, S.COMPLETED, number=1), []),
        (S.RUNNING, moved(S.RUNNING, S.COMPLETED, node="b"), []),
        (S.COMPLETED, moved(S.RUNNING, S.FAILED), []),
        (
            S.RUNNING,
            moved(S.RUNNING, S.FAILED, reason="a newer one's"),
            ["RUNNING FAILED #1"],
        ),
        (S.PENDING, listed(S.PENDING), ["PENDING SCHEDULED #1"]),
        (S.SCHEDULED, listed(S.RUNNING), ["SCHEDULED RUNNING #1"]),
        (
            S.PENDING,
            listed(S.COMPLETED),
            ["PENDING SCHEDULED #1", "SCHEDULED RUNNING #1", "RUNNING COMPLETED #1 exited"],
        ),
        (S.SCHEDULED, listed(S.FAILED, start_time=None), ["SCHEDULED FAILED #1 exited"]),
        (
            S.RUNNING,
            listed(S.RUNNING, attempt=3),
            ["RUNNING SCHEDULED #1", "SCHEDULED RUNNING #3"],
        ),
        (S.RUNNING, listed(S.RUNNING), []),
        (S.RUNNING, listed(S.SCHEDULED, attempt=2), ["RUNNING SCHEDULED #1"]),
        (S.RUNNING, missing(), []),
    ],
)
def test_news_make_moves(task: State, news: News, moves: list[str]) -> None:
    """None is left out, and none is made up."""
    placement = chosen() if task is S.PENDING else on_a()
    assert read_all(RUN, a_task(task), placement, news)[1] == moves


def test_every_piece_of_news_comes_to_an_end_in_every_state() -> None:
    """In the node's own state, unless the task has ended or the news are of another copy."""
    for state, (from_, to) in product(State, EDGES):
        task, _ = read_all(RUN, a_task(state), on_a(), moved(from_, to))
        assert (
            state.ended
            or task.state is to
            or (from_, to) == (S.PENDING, S.SCHEDULED)
            or to is (S.SCHEDULED)
        )
    for state, there in product(State, State):
        task, _ = read_all(RUN, a_task(state), on_a(), listed(there))
        if not state.ended and there.ended:
            assert task.state is there


def test_a_stop_has_the_last_word() -> None:
    """What failed meanwhile was stopped, too."""
    task, moves = read_all(STOP, a_task(S.RUNNING), on_a(), moved(S.RUNNING, S.FAILED, exit_code=3))
    assert (task.state, task.reason, task.exit_code) == (S.COMPLETED, Reason.STOPPED, 3)
    assert moves == ["RUNNING COMPLETED #1 stopped"]


def test_what_is_missing_is_to_be_sent_again() -> None:
    """It is not known to have ended."""
    told = mirror.read(RUN, a_task(S.RUNNING), on_a(), missing(), NOW)
    assert (told.placement.accepted, told.placement.taken, told.task.state) == (
        False,
        True,
        S.RUNNING,
    )


@pytest.mark.parametrize(
    ("task", "news", "left"),
    [
        (S.RUNNING, moved(S.SCHEDULED, S.RUNNING, node="b", number=1), (Copy(node="b", number=1),)),
        (S.RUNNING, listed(S.RUNNING, node="b", number=9), (Copy(node="b", number=9),)),
        (S.RUNNING, moved(S.RUNNING, S.FAILED, node="b", number=1), ()),
        (S.RUNNING, missing(node="b", number=1), ()),
        (S.RUNNING, moved(S.SCHEDULED, S.RUNNING, number=1), ()),
        (S.COMPLETED, moved(S.SCHEDULED, S.RUNNING), (Copy(node="a", number=2),)),
    ],
)
def test_a_copy_that_lives_elsewhere_is_left_over(
    task: State, news: News, left: tuple[Copy, ...]
) -> None:
    """However it came there: it is to be stopped. On its own node it is the present one."""
    told = mirror.read(RUN, a_task(task), on_a(), news, NOW)
    assert (told.placement.stale, told.transition) == (left, None)


def test_of_copies_on_one_node_the_newest_is_left_over() -> None:
    """What is stopped by its number takes all that are older with it."""
    news = moved(S.SCHEDULED, S.RUNNING, node="b", number=1)
    drained = Copy(node="b", number=1, until=NOW + 9)
    for known in (drained, Copy(node="b", number=2)):
        told = mirror.read(RUN, a_task(S.RUNNING), on_a(stale=(known,)), news, NOW)
        assert told.placement.stale == (known,)


def test_an_adopted_copy_is_looked_at_when_its_older_number_moves() -> None:
    """The move is not told again under the new one."""
    news = moved(S.RUNNING, S.COMPLETED, number=1)
    told = mirror.read(RUN, a_task(S.RUNNING), on_a(adopted=True), news, NOW)
    assert (told.placement.known, told.task.state) == (False, S.RUNNING)
    assert mirror.read(RUN, a_task(S.RUNNING), on_a(), news, NOW).placement.known


def test_what_a_look_has_told_of_an_adopted_copy_is_no_news() -> None:
    """It is logged once."""
    adopted, runs = on_a(adopted=True), a_task(S.RUNNING)
    assert read_all(RUN, runs, adopted, moved(S.SCHEDULED, S.RUNNING))[1] == []
    second = a_task(S.RUNNING, attempt=2)
    assert read_all(RUN, second, adopted, moved(S.RUNNING, S.SCHEDULED))[1] == []
    assert read_all(RUN, runs, adopted, moved(S.RUNNING, S.SCHEDULED))[1] != []


def test_what_ran_is_said_to_have_run() -> None:
    """Also when only its end was heard."""
    moves = read_all(RUN, a_task(S.SCHEDULED), on_a(), moved(S.RUNNING, S.COMPLETED))[1]
    assert moves == ["SCHEDULED RUNNING #1", "RUNNING COMPLETED #1"]


def test_attempts_go_on_where_those_of_the_node_begin() -> None:
    """Whichever number the node counts from."""
    again = on_a(base=None)
    task, moves = read_all(
        RUN, a_task(S.SCHEDULED, attempt=4), again, moved(S.SCHEDULED, S.RUNNING)
    )
    assert (task.attempt, moves) == (4, ["SCHEDULED RUNNING #4"])
    back = moved(S.FAILED, S.SCHEDULED, attempt=7)
    told = mirror.read(RUN, a_task(S.SCHEDULED, attempt=2), again, back, NOW)
    assert (told.placement.base, told.task.attempt) == (-5, 2)


def test_health_is_told_by_its_transition() -> None:
    """Without waiting for the rest."""
    news = moved(S.RUNNING, S.RUNNING, reason="unhealthy")
    assert read_all(RUN, a_task(S.RUNNING), on_a(), news)[0].health is Health.UNHEALTHY


def test_details_are_taken_over() -> None:
    """What the node's Transitions do not tell."""
    ports = {"80/tcp": (HostPort(host_ip="0.0.0.0", host_port="8080"),)}
    report = a_report(S.RUNNING, host_ports=ports, health=Health.HEALTHY)
    task = mirror.detailed(a_task(S.RUNNING), on_a(), report)
    assert (task.host_ports, task.health) == (ports, Health.HEALTHY)


SECRET = "s3cret-pa55w0rd"
ENV = {"KEY": SECRET}


@pytest.mark.parametrize("before", [S.PENDING, S.SCHEDULED, S.RUNNING])
@pytest.mark.parametrize("state", [S.SCHEDULED, S.RUNNING, S.COMPLETED, S.FAILED])
def test_a_node_that_hides_an_env_takes_none_away(before: State, state: State) -> None:
    """The manager has it from whoever asked, and will need it for the next node."""
    asked, hidden = {"env": ENV}, {"env": hiding.env(ENV)}
    task = a_task(before, asked=asked)
    after, _ = read_all(RUN, task, on_a(), listed(state, asked=hidden))
    assert after.spec.env == ENV
    report = a_report(before, asked=hidden)
    assert mirror.detailed(task, on_a(), report).spec.env == ENV


def test_a_node_s_words_are_told_without_values_of_env() -> None:
    """Also those of a node that does not hide them."""
    asked, words = {"env": ENV}, f"no such option: {SECRET}"
    task = a_task(S.RUNNING, asked=asked)
    told = mirror.detailed(task, on_a(), a_report(S.RUNNING, asked=asked, message=words))
    assert told.message == "no such option: ***"
    for to in (S.SCHEDULED, S.RUNNING, S.FAILED):
        after = mirror.read(RUN, task, on_a(), moved(S.RUNNING, to, message=words), NOW)
        assert after.transition is not None
        assert after.transition.message == "no such option: ***"


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(a_report(S.RUNNING, number=1, message="x"), id="of an older copy"),
        pytest.param(a_report(S.RUNNING, attempt=2, message="x"), id="of another attempt"),
        pytest.param(a_report(S.COMPLETED, message="x"), id="of another state"),
    ],
)
def test_details_of_another_moment_are_left(report: TaskReport) -> None:
    """News of it are on their way."""
    assert mirror.detailed(a_task(S.RUNNING), on_a(), report) == a_task(S.RUNNING)
