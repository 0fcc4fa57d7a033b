"""The bar of a pull: shown while one is waited for, on a terminal only."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from keelman.cli import pull_bar
from keelman.client import Client, Unreachable
from keelman.progress import Progress
from keelman.task import State
from keelman.wire import TaskReport


def a_report(state: State, pull: Progress | None = None, reason: str = "") -> TaskReport:
    return TaskReport(id="1", image="busybox:1", state=state, pull=pull, reason=reason)


HALF = Progress(layers=2, layers_done=1, bytes_done=5_000_000, bytes_total=10_000_000)
PULLING = a_report(State.SCHEDULED, HALF, "pulling")


class Told(Client):
    """A client that is told one report after the other."""

    def __init__(self, *reports: TaskReport | Exception) -> None:
        super().__init__("http://127.0.0.1:1")
        self.reports: Iterator[TaskReport | Exception] = iter(reports)
        self.asked = 0

    async def task(self, task_id: str, **_: Any) -> TaskReport:
        self.asked += 1
        report = next(self.reports)
        if isinstance(report, Exception):
            raise report
        return report


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_bar, "LOOK_AGAIN_SECONDS", 0.0)


async def shown(client: Client, *, terminal: bool = True) -> str:
    file = io.StringIO()
    await pull_bar.show_pull(client, "1", Console(file=file, force_terminal=terminal, width=80))
    return file.getvalue()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(a_report(State.RUNNING), id="it runs"),
        pytest.param(a_report(State.FAILED), id="it has failed"),
        pytest.param(a_report(State.SCHEDULED, reason="exited"), id="it waits for something else"),
        pytest.param(Unreachable("gone"), id="the worker is gone"),
    ],
)
async def test_a_bar_is_shown_until_the_pull_is_over(end: TaskReport | Exception) -> None:
    client = Told(a_report(State.PENDING), PULLING, PULLING, end)
    text = await shown(client)
    assert "pulling busybox:1" in text
    assert "5.0/10.0 MB" in text
    assert client.asked == 4


async def test_where_nobody_watches_nothing_is_asked_or_shown() -> None:
    client = Told(PULLING)
    assert await shown(client, terminal=False) == ""
    assert client.asked == 0
