"""How tasks and Transitions look on the command line."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType

from keelman.cli import page, show
from keelman.task import HostPort, Reason, State
from keelman.wire import TaskReport, TransitionReport

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
TASK_ID = "21b23589-5d2d-4731-b5c9-a97e9832d021"
BOTH_FAMILIES = (
    HostPort(host_ip="0.0.0.0", host_port="8080"),
    HostPort(host_ip="::", host_port="8080"),
)


def a_report(**fields: Any) -> TaskReport:
    usual = {"id": TASK_ID, "name": "web", "image": "nginx:1", "state": State.RUNNING}
    return TaskReport(**{**usual, **fields})


def a_move(**fields: Any) -> TransitionReport:
    usual: dict[str, Any] = {
        "seq": 3,
        "task_id": TASK_ID,
        "generation": 0,
        "attempt": 1,
        "from_": State.RUNNING,
        "to": State.FAILED,
        "time": NOW,
        "reason": Reason.EXITED,
        "message": "exited with code 3; its last lines:\nboom",
        "exit_code": 3,
        "container_id": "c0ffee",
    }
    return TransitionReport(**{**usual, **fields})


def printed(what: RenderableType, *, colours: bool = False, width: int = 200) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        highlight=False,
        force_terminal=colours,
        color_system="truecolor" if colours else None,
    )
    console.print(what)
    return file.getvalue()


def lines(what: RenderableType, **how: Any) -> list[str]:
    return [line.rstrip() for line in printed(what, **how).splitlines()]


RUNNING = a_report(
    start_time=NOW - timedelta(minutes=5), host_ports={"80/tcp": BOTH_FAMILIES}, restart_count=2
)
FAILED = a_report(
    id="bb" + TASK_ID[2:],
    name="job",
    state=State.FAILED,
    start_time=NOW - timedelta(hours=2),
    finish_time=NOW - timedelta(seconds=42),
    exit_code=3,
    reason=Reason.EXITED,
    message="exited with code 3; its last lines:\nboom",
)


def test_a_table_has_a_line_for_each_task() -> None:
    assert lines(show.task_table([RUNNING, FAILED], NOW)) == [
        "ID        NAME    IMAGE    STATE      SINCE  PORTS         RESTARTS  REASON",
        "21b23589  web     nginx:1  RUNNING    5m     8080->80/tcp  2",
        "bbb23589  job     nginx:1  FAILED     42s                            exit 3",
    ]


def test_a_narrow_terminal_cuts_names_off_and_no_ids() -> None:
    image = "registry.example.com/team/project/image:1"
    narrow = lines(show.task_table([a_report(image=image), FAILED], NOW), width=60)
    assert len(narrow) == 3
    assert narrow[1].startswith("21b23589  web   ")
    assert "…" in narrow[1]
    assert "RUNNING" in narrow[1]


def test_a_table_of_nothing_is_its_head() -> None:
    assert len(lines(show.task_table([], NOW))) == 1


def test_states_are_coloured_on_a_terminal_only() -> None:
    table = show.task_table([RUNNING, FAILED], NOW)
    assert "\x1b[32mRUNNING" in printed(table, colours=True)
    assert "\x1b[1;31mFAILED" in printed(table, colours=True)
    assert "\x1b" not in printed(table)


def test_what_a_task_wrote_cannot_steer_the_terminal() -> None:
    evil = a_report(name="[red]x[/]\x1b[2Jy", message="\x1b]0;title\x07")
    shown = printed(show.task_table([evil], NOW)) + printed(page.task_page(evil, [], NOW))
    assert "\x1b" not in shown
    assert "[red]x[/]�[2Jy" in shown


@pytest.mark.parametrize(
    ("ids", "length"),
    [
        ([], 8),
        (["12345678a", "22345678a"], 8),
        (["12345678a", "12345678b"], 9),
        (["12345678a", "12345678a"], 8),
    ],
)
def test_short_ids_stay_apart(ids: list[str], length: int) -> None:
    assert show.short_length(ids) == length


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (86400, "1d"), (9e6, "104d")],
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert show.age(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"exit_code": 0, "reason": Reason.EXITED}, "exit 0"),
        ({"exit_code": 143, "reason": Reason.STOPPED}, "stopped"),
        ({"reason": Reason.IMAGE_UNAVAILABLE}, "image_unavailable"),
    ],
)
def test_a_reason_is_an_exit_code_or_a_word(fields: dict[str, Any], text: str) -> None:
    assert show.reason(a_report(**fields)) == text


def test_what_has_not_been_has_no_age() -> None:
    assert show.age(None, NOW) == ""


def test_a_page_tells_what_is_unusual_and_the_history() -> None:
    shown = lines(page.task_page(FAILED, [a_move()], NOW))
    assert shown == [
        "job  FAILED for 42s",
        f"  ID          {FAILED.id}",
        "  Image       nginx:1",
        "  StartTime   2026-01-31T06:00:00Z",
        "  FinishTime  2026-01-31T07:59:18Z",
        "  ExitCode    3",
        "  Reason      exited",
        "  Message     exited with code 3",
        "",
        "History",
        "  2026-01-31T08:00:00Z  RUNNING → FAILED  exited  exited with code 3",
        "",
        "Last lines of its output",
        "  boom",
    ]


def test_a_page_tells_how_long_its_phases_took() -> None:
    start, run = NOW - timedelta(seconds=5), NOW - timedelta(seconds=2)
    moves = [
        a_move(from_=State.PENDING, to=State.SCHEDULED, time=start),
        a_move(from_=State.SCHEDULED, to=State.RUNNING, time=run),
    ]
    shown = lines(page.task_page(RUNNING, moves, NOW))
    at = shown.index("Phases")
    assert shown[at + 1 : at + 3] == ["  starting  3.00 s", "  running   2.00 s so far"]


def test_how_to_get_in_is_told_while_it_runs() -> None:
    inside = a_report(container_id="c0ffee" * 10)
    over = a_report(container_id="c0ffee" * 10, state=State.COMPLETED)
    (line,) = [line for line in lines(page.task_page(inside, [], NOW)) if "Get in" in line]
    assert line.split("Get in")[1].strip() == "docker exec -it c0ffeec0ffee sh"
    assert "Get in" not in printed(page.task_page(over, [], NOW))


def test_a_message_of_several_lines_that_are_no_output_stays_whole() -> None:
    task = a_report(message="the engine says\nno")
    assert "  Message  the engine says" in lines(page.task_page(task, [], NOW))
    assert show.last_lines(task.message) == []


def test_an_ended_task_holds_no_ports() -> None:
    done = a_report(state=State.COMPLETED, host_ports={"80/tcp": BOTH_FAMILIES})
    assert "8080" not in printed(show.task_table([done], NOW))


def test_an_exit_code_of_0_is_told() -> None:
    done = a_report(state=State.COMPLETED, exit_code=0, reason=Reason.EXITED)
    assert "  ExitCode  0" in lines(page.task_page(done, [], NOW))


def test_lists_and_maps_are_readable() -> None:
    task = a_report(
        command=("sh", "-c", "exit 3"), env={"A": "1", "B": "x y"}, host_ports={"80/tcp": ()}
    )
    shown = lines(page.task_page(task, [], NOW))
    assert "  Command  sh -c 'exit 3'" in shown
    assert shown[shown.index("  Env      A=1") + 1] == "           B=x y"


def test_a_transition_is_a_line() -> None:
    (line,) = lines(show.move_line(a_move(message="exited with code 3\nboom")))
    assert line == (
        f"2026-01-31T08:00:00Z  {TASK_ID}  RUNNING → FAILED  exited  exited with code 3"
    )


def test_json_is_what_the_worker_said_its_id_first() -> None:
    text = msgspec.json.encode(show.plain(RUNNING))
    assert text.startswith(b'{"ID":')
    assert msgspec.json.decode(text, type=TaskReport) == RUNNING


def test_log_lines_are_objects_wherever_they_are_cut() -> None:
    wrap = show.LogLines("t")
    text = b"".join(wrap(piece) for piece in (b"on", b"e\ntwo\n\xff", b"\nla")) + wrap.end()
    objects = [msgspec.json.decode(line) for line in text.splitlines()]
    assert [each["Line"] for each in objects] == ["one", "two", "�", "la"]
    assert wrap.end() == b""
