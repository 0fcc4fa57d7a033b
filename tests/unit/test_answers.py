"""What goes wrong between a client and a worker, told by the type of the error."""

from __future__ import annotations

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from keelman.answers import NotTrusted, OtherHost, Unreachable, translated

KEY = ConnectionKey("node-1", 5556, True, True, None, None, None)
REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed")
RESET = OSError(errno.ECONNRESET, "reset")
MISTRUST = ssl.SSLCertVerificationError(1, "certificate verify failed")
MISTRUST.verify_message = "unable to get local issuer certificate"
HUNG_UP = "hung up without an answer"
AT_HTTP = "its address begins with https://"
AWAY = "went away in the middle"
BROKEN = "broke off"


def caused(error: aiohttp.ClientError, cause: Exception) -> aiohttp.ClientError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "plain", "secret"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), "Connection refused", "Connection refused"),
        (aiohttp.ClientConnectorError(KEY, RESET), "Connection reset", HUNG_UP),
        (aiohttp.ClientConnectorError(KEY, ConnectionResetError()), "no worker answers", HUNG_UP),
        (aiohttp.ClientConnectorError(KEY, OSError("all failed")), "all failed", "all failed"),
        (aiohttp.ServerDisconnectedError(), AT_HTTP, HUNG_UP),
        (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), BROKEN, HUNG_UP),
        (aiohttp.ClientOSError(errno.EPIPE, "pipe"), BROKEN, HUNG_UP),
        (aiohttp.ClientOSError(errno.EHOSTUNREACH, "host"), BROKEN, BROKEN),
        (aiohttp.ClientConnectionResetError("closing"), BROKEN, HUNG_UP),
        (aiohttp.ClientPayloadError("cut"), AWAY, AWAY),
        (TimeoutError(), "timed out", "timed out"),
    ],
)
def test_no_answer_is_told_as_what_it_may_be(error: Exception, plain: str, secret: str) -> None:
    """Over TLS a connection that is closed may be one that is not let in."""
    for scheme, words in (("http", plain), ("https", secret)):
        with pytest.raises(Unreachable, match=words):
            fail_with(error, scheme)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ClientConnectorCertificateError(KEY, MISTRUST), "unable to get local issuer"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version")), "wrong version"),
        (caused(aiohttp.ClientOSError(1, "x"), ssl.SSLError(1, "unknown ca")), "unknown ca"),
    ],
)
def test_what_tls_has_against_it_is_no_silence(error: aiohttp.ClientError, words: str) -> None:
    with pytest.raises(NotTrusted, match=words):
        fail_with(error, "https")


@pytest.mark.parametrize("code", [62, 64])
def test_a_certificate_for_other_hosts_is_told_with_what_mends_it(code: int) -> None:
    """By OpenSSL's number, whatever its words are: a name or an address that is not in it."""
    wrong = ssl.SSLCertVerificationError(1, "certificate verify failed")
    wrong.verify_code, wrong.verify_message = code, "IP address mismatch, for 'node-1'."
    with pytest.raises(OtherHost, match=r"other hosts than node-1: issue it with --host node-1$"):
        fail_with(aiohttp.ClientConnectorCertificateError(KEY, wrong), "https")


def fail_with(error: Exception, scheme: str) -> None:
    with translated(URL(f"{scheme}://node-1:5556")):
        raise error
