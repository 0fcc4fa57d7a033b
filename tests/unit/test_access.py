"""Who may speak: decisions as a table, files of tokens, and where a worker may stand."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman import access
from keelman.access import Admitted, Shown, Verdict, bearer, judge, own_token, read_tokens, unsafe
from keelman.errors import CannotStart, ForbiddenClient, ForbiddenPage, Unauthorized
from tests.unit.given_credentials import NEW, OLD, OTHER

TOKENS = read_tokens(f"manager-1 {OLD}\nmanager-1 {NEW}\nprometheus {OTHER}\n")
BY_TOKEN = Admitted(tokens=TOKENS)
BY_NAME = Admitted(clients=("manager-1", "manager-2"))
EITHER = Admitted(clients=("manager-1", "manager-2"), tokens=TOKENS)


# -- decisions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("admitted", "token", "names", "verdict"),
    [
        (Admitted(), "", None, Verdict("loopback")),
        (Admitted(), "whatever", ("x",), Verdict("loopback")),
        (BY_TOKEN, OLD, None, Verdict("token:manager-1")),
        (BY_TOKEN, NEW, None, Verdict("token:manager-1")),
        (BY_TOKEN, OTHER, None, Verdict("token:prometheus")),
        (BY_TOKEN, "", None, Verdict("nobody", Unauthorized)),
        (BY_TOKEN, OLD[:-1], None, Verdict("nobody", Unauthorized)),
        (BY_TOKEN, OLD + "x", None, Verdict("nobody", Unauthorized)),
        (BY_TOKEN, OLD.upper(), None, Verdict("nobody", Unauthorized)),
        (BY_TOKEN, "manager-1", None, Verdict("nobody", Unauthorized)),
        (BY_TOKEN, "\udcff\ud800", None, Verdict("nobody", Unauthorized)),
        (BY_NAME, "", None, Verdict("nobody", Unauthorized)),
        (BY_NAME, OLD, None, Verdict("nobody", Unauthorized)),
        (BY_NAME, "", ("manager-1", "localhost"), Verdict("tls:manager-1")),
        (BY_NAME, "", ("localhost", "manager-2"), Verdict("tls:manager-2")),
        (BY_NAME, "", ("node-1", "localhost"), Verdict("tls:node-1", ForbiddenClient)),
        (BY_NAME, "", (), Verdict("tls:", ForbiddenClient)),
        (BY_NAME, "", ("manager-10",), Verdict("tls:manager-10", ForbiddenClient)),
        (BY_NAME, "", ("manager",), Verdict("tls:manager", ForbiddenClient)),
        (BY_NAME, "", ("*",), Verdict("tls:*", ForbiddenClient)),
        (BY_NAME, "", ("MANAGER-1",), Verdict("tls:MANAGER-1", ForbiddenClient)),
        (BY_NAME, "", ("manager-1\0.evil",), Verdict("tls:manager-1\0.evil", ForbiddenClient)),
        (EITHER, "", ("manager-1",), Verdict("tls:manager-1")),
        (EITHER, OTHER, None, Verdict("token:prometheus")),
        (EITHER, OTHER, ("manager-1",), Verdict("tls:manager-1")),
        (EITHER, OTHER, ("node-1",), Verdict("token:prometheus")),
        (EITHER, "wrong", ("node-1",), Verdict("tls:node-1", ForbiddenClient)),
        (EITHER, "wrong", None, Verdict("nobody", Unauthorized)),
    ],
)
def test_who_may_speak(
    admitted: Admitted, token: str, names: tuple[str, ...] | None, verdict: Verdict
) -> None:
    assert judge(admitted, Shown(token=token, names=names)) == verdict


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:5556", "null", ""])
def test_where_nobody_is_named_anybody_is_no_page_in_a_browser(origin: str) -> None:
    """Whatever it calls itself: its author chooses the name that leads here."""
    assert judge(Admitted(), Shown(origin=origin)) == Verdict("loopback", ForbiddenPage)


@pytest.mark.parametrize("admitted", [BY_TOKEN, EITHER])
def test_who_has_a_token_may_ask_from_a_page(admitted: Admitted) -> None:
    """The token says who it is."""
    assert judge(admitted, Shown(token=OLD, origin="http://x")) == Verdict("token:manager-1")


@given(token=st.text(), names=st.none() | st.lists(st.text()).map(tuple))
def test_nobody_comes_in_by_chance(token: str, names: tuple[str, ...] | None) -> None:
    verdict = judge(EITHER, Shown(token=token, names=names))
    assert verdict.refusal is (Unauthorized if names is None else ForbiddenClient)


@pytest.mark.parametrize("token", [OLD, NEW, OTHER, "", "wrong", "x" * 8000])
def test_every_token_is_compared_whatever_is_shown(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In constant time, by digests of one length: the first match does not end it."""
    compared: list[tuple[int, int]] = []

    def compare(known: bytes, shown: bytes) -> bool:
        compared.append((len(known), len(shown)))
        return hmac.compare_digest(known, shown)

    monkeypatch.setattr(access, "compare_digest", compare)
    judge(BY_TOKEN, Shown(token=token))
    assert compared == [(32, 32)] * len(TOKENS)


def test_what_is_kept_of_a_token_does_not_tell_it() -> None:
    assert "0123456789abcdef" not in repr(BY_TOKEN)


@pytest.mark.parametrize("refusal", [Unauthorized, ForbiddenClient])
def test_a_refusal_has_always_the_same_words(
    refusal: type[Unauthorized | ForbiddenClient],
) -> None:
    assert refusal().message == refusal().message
    assert refusal().message


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, ""),
        ("", ""),
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("BEARER abc", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearer a b", ""),
        ("Basic abc", ""),
        ("xBearer abc", ""),
        ("Bearerabc", ""),
        ("Bearer abc\n", ""),
    ],
)
def test_a_token_is_taken_from_one_form_of_header(header: str | None, token: str) -> None:
    assert bearer(header) == token


# -- files of tokens -----------------------------------------------------------------------------


def test_a_file_of_tokens_has_blank_lines_and_comments() -> None:
    text = f"# who may speak\n\n  manager-1\t{OLD}  \n # not yet: x {NEW}\n\nops {OTHER}"
    assert [token.name for token in read_tokens(text)] == ["manager-1", "ops"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no token"),
        ("\n# nothing\n", "no token"),
        (OLD, "line 1 is not NAME TOKEN"),
        (f"a {OLD}\nb {NEW} more", "line 2 is not NAME TOKEN"),
        (f"-a {OLD}", "line 1: its name"),
        (f"{'a' * 64} {OLD}", "line 1: its name"),
        ("a 0123456789abcde", "line 1: a token must have at least 16"),
        ("a 0123456789abcde\ufffd", "line 1: a token must have at least 16"),
        (f"a {OLD}\nb {OLD}", "a token twice"),
    ],
)
def test_a_file_that_is_not_right_is_refused_without_telling_what_is_in_it(
    text: str, words: str
) -> None:
    with pytest.raises(CannotStart) as refused:
        read_tokens(text)
    assert words in refused.value.message
    assert "0123456789abcde" not in refused.value.message


@pytest.mark.parametrize("text", [OLD, f"manager-1 {OLD}\n", f"# mine\n\n{OLD}\n"])
def test_a_client_has_one_token(text: str) -> None:
    assert own_token(text) == OLD


@pytest.mark.parametrize("text", ["", "# mine", f"a {OLD}\nb {NEW}", f"a b {OLD}", "short"])
def test_a_client_without_one_token_is_told_so(text: str) -> None:
    with pytest.raises(CannotStart) as refused:
        own_token(text)
    assert "0123456789abcdef" not in refused.value.message


# -- where a worker may stand --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("admitted", "encrypted", "danger"),
    [
        (Admitted(), False, "other machines reach this address"),
        (Admitted(), True, "other machines reach this address"),
        (BY_TOKEN, False, "plain HTTP"),
        (BY_TOKEN, True, ""),
        (BY_NAME, True, ""),
        (EITHER, True, ""),
    ],
)
def test_where_other_machines_come_a_worker_must_know_them(
    admitted: Admitted, encrypted: bool, danger: str
) -> None:
    words = unsafe(admitted, encrypted=encrypted)
    assert (danger in words, bool(words)) == (True, bool(danger))
    if danger:
        for way in ("--tls-cert", "--allow-client", "--token-file", "keelman certs", "127.0.0.1"):
            assert way in words
