"""Words of an engine are told without the values of Env in them, and mean what they meant."""

from __future__ import annotations

import pytest

from keelman.errors import EngineBusy, EngineError, EngineFailed, NameTaken
from keelman.seen import Refused, Seen, Unknown
from keelman.task import Reason
from keelman.worker import discretion
from tests.unit.given import a_spec, created, exited, running

SPEC = a_spec(env={"TOKEN": "s3cret-pa55w0rd"})
QUOTES = "no: TOKEN=s3cret-pa55w0rd"
TOLD = "no: TOKEN=***"


@pytest.mark.parametrize("kind", [EngineFailed, EngineBusy, NameTaken])
def test_an_error_stays_of_its_kind(kind: type[EngineError]) -> None:
    told = discretion.error(kind(QUOTES), SPEC)
    assert (type(told), told.message) == (kind, TOLD)


def test_an_error_that_quotes_nothing_is_the_same() -> None:
    error = EngineFailed("no space left on device")
    assert discretion.error(error, SPEC) is error


@pytest.mark.parametrize(
    ("quoting", "told"),
    [
        (
            created(refused=Refused(reason=Reason.START_REFUSED, message=QUOTES)),
            created(refused=Refused(reason=Reason.START_REFUSED, message=TOLD)),
        ),
        (Seen(body=Unknown(why=QUOTES)), Seen(body=Unknown(why=TOLD))),
        *((same, same) for same in (created(), running(), exited(3))),
    ],
)
def test_what_is_seen_is_told_without(quoting: Seen, told: Seen) -> None:
    assert discretion.seen(quoting, SPEC) == told
