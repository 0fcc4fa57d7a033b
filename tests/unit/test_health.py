"""What a row of probes says, as a table."""

from __future__ import annotations

import pytest

from keelman.health import Health, HealthCheck, Probe, Pulse, port_of

CHECK = HealthCheck(retries=3)
PATIENT = HealthCheck(retries=2, start_period=30)


def health_after(row: str, check: HealthCheck = CHECK, *, every: float = 10.0) -> Health:
    """The health after a row of probes: `+` passed, `-` failed."""
    pulse = Pulse()
    for number, sign in enumerate(row):
        probe = Probe(passed=sign == "+", words="words", after_seconds=number * every)
        pulse = pulse.and_then(probe, check)
    return pulse.health


@pytest.mark.parametrize(
    ("row", "health"),
    [
        pytest.param("", Health.STARTING, id="nothing is known yet"),
        pytest.param("+", Health.HEALTHY, id="one success is enough"),
        pytest.param("-", Health.STARTING, id="one failure is not"),
        pytest.param("--", Health.STARTING, id="nor are two of three"),
        pytest.param("---", Health.UNHEALTHY, id="three in a row are"),
        pytest.param("--+--", Health.HEALTHY, id="a success between them begins the count anew"),
        pytest.param("+--", Health.HEALTHY, id="once healthy it stays so for as many"),
        pytest.param("+---", Health.UNHEALTHY, id="and no more"),
        pytest.param("---+", Health.HEALTHY, id="it may recover"),
    ],
)
def test_a_row_of_probes(row: str, health: Health) -> None:
    assert health_after(row) is health


@pytest.mark.parametrize(
    ("row", "health"),
    [
        pytest.param("---", Health.STARTING, id="failures within it do not count"),
        pytest.param("-----", Health.UNHEALTHY, id="those after it do"),
        pytest.param("+--", Health.UNHEALTHY, id="nor does it cover what was healthy once"),
    ],
)
def test_a_start_period_is_waited_for(row: str, health: Health) -> None:
    assert health_after(row, PATIENT) is health


def test_the_words_of_an_unhealthy_task_say_how_often() -> None:
    pulse = Pulse()
    for _ in range(3):
        probe = Probe(passed=False, words="GET / answered 500", after_seconds=0)
        pulse = pulse.and_then(probe, CHECK)
    assert pulse.words == "GET / answered 500 (3 times in a row)"


@pytest.mark.parametrize(
    ("port", "exposed", "found"),
    [
        (0, ["8080/tcp", "90/tcp", "53/udp"], 90),
        (0, ["53/udp"], None),
        (0, [], None),
        (8080, ["8080/tcp", "90/tcp"], 8080),
        (81, ["8080/tcp"], None),
    ],
)
def test_the_port_is_the_one_asked_for_or_the_lowest_exposed(
    port: int, exposed: list[str], found: int | None
) -> None:
    assert port_of(HealthCheck(port=port), exposed) == found
