"""The flight recorder: a bounded file that no death takes a line from, and who writes it."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from keelman import moves, reconcile
from keelman.errors import EngineFailed
from keelman.flight import (
    Began,
    Call,
    Did,
    Failed,
    Stepped,
    Torn,
    answered,
    encode,
    read,
    replayed,
)
from keelman.seen import Create, Running
from keelman.task import State
from keelman.worker.recorder import FILE_NAME, FlightFile, Rules
from keelman.worker.worker import Worker
from tests.unit.given import NOW, RUN, a_task, a_wish, created
from tests.unit.given_wire import an_event
from tests.unit.given_worker import FAILS, Machine, at_work, pass_time, settle, state_of
from tests.unit.virtual_time import in_virtual_time

CALL = answered(Stepped(wish=RUN, task=a_task(), seen=created(), at=NOW))
LENGTH = len(encode(CALL))
BEGAN = Began(version="0.1.0", worker="w", at=NOW)
LINES_MOST = 10
OLD_NAME = f"{FILE_NAME}.1"
CANNOT = "flight not recorded"
CAN = "flight recorded again"


def begins() -> Began:
    return BEGAN


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FlightFile]:
    one = FlightFile(tmp_path, begins)
    yield one
    one.close()


def lines(directory: Path, name: str = FILE_NAME) -> list[object]:
    with (directory / name).open("rb") as file:
        return [line for _, line in read(file)]


# -- the file ------------------------------------------------------------------------------------


def test_every_line_is_in_the_kernels_hands_at_once(file: FlightFile, tmp_path: Path) -> None:
    for count in range(1, 4):
        file(CALL)
        assert lines(tmp_path) == [BEGAN, *[CALL] * count]


def test_it_is_there_for_its_owner_only(file: FlightFile, tmp_path: Path) -> None:
    file(CALL)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_a_worker_that_decides_nothing_leaves_no_file(file: FlightFile, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []


def test_it_goes_on_where_the_worker_before_it_died(file: FlightFile, tmp_path: Path) -> None:
    file(CALL)
    second = FlightFile(tmp_path, begins)
    second(CALL)
    second.close()
    assert lines(tmp_path) == [BEGAN, CALL, BEGAN, CALL]


def test_what_a_crash_left_of_a_line_spoils_no_other(file: FlightFile, tmp_path: Path) -> None:
    file(CALL)
    file.close()
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-20])
    file(CALL)
    assert lines(tmp_path) == [BEGAN, Torn(), BEGAN, CALL]


def test_there_are_two_files_at_most_of_so_many_bytes(file: FlightFile, tmp_path: Path) -> None:
    bound = len(encode(BEGAN)) + LINES_MOST * LENGTH
    file._lines.most_bytes = bound
    for _ in range(5 * LINES_MOST):
        file(CALL)
        assert {path.name for path in tmp_path.iterdir()} <= {FILE_NAME, OLD_NAME}
        assert all(path.stat().st_size <= bound for path in tmp_path.iterdir())
    assert lines(tmp_path, OLD_NAME) == [BEGAN, *[CALL] * LINES_MOST]
    assert lines(tmp_path) == [BEGAN, *[CALL] * LINES_MOST]


def test_a_full_file_is_not_gone_on_with(file: FlightFile, tmp_path: Path) -> None:
    """Also not by a worker that begins."""
    file(CALL)
    file.close()
    file._lines.most_bytes = (tmp_path / FILE_NAME).stat().st_size + 10
    file(CALL)
    assert lines(tmp_path, OLD_NAME) == lines(tmp_path) == [BEGAN, CALL]


def test_a_file_that_was_removed_is_made_anew(file: FlightFile, tmp_path: Path) -> None:
    file(CALL)
    (tmp_path / FILE_NAME).unlink()
    file(CALL)
    assert lines(tmp_path) == [BEGAN, CALL]


# -- a disk in trouble ---------------------------------------------------------------------------


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel takes what fits, as a disk does that becomes full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_costs_lines_and_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    file = FlightFile(tmp_path, begins)
    with capture_logs() as logged:
        for _ in range(3):
            file(CALL)
        (tmp_path / FILE_NAME).unlink()
        file(CALL)
    file.close()
    assert lines(tmp_path) == [BEGAN, CALL]
    no_room = str(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert logged == [
        {"event": CANNOT, "log_level": "warning", "error": no_room},
        {"event": CAN, "log_level": "info", "lost": 3},
    ]


def test_a_disk_that_becomes_full_in_a_line_leaves_none_of_it(
    file: FlightFile, tmp_path: Path
) -> None:
    file(CALL)
    with file_size_limit((tmp_path / FILE_NAME).stat().st_size + LENGTH // 2):
        file(CALL)
        assert lines(tmp_path) == [BEGAN, CALL]
    file(CALL)
    assert lines(tmp_path) == [BEGAN, CALL, CALL]


def test_a_line_that_is_too_long_is_left_out(file: FlightFile, tmp_path: Path) -> None:
    file._lines.line_most_bytes = 2 * LENGTH
    command = ("x" * 2 * LENGTH,)
    long = Stepped(wish=None, task=a_task(asked={"command": command}), seen=created(), at=NOW)
    file(CALL)
    file(long)
    file(CALL)
    assert lines(tmp_path) == [BEGAN, CALL, CALL]


def test_words_that_no_file_can_hold_cost_their_line(file: FlightFile, tmp_path: Path) -> None:
    file(Stepped(wish=None, task=a_task(message="\ud800"), seen=created(), at=NOW))
    file(CALL)
    assert lines(tmp_path) == [BEGAN, CALL]


# -- a worker ------------------------------------------------------------------------------------


def recorded(machine: Machine) -> list[Call]:
    """What is told of the machine's workers."""
    calls: list[Call] = []
    machine.recorder = calls.append
    return calls


async def lived(machine: Machine, **asked: Any) -> Worker:
    """A worker that saw a task fail."""
    worker = machine.worker()
    async with at_work(worker):
        await worker.add_task(an_event(command=FAILS, **asked))
        await pass_time(60)
    assert state_of(worker) is State.FAILED
    return worker


@in_virtual_time
async def test_every_step_and_every_action_is_a_line(machine: Machine) -> None:
    calls = recorded(machine)
    worker = await lived(machine, restart_policy="on-failure:1")
    steps = [call.after for call in calls if isinstance(call, Stepped)]
    deeds = [call.action for call in calls if isinstance(call, Did)]
    asked = [step.action for step in steps if step is not None and step.action is not None]
    assert deeds == asked
    assert [type(deed).__name__ for deed in deeds] == [
        "Create",
        "Start",
        "Remove",
        "Create",
        "Start",
    ]
    moved = [step.transition for step in steps if step is not None and step.transition is not None]
    told = worker.db.history(an_event().task_id)
    assert [(move.from_, move.to) for move in moved] == [(move.from_, move.to) for move in told]
    assert all(replayed(call) is None for call in calls)


@in_virtual_time
async def test_a_failed_action_is_a_line_with_its_wish(machine: Machine) -> None:
    calls = recorded(machine)
    worker = await machine.met()
    await worker.add_task(an_event())
    machine.engine.fail_next("create", EngineFailed("no space left on device"))
    await settle(worker)
    (failed,) = [call for call in calls if isinstance(call, Failed)]
    assert isinstance(failed.action, Create)
    assert failed.wish == worker.queue.get(failed.task.id)
    assert (failed.error.kind, failed.error.message) == ("EngineFailed", "no space left on device")
    assert replayed(failed) is None


@in_virtual_time
async def test_a_bug_in_a_rule_is_on_record_and_parks_its_task(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise LookupError("a bug")

    calls = recorded(machine)
    worker = await machine.met()
    await worker.add_task(an_event())
    monkeypatch.setattr(reconcile, "step", broken)
    await worker.run_task_safely(an_event().task_id)
    (call,) = calls
    assert (call.after, call.raised) == (None, "LookupError")


@in_virtual_time
async def test_what_is_recorded_replays_until_a_rule_changes(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = machine.recorder = FlightFile(tmp_path, begins)
    await lived(machine, restart_policy="on-failure:1", env={"TOKEN": "pa55w0rd"})
    file.close()
    assert b"pa55w0rd" not in (tmp_path / FILE_NAME).read_bytes()
    calls = [line for line in lines(tmp_path) if isinstance(line, Stepped | Did | Failed)]
    assert sum(isinstance(call, Stepped) and is_running(call) for call in calls) >= 2
    assert [call for call in calls if replayed(call)] == []
    monkeypatch.setattr(moves, "backoff_seconds", lambda task, failures: 7.0)
    (different,) = [call for call in calls if replayed(call)]
    assert isinstance(different, Stepped)
    assert different.task.state is State.RUNNING


def is_running(call: Stepped) -> bool:
    return isinstance(call.seen.body, Running)


@in_virtual_time
async def test_a_recorder_that_cannot_write_disturbs_no_worker(
    machine: Machine, tmp_path: Path
) -> None:
    machine.recorder = FlightFile(tmp_path / "nowhere", begins)
    await lived(machine)
    assert not (tmp_path / "nowhere").exists()


def test_without_a_recorder_the_rules_are_the_same() -> None:
    arguments = (a_wish(), a_task(), created(), NOW)
    assert Rules().step(*arguments) == reconcile.step(*arguments)
