"""When a task is started again, and how long that waits."""

from __future__ import annotations

import pytest

from keelman.policy import LONGEST_WAIT_SECONDS, backoff_seconds, restart_due
from tests.unit.given import a_task

ENDLESS = 10_000


@pytest.mark.parametrize(
    ("policy", "succeeded", "failures", "due"),
    [
        pytest.param("", True, 0, False, id="none, succeeded"),
        pytest.param("", False, 0, False, id="none, failed"),
        pytest.param("no", True, 0, False, id="no, succeeded"),
        pytest.param("no", False, 0, False, id="no, failed"),
        pytest.param("always", True, 0, True, id="always, succeeded"),
        pytest.param("always", False, ENDLESS, True, id="always, failed often"),
        pytest.param("unless-stopped", True, 0, True, id="unless-stopped, succeeded"),
        pytest.param("unless-stopped", False, ENDLESS, True, id="unless-stopped, failed often"),
        pytest.param("on-failure", True, 0, False, id="on-failure, succeeded"),
        pytest.param("on-failure", False, ENDLESS, True, id="on-failure, failed often"),
        pytest.param("on-failure:3", True, 0, False, id="on-failure:3, succeeded"),
        pytest.param("on-failure:3", False, 0, True, id="on-failure:3, first failure"),
        pytest.param("on-failure:3", False, 2, True, id="on-failure:3, third failure"),
        pytest.param("on-failure:3", False, 3, False, id="on-failure:3, fourth failure"),
    ],
)
def test_a_policy_says_whether_an_ended_task_is_started_again(
    policy: str, succeeded: bool, failures: int, due: bool
) -> None:
    assert restart_due(policy, succeeded=succeeded, failures=failures) is due


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 1), (1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (20, 300), (ENDLESS, 300)],
    ids=str,
)
def test_back_off_doubles_from_1_s_to_5_min_and_jitter_adds_a_quarter_at_most(
    failures: int, seconds: float
) -> None:
    for attempt in range(1, 50):
        wait = backoff_seconds(a_task(attempt=attempt), failures)
        assert seconds <= wait < seconds * 1.25 <= LONGEST_WAIT_SECONDS


def test_jitter_spreads_tasks_that_failed_together() -> None:
    waits = {backoff_seconds(a_task().but(id=f"task {n}"), 3) for n in range(100)}
    assert len(waits) > 90
    assert max(waits) - min(waits) > 1.5


def test_jitter_is_the_same_however_often_it_is_asked_for() -> None:
    assert backoff_seconds(a_task(attempt=4), 3) == backoff_seconds(a_task(attempt=4), 3)
    assert backoff_seconds(a_task(attempt=4), 3) != backoff_seconds(a_task(attempt=5), 3)
