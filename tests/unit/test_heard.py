"""When somebody was last heard: by a clock that nobody sets, and never too late a moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keelman.cli.boot import this_boot
from keelman.seen import NEVER_SECONDS
from keelman.worker.heard import FILE_NAME, Boot, Heard


class Uptime:
    """A machine's own clock, which the test moves on."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def boot(self, name: str = "b") -> Boot:
        return Boot(id=name, seconds=lambda: self.seconds)


@pytest.fixture
def uptime() -> Uptime:
    return Uptime()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def test_nobody_is_heard_before_the_first(uptime: Uptime) -> None:
    assert Heard(uptime.boot()).silence == NEVER_SECONDS


def test_a_request_is_heard_when_it_comes(uptime: Uptime) -> None:
    heard = Heard(uptime.boot())
    heard()
    uptime.seconds += 7
    assert heard.silence == 7
    heard()
    assert heard.silence == 0


def test_a_manager_is_heard_at_the_moment_that_it_has_had(uptime: Uptime) -> None:
    """However late it asks: it may have been cut off since."""
    heard = Heard(uptime.boot())
    moment = heard.moment
    uptime.seconds += 40
    heard.had(moment)
    assert heard.silence == 40


def test_a_moment_that_was_rounded_up_is_one(uptime: Uptime) -> None:
    """Told to the microsecond, it may be a little ahead of the clock."""
    uptime.seconds = 1000.0000006
    heard = Heard(uptime.boot())
    heard.had(heard.moment)
    assert heard.silence == 0


def test_an_older_moment_takes_nothing_back(uptime: Uptime) -> None:
    """Requests overtake each other, and one of a manager that was restarted may come last."""
    heard = Heard(uptime.boot())
    first = heard.moment
    uptime.seconds += 5
    second = heard.moment
    heard.had(second)
    heard.had(first)
    assert heard.silence == 0


def test_a_manager_s_first_heartbeat_is_no_sign_of_life(uptime: Uptime) -> None:
    """It has had nothing yet; the second has."""
    heard = Heard(uptime.boot())
    heard.had("")
    assert heard.silence == NEVER_SECONDS
    heard.had(heard.moment)
    assert heard.silence == 0


def test_once_there_was_a_manager_nobody_else_is_heard(uptime: Uptime) -> None:
    """An operator who looks keeps no copy alive that the manager takes for dead."""
    heard = Heard(uptime.boot())
    heard.had(heard.moment)
    uptime.seconds += 9
    heard()
    assert heard.silence == 9


@pytest.mark.parametrize(
    "moment",
    [
        "b:2000.0",
        "c:999.0",
        "b:",
        "b",
        ":999.0",
        "b:-1",
        "b:nan",
        "b:inf",
        "b:9e2",
        "b: 999",
        "x" * 99,
    ],
)
def test_what_is_no_moment_of_this_boot_is_none(uptime: Uptime, moment: str) -> None:
    """One of the future, of another boot, or no moment at all."""
    heard = Heard(uptime.boot())
    heard.had(moment)
    assert heard.silence == NEVER_SECONDS


def test_the_next_process_of_the_boot_goes_on_counting(uptime: Uptime, path: Path) -> None:
    heard = Heard(uptime.boot(), path)
    heard()
    heard.keep()
    uptime.seconds += 30
    assert Heard(uptime.boot(), path).silence == 30


def test_after_another_boot_nobody_was_heard(uptime: Uptime, path: Path) -> None:
    """Though its clock may well be where the other one was."""
    heard = Heard(uptime.boot(), path)
    heard()
    heard.keep()
    assert Heard(uptime.boot("another"), path).silence == NEVER_SECONDS


def test_that_there_is_a_manager_outlives_a_boot(uptime: Uptime, path: Path) -> None:
    heard = Heard(uptime.boot(), path)
    heard.had("")
    heard.keep()
    after = Heard(uptime.boot("another"), path)
    after()
    assert after.silence == NEVER_SECONDS


def test_a_moment_that_is_still_to_come_was_not_heard(uptime: Uptime, path: Path) -> None:
    """A machine that was put back to an earlier state keeps its boot."""
    heard = Heard(uptime.boot(), path)
    heard()
    heard.keep()
    uptime.seconds -= 60
    assert Heard(uptime.boot(), path).silence == NEVER_SECONDS


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"\xff", b"[]", b'{"at":"x"}'])
def test_a_file_that_says_nothing_makes_nobody_heard(
    uptime: Uptime, path: Path, content: bytes
) -> None:
    """Nor does it forget that there may be a manager."""
    path.write_bytes(content)
    heard = Heard(uptime.boot(), path)
    heard()
    assert heard.silence == NEVER_SECONDS
    heard.had(heard.moment)
    heard.keep()
    assert Heard(uptime.boot(), path).silence == 0


def test_only_what_is_new_is_written(uptime: Uptime, path: Path) -> None:
    heard = Heard(uptime.boot(), path)
    heard()
    heard.keep()
    path.unlink()
    heard.keep()
    assert not path.exists()


def test_it_is_for_its_owner_alone(uptime: Uptime, path: Path) -> None:
    heard = Heard(uptime.boot(), path)
    heard()
    heard.keep()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_kept_is_said_once(uptime: Uptime, tmp_path: Path) -> None:
    """And kept when it can be."""
    there = tmp_path / "later"
    heard = Heard(uptime.boot(), there / FILE_NAME)
    with capture_logs() as log:
        for _ in range(3):
            heard()
            heard.keep()
    assert [line["event"] for line in log] == ["heard not kept"]
    there.mkdir()
    heard.keep()
    assert Heard(uptime.boot(), there / FILE_NAME).silence == 0


def test_a_sleep_is_noticed(uptime: Uptime) -> None:
    """The machine's own clock goes on in it, the one by which alarms go off does not."""
    heard = Heard(uptime.boot())
    awake = 5.0
    assert not heard.slept(awake)
    uptime.seconds += 1
    assert not heard.slept(awake + 1)
    uptime.seconds += 60
    assert heard.slept(awake + 2)
    uptime.seconds += 1
    assert not heard.slept(awake + 3)


def test_the_kernel_tells_of_its_boot() -> None:
    """And its clock goes forward only."""
    boot = this_boot()
    before = boot.seconds()
    assert len(boot.id) == 36
    assert this_boot().id == boot.id
    assert 0 < before <= boot.seconds()
