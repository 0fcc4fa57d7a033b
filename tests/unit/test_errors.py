"""The tree of errors: what each says to HTTP and to programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keelman import errors
from keelman.errors import EngineError, EngineRefused, KeelmanError
from keelman.task import Reason


def below(parent: type[KeelmanError]) -> Iterator[type[KeelmanError]]:
    """It and its kin, as far as they are of this tree: a client's own errors are not."""
    yield parent
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from below(child)


ALL = list(below(KeelmanError))
ANSWERED = [error for error in ALL if not issubclass(error, EngineError)]

EVERY_ERROR = pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)


@EVERY_ERROR
def test_an_error_knows_its_status_its_code_and_its_words(error: type[KeelmanError]) -> None:
    assert 400 <= error.status <= 599
    assert error.code
    assert error.code == error.code.lower().replace(" ", "_")
    assert error("no such thing").message == "no such thing"


@EVERY_ERROR
def test_an_error_is_drawn_in_the_tree_at_the_top_of_the_module(error: type[KeelmanError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")


@EVERY_ERROR
def test_trying_again_may_help_only_where_it_is_said(error: type[KeelmanError]) -> None:
    assert error.retriable == (error.status in {408, 503} or issubclass(error, _RETRIED))


_RETRIED = (errors.EngineAway, errors.EngineBusy, errors.EngineFailed)


def test_no_two_errors_of_the_api_have_the_same_code() -> None:
    codes = [error.code for error in ANSWERED]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("Malformed", 400, "malformed"),
        ("BadField", 400, "bad_field"),
        ("NotSupported", 400, "not_supported"),
        ("Unauthorized", 401, "unauthorized"),
        ("Forbidden", 403, "not_allowed"),
        ("ForbiddenClient", 403, "forbidden_client"),
        ("ForbiddenPage", 403, "forbidden_page"),
        ("NotFound", 404, "not_found"),
        ("UnknownTask", 404, "unknown_task"),
        ("MethodNotAllowed", 405, "method_not_allowed"),
        ("RequestTimeout", 408, "request_timeout"),
        ("EventReused", 409, "event_reused"),
        ("SpecChanged", 409, "spec_changed"),
        ("Stopping", 409, "stopping"),
        ("TaskCompleted", 409, "task_completed"),
        ("TaskEnded", 409, "task_ended"),
        ("StaleGeneration", 409, "stale_generation"),
        ("ContainerGone", 410, "container_gone"),
        ("EventsGone", 410, "events_gone"),
        ("TooLarge", 413, "too_large"),
        ("NotJson", 415, "not_json"),
        ("CannotRecord", 503, "cannot_record"),
        ("EngineUnavailable", 503, "engine_unavailable"),
        ("EngineAway", 503, "engine_unavailable"),
        ("IllegalMove", 500, "illegal_move"),
    ],
)
def test_programs_may_rely_on_status_and_code(name: str, status: int, code: str) -> None:
    error: type[KeelmanError] = getattr(errors, name)
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("error", list(below(EngineRefused)), ids=lambda error: error.__name__)
def test_the_code_of_a_refusal_is_the_reason_that_a_task_fails_for(
    error: type[EngineRefused],
) -> None:
    assert Reason(error.code) is not Reason.NONE
