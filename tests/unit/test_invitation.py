"""Links that are pasted: whole or refused, and never told by an error or a repr."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelman.errors import BadField, CannotStart, Malformed
from keelman.invitation import (
    PIN_BYTES,
    SECRET_BYTES,
    InvitationIn,
    InvitationReport,
    JoinIn,
    Link,
    Token,
    decode_invitation,
    decode_join,
    digest_of,
    read_link,
    read_token,
)

SECRET, PIN = bytes(range(SECRET_BYTES)), bytes(range(PIN_BYTES))
TLS = Link("https://manager-1:5555", Token(SECRET, PIN))
PLAIN = Link("http://127.0.0.1:5555", Token(SECRET))


@given(
    st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
    st.sampled_from((b"", PIN, bytes(PIN_BYTES))),
)
def test_a_token_is_read_as_it_was_printed(secret: bytes, pin: bytes) -> None:
    """Whatever bytes it is made of."""
    assert read_token(Token(secret, pin).text) == Token(secret, pin)


@pytest.mark.parametrize("link", [TLS, PLAIN])
def test_a_link_is_read_as_it_was_printed(link: Link) -> None:
    """Also with what a terminal puts round it."""
    assert read_link(link.text) == link
    assert read_link(f" {link.text}\n") == link


@pytest.mark.parametrize(
    "text",
    [
        *("", "#", "https://manager-1:5555", "https://manager-1:5555/#", TLS.token.text),
        *(f"manager-1:5555/#{TLS.token.text}", f"ftp://manager-1:5555/#{TLS.token.text}"),
        *(TLS.text[:-1], TLS.text[:-22], f"{TLS.text}AA", f"{TLS.text[:-1]}!"),
        f"https://manager-1:5555/#{PLAIN.token.text}",  # its CA would not be looked at
        f"http://127.0.0.1:5555/#{TLS.token.text}",
    ],
)
def test_what_is_no_whole_link_is_refused_and_not_told(text: str) -> None:
    """It may have a secret in it."""
    with pytest.raises(CannotStart) as refused:
        read_link(text)
    assert refused.value.message.startswith("--join: ")
    assert TLS.token.text[:12] not in refused.value.message


def test_what_has_a_secret_does_not_show_it() -> None:
    """In no repr, and so in no traceback."""
    asked = JoinIn(secret=TLS.token.shown, name="node-4", port=5556)
    report = msgspec.json.decode(
        b'{"Token":"%s","Name":"","Host":"","Labels":{},"Until":"2026-01-31T08:00:00Z"}'
        % TLS.token.text.encode(),
        type=InvitationReport,
    )
    for one in (TLS, TLS.token, asked, report):
        for secret in (TLS.token.shown, TLS.token.text[:12], repr(SECRET)):
            assert secret not in repr(one)


def test_of_a_secret_the_digest_is_kept() -> None:
    """Another for each."""
    assert TLS.token.shown not in digest_of(TLS.token.shown)
    assert digest_of(TLS.token.shown) != digest_of(Token(PIN[:SECRET_BYTES][::-1]).shown)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"Name":"-x"}', "Name"),
        (b'{"Name":"%s"}' % (b"x" * 64), "Name"),
        (b'{"Host":"%s"}' % (b"x" * 254), "Host"),
        (b'{"Seconds":0}', "Seconds"),
        (b'{"Seconds":604801}', "Seconds"),
        (b'{"Labels":{"-":""}}', "Labels"),
        (b'{"Colour":""}', "Colour"),
    ],
)
def test_a_wrong_invitation_is_refused_by_its_field(body: bytes, words: str) -> None:
    with pytest.raises(BadField, match=words):
        decode_invitation(body)


def test_what_is_usual_of_an_invitation() -> None:
    """Any name, from anywhere, for an hour."""
    assert decode_invitation(b"{}") == InvitationIn()
    assert (InvitationIn().seconds, InvitationIn().name, InvitationIn().host) == (3600, "", "")


@pytest.mark.parametrize(
    "changed",
    [
        *({"Name": ""}, {"Name": "a b"}, {"Port": 0}, {"Port": 65536}, {"Port": "5556"}),
        *({"Secret": "x" * 129}, {"Request": "x" * 8193}, {"URL": "https://elsewhere:1"}),
    ],
)
def test_who_asks_to_join_says_what_is_asked_and_no_more(changed: dict[str, object]) -> None:
    """Where it is, is not for it to say."""
    asked = {"Secret": "5ec7e7-5ec7e7", "Name": "node-4", "Port": 5556, **changed}
    with pytest.raises(BadField) as refused:
        decode_join(msgspec.json.encode(asked))
    assert "5ec7e7" not in refused.value.message


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(Malformed):
        decode_join(b"{")
