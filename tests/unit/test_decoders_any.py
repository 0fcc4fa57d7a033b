"""Whatever is given to what reads foreign text: an answer or the documented error, nothing else.

What is sent as a TaskEvent is tried in `test_wire_any`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from yarl import URL

from keelman import (
    access,
    answers,
    cert_names,
    certs,
    flight,
    image_names,
    output,
    params,
    waiting,
)
from keelman.allowed import Allowed, refusals
from keelman.answers import BadAddress, ClientError
from keelman.cert_names import BadName
from keelman.certs import CertsError
from keelman.cli import values
from keelman.cli.failures import Usage
from keelman.errors import BadField, CannotStart
from keelman.flight import NotAFlight
from keelman.frames import Frames
from keelman.listing import Listing
from keelman.mark import Mark
from keelman.runtime import container, credentials, marks, told
from keelman.runtime.frames import split
from keelman.spec import is_port, is_signal
from keelman.task import Spec
from keelman.wire import TaskReport, TransitionReport
from tests.fuzzing import times
from tests.unit.given import NOW
from tests.unit.test_wire_any import ANYTHING

LIKELY = [
    *("{", '{"ID":{}}', '{"a":' * 5000, '{"Image":"a","Env":' + "[" * 5000, '{"Image":"a"}'),
    *("", " ", "0", "1", "-1", "+1", "01", "1e9", "nan", "inf", "\u0661", "1.", ".5", "0x1", "1_0"),
    *(
        "9" * 19,
        "9" * 400,
        "9" * 5000,
        "true",
        "True",
        "running",
        "2",
        "running,failed",
        "a=b",
        "=b",
    ),
    *("\0", "\n", "\r\n", "\ud800", "\x85", "\u2028", "é", "../..", "%00", "a" * 5000, "[" * 5000),
    *("localhost", "127.0.0.1", "::1", "fe80::1%eth0", "*.example", "a..b", "-a", "1.2.3.4.5"),
    *(
        "nginx",
        "nginx:1",
        "a@b",
        "a/b:c@sha256:0",
        "*",
        "[",
        "[!]",
        "a" * 64,
        "sha256:abc",
        ":",
        "/",
    ),
    *(
        "64m",
        "1.5g",
        "9" * 400 + "g",
        "5m",
        "0001-01-01",
        "9999-12-31T23:59:59",
        "8080:80",
        "1:2:ro",
    ),
    *("# x", "a b", "manager-1 " + "x" * 16, "Bearer x", "http://[::1", "http://x:99999", "a:b"),
    *(
        "SIGTERM",
        "TERM",
        "15",
        "SIGRTMIN+3",
        "80/tcp",
        "99999/udp",
        "1s",
        "MemTotal: 1 kB",
        "cpu 1",
    ),
]
TEXT = st.one_of(
    st.sampled_from(LIKELY),
    st.text(max_size=60),
    st.lists(st.sampled_from(LIKELY), max_size=4).map(" ".join),
    st.lists(st.sampled_from(LIKELY) | st.text(max_size=5), max_size=6).map("".join),
    st.lists(st.sampled_from(LIKELY), max_size=4).map("\n".join),
)
BYTES = st.one_of(
    st.binary(max_size=200),
    TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")),
    ANYTHING.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 100_000, b'"\xff"', b'{"ID":"\xff"}', b"\xef\xbb\xbf{}"]
    ),
)
ADDRESS = URL("http://127.0.0.1:5556")


def seconds(text: str) -> None:
    found = params.seconds({"x": text}, "x", most=1e9)
    assert found is not None
    assert 0 <= found <= 1e9


def integer(text: str) -> None:
    found = params.integer({"x": text}, "x", most=7)
    assert found in range(8)


def allowed(text: str) -> None:
    text = text[:200]
    spec = Spec(
        image=text, network=text, cap_add=(text,), port_bindings={text: text}, labels={text: text}
    )
    list(refusals(spec, Allowed(images=("nginx", text), capabilities=(text,))))


def spec_in_label(text: str) -> None:
    container._spec_in(told.Config(labels={marks.SPEC_LABEL: text}, env=[text]))


OF_TEXT: dict[str, tuple[Callable[[str], object], type[Exception] | None]] = {
    "a number": (integer, BadField),
    "seconds": (seconds, BadField),
    "a flag": (lambda text: params.flag({"x": text}, "x"), BadField),
    "states of a list": (lambda text: Listing.of({"state": text}, []), BadField),
    "labels of a list": (lambda text: Listing.of({}, [text, text]), BadField),
    "the page of a list": (lambda text: Listing.of({"after": text, "limit": text}, []), BadField),
    "a wait": (lambda text: waiting.Wait.of({"wait": "ended", "timeout": text}), BadField),
    "a wait's word": (lambda text: waiting.Wait.of({"wait": text}), BadField),
    "logs since": (lambda text: output.LogRequest.of({"since": text}), BadField),
    "an attempt": (lambda text: output.LogRequest.of({"attempt": text, "tail": text}), BadField),
    "a file of tokens": (access.read_tokens, CannotStart),
    "a client's own token": (access.own_token, CannotStart),
    "an Authorization header": (access.bearer, None),
    "a pattern of images": (lambda text: image_names.matches("a.example/b:c", text), None),
    "an image's name": (lambda text: image_names.matches(text, "a.example/*:?@[ab]"), None),
    "both": (lambda text: image_names.matches(text[:200], text[:200]), None),
    "what is allowed": (allowed, None),
    "a name in a certificate": (cert_names.checked_name, BadName),
    "a host in a certificate": (cert_names.checked_host, BadName),
    "an address": (answers.url, BadAddress),
    "a registry": (credentials.registry_of, None),
    "a spec's label": (spec_in_label, None),
    "a port": (is_port, None),
    "a signal": (is_signal, None),
    "a size": (lambda text: values.size(text, "--x"), Usage),
    "a duration": (lambda text: values.seconds(text, "--x"), Usage),
    "a moment": (lambda text: values.moment(text, datetime.fromtimestamp(NOW, UTC)), Usage),
    "a published port": (values.port, Usage),
    "a mount": (values.mount, Usage),
    "a variable": (lambda text: values.variable(text, {}), Usage),
    "a label": (values.label, Usage),
}
OF_BYTES: dict[str, tuple[Callable[[bytes], object], type[Exception] | None]] = {
    "events": (lambda piece: list(Frames().feed(piece)), None),
    "the engine's log frames": (split, ValueError),
    "the engine's words": (told.words_of, None),
    "Docker's config file": (credentials.config_of, ValueError),
    "a helper's answer": (credentials.login_of_helper, ValueError),
    "a Task's answer": (lambda text: answers.decoded(text, TaskReport), ClientError),
    "a list's answer": (lambda text: answers.decoded(text, list[TransitionReport]), ClientError),
    "a refusal": (lambda text: answers.refusal(503, text), None),
    "certificates": (certs.split, CertsError),
    "a certificate": (certs.names_of, CertsError),
    "a flight record": (lambda text: list(flight.read(text.splitlines(keepends=True))), NotAFlight),
}


def tried(read: Callable[[], object], error: type[Exception] | None) -> None:
    with contextlib.suppress(*([error] if error else [])):
        read()


@pytest.mark.parametrize("what", OF_TEXT)
def test_any_text_is_understood_or_refused_as_documented(what: str) -> None:
    call, error = OF_TEXT[what]

    @settings(max_examples=times(100), deadline=None)
    @given(TEXT)
    def holds(text: str) -> None:
        tried(lambda: call(text), error)

    holds()


@pytest.mark.parametrize("what", OF_TEXT)
def test_what_is_likely_is_understood_or_refused_as_documented(what: str) -> None:
    call, error = OF_TEXT[what]
    for text in LIKELY:
        tried(lambda text=text: call(text), error)  # type: ignore[misc]


@pytest.mark.parametrize("what", OF_BYTES)
def test_any_bytes_are_understood_or_refused_as_documented(what: str) -> None:
    call, error = OF_BYTES[what]

    @settings(max_examples=times(100), deadline=None)
    @given(BYTES)
    @example(b"[" * 100_000)
    @example(b'{"a":' * 100_000)
    @example(b'{"ID":"\xff"}')
    @example(b'"\xff"')
    def holds(text: bytes) -> None:
        tried(lambda: call(text), error)

    holds()


@settings(
    max_examples=times(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=BYTES, log_id=st.none() | TEXT, seq=st.integers(0, 2**63 - 1))
def test_any_mark_is_believed_or_doubted(
    tmp_path: Path, text: bytes, log_id: str | None, seq: int
) -> None:
    path = tmp_path / "mark"
    path.write_bytes(text)
    with closing(Mark(path, "home")) as mark:
        assert isinstance(mark.doubt(log_id, seq), str)
