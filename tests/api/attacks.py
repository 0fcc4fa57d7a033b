"""Attacks on the port: what is sent, and what is answered. docs/security.md has this table.

Each is sent on a connection of its own, which the client then leaves open for the worker to close,
or shuts on its side. `answer` has the statuses that come, in order; `closed` is none at all.
"""

from __future__ import annotations

import gzip
import json

from msgspec import Struct

ID = "21b23589-5d2d-4731-b5c9-a97e9832d021"
HOST = b"Host: x\r\n"
JSON_HEAD = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SOUND = {"ID": ID, "State": 2, "Task": {"ID": ID, "Image": "nginx:1"}}
BODY = json.dumps(SOUND).encode()


class Attack(Struct, frozen=True):
    """One, by its name."""

    name: str
    sent: bytes
    answer: str


def get(path: bytes, *fields: bytes) -> bytes:
    return (
        b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"".join(f + b"\r\n" for f in fields) + b"\r\n"
    )


def post(body: bytes, *fields: bytes) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return JSON_HEAD + length + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + body


def task(**fields: object) -> bytes:
    return post(json.dumps({**SOUND, "Task": {**SOUND["Task"], **fields}}).encode())  # type: ignore[dict-item]


NOT_HTTP = [
    Attack("nothing, and the client hangs up", b"", "closed"),
    Attack("a thousand NULs", bytes(1000), "400"),
    Attack("random words", b"hello\r\n\r\n", "400"),
    Attack("a TLS hello on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
    Attack("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
    Attack("HTTP/0.9", b"GET /livez\r\n\r\n", "closed"),
    Attack("HTTP/9.9", b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n", "400"),
    Attack("half a request line", b"GET /liv", "closed"),
    Attack("half a head", b"GET /livez HTTP/1.1\r\nHos", "closed"),
    Attack("lines that end with LF only", b"GET /livez HTTP/1.1\nHost: x\n\n", "400"),
    Attack("an SSH greeting", b"SSH-2.0-OpenSSH_9.2\r\n", "400"),
    Attack("a request to a proxy", b"GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
    Attack("CONNECT", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
]

HEADS = [
    Attack("a request line of 100 kB", get(b"/" + b"a" * 100_000), "400"),
    Attack("a query of 100 kB", get(b"/tasks?name=" + b"a" * 100_000), "400"),
    Attack("a field of 100 kB", get(b"/livez", b"X: " + b"a" * 100_000), "400"),
    Attack("10,000 fields", get(b"/livez", *[b"X: y"] * 10_000), "400"),
    Attack("65 fields", get(b"/livez", *[b"X: y"] * 65), "400"),
    Attack("NUL in a field", get(b"/livez", b"X: a\0b"), "400"),
    Attack("a field without a name", get(b"/livez", b": x"), "400"),
    Attack("a blank before the colon", get(b"/livez", b"X : y"), "400"),
    Attack("a folded field", get(b"/livez", b"X: a", b" b"), "400"),
    Attack("two Hosts", get(b"/livez", HOST.strip()), "400"),
    Attack("Expect: 100-continue without a body", get(b"/livez", b"Expect: 100-continue"), "200"),
    Attack("Expect: the impossible", get(b"/livez", b"Expect: the-impossible"), "200"),
    Attack(
        "an upgrade to a web socket",
        get(b"/livez", b"Upgrade: websocket", b"Connection: Upgrade"),
        "200",
    ),
    Attack("HEAD", b"HEAD /tasks HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
    Attack("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
    Attack("TRACE", b"TRACE /tasks HTTP/1.1\r\nHost: x\r\nX-Secret: 1\r\n\r\n", "405"),
    Attack("a method that nobody knows", b"BREW /tasks HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    Attack(
        "X-HTTP-Method-Override",
        get(b"/tasks/" + ID.encode(), b"X-HTTP-Method-Override: DELETE"),
        "404",
    ),
]

SMUGGLED = b"DELETE /tasks/%s HTTP/1.1\r\nHost: x\r\n\r\n" % ID.encode()
SMUGGLING = [
    Attack(
        "Content-Length and Transfer-Encoding",
        JSON_HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        "400",
    ),
    Attack(
        "Content-Length twice",
        JSON_HEAD + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        "400",
    ),
    Attack(
        "Transfer-Encoding twice",
        JSON_HEAD
        + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
        + SMUGGLED,
        "400",
    ),
    Attack(
        "Transfer-Encoding: chunked, with a tab before",
        JSON_HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        "400",
    ),
    Attack(
        "Transfer-Encoding: identity",
        JSON_HEAD + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED,
        "400",
    ),
    Attack(
        "chunks to HTTP/1.0",
        JSON_HEAD.replace(b"1.1", b"1.0")
        + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + SMUGGLED,
        "400",
    ),
    Attack("Content-Length: -1", JSON_HEAD + b"Content-Length: -1\r\n\r\n", "400"),
    Attack("Content-Length: +5", JSON_HEAD + b"Content-Length: +5\r\n\r\n{}{}{", "400"),
    Attack("Content-Length: 5, 5", JSON_HEAD + b"Content-Length: 5, 5\r\n\r\n{}{}{", "400"),
    Attack("Content-Length: 0x5", JSON_HEAD + b"Content-Length: 0x5\r\n\r\n{}{}{", "400"),
    Attack(
        "Content-Length of 20 digits",
        JSON_HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
        "400",
    ),
    Attack(
        "Content-Length: 10^18", JSON_HEAD + b"Content-Length: 1000000000000000000\r\n\r\n", "413"
    ),
    Attack(
        "a chunk that is none",
        JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n{ }\r\nzz\r\n",
        "400",
    ),
    Attack(
        "a chunk of 2^64 bytes",
        JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        "400",
    ),
    Attack(
        "a chunk with a sign",
        JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n-3\r\n{ }\r\n0\r\n\r\n",
        "400",
    ),
    Attack(
        "a chunk's extension of 100 kB",
        JSON_HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n2;"
        + b"a" * 100_000
        + b"\r\n{}\r\n0\r\n\r\n",
        "400",
    ),
    Attack(
        "trailers of 100 kB",
        JSON_HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: "
        + b"a" * 100_000
        + b"\r\n\r\n",
        "400",
    ),
    Attack(
        "a chunked body over 1 MiB",
        JSON_HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 17
        + b"0\r\n\r\n",
        "413",
    ),
    Attack(
        "half a body, and the client hangs up", JSON_HEAD + b"Content-Length: 9\r\n\r\n{", "closed"
    ),
    Attack(
        "a GET with a body that is a request",
        get(b"/livez", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
        "200",
    ),
]

BODIES = [
    Attack("gzip", post(gzip.compress(BODY), b"Content-Encoding: gzip"), "415"),
    Attack(
        "a gzip bomb: 1 MiB that becomes 1 GiB",
        post(gzip.compress(bytes(1 << 20)) * 900, b"Content-Encoding: gzip"),
        "415",
    ),
    Attack(
        "deflate as Transfer-Encoding",
        JSON_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "400",
    ),
    Attack("no JSON", post(b"{"), "400"),
    Attack("200,000 brackets", post(b"[" * 200_000), "400"),
    Attack("100,000 objects, one in the other", post(b'{"a":' * 100_000), "400"),
    Attack(
        "a worker's own field, nested deeply",
        post(BODY.replace(b'"Image"', b'"Health":' + b"[" * 50_000 + b"]" * 50_000 + b',"Image"')),
        "400",
    ),
    Attack("bytes that are not UTF-8", post(BODY.replace(b"nginx", b"ngin\xff")), "400"),
    Attack("half a surrogate", post(BODY.replace(b"nginx", b"ngin\\ud800")), "400"),
    Attack("UTF-16", post(BODY.decode().encode("utf-16")), "400"),
    Attack("a byte order mark", post(b"\xef\xbb\xbf" + BODY), "400"),
    Attack("NaN", post(BODY.replace(b'"Image"', b'"Cpu": NaN, "Image"')), "400"),
    Attack("Infinity", post(BODY.replace(b'"Image"', b'"Cpu": Infinity, "Image"')), "400"),
    Attack("Cpu 1e999", post(BODY.replace(b'"Image"', b'"Cpu": 1e999, "Image"')), "400"),
    Attack("Memory of 20 digits", task(Memory=10**20), "400"),
    Attack(
        "Memory of 100,000 digits",
        post(BODY.replace(b'"Image"', b'"Memory": ' + b"9" * 100_000 + b', "Image"')),
        "400",
    ),
    Attack("a State that is true", post(BODY.replace(b'"State": 2', b'"State": true')), "400"),
    Attack(
        "the same field twice: one good, one bad",
        post(BODY.replace(b'"State": 2', b'"State": 2, "State": 9')),
        "400",
    ),
    Attack("a NUL in Command", task(Command=["a\0b"]), "400"),
    Attack("an unknown field", task(Privileged=True), "400"),
    Attack(
        "a hundred thousand unknown fields",
        post(b"{" + b",".join(b'"a%d":1' % n for n in range(100_000)) + b"}"),
        "413",
    ),
    Attack("a label of ours", task(Labels={"keelman.task": "x"}), "400"),
    Attack(
        "a form",
        post(b"a=b").replace(b"application/json", b"application/x-www-form-urlencoded"),
        "415",
    ),
]

PATHS = [
    Attack("../ out of the path", get(b"/tasks/../../etc/passwd"), "404"),
    Attack("%2e%2e%2f", get(b"/tasks/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), "400"),
    Attack("a path on the way round", get(b"/nowhere/../livez"), "404"),
    Attack("NUL in an ID", get(b"/tasks/%00"), "400"),
    Attack("percent signs that say nothing", get(b"/tasks/%zz%"), "400"),
    Attack("%ff in an ID", get(b"/tasks/%ff"), "400"),
    Attack("line ends in an ID", get(b"/tasks/a%0d%0aX:%20y"), "400"),
    Attack("an ID of 5,000 letters", get(b"/tasks/" + b"a" * 5000), "400"),
    Attack(
        "an ID in full-width digits",
        get(b"/tasks/" + "\uff12\uff11b23589-5d2d-4731-b5c9-a97e9832d021".encode()),
        "400",
    ),
    Attack("SQL in an ID", get(b"/tasks/'%20OR%201=1%20--"), "400"),
    Attack("SQL in a name", get(b"/tasks?name='%20OR%201=1%20--"), "200"),
    Attack("900 parameters", get(b"/tasks?" + b"&".join([b"label=a"] * 900)), "200"),
    Attack("line ends in a parameter", get(b"/tasks?limit=1%0d%0aX:%20y"), "400"),
    Attack("a limit in Arabic digits", get(b"/tasks?limit=%D9%A1"), "400"),
    Attack("a limit of 4,000 digits", get(b"/tasks?limit=" + b"9" * 4000), "400"),
    Attack("a timeout that is NaN", get(b"/tasks/%s?wait=ended&timeout=nan" % ID.encode()), "400"),
    Attack(
        "Last-Event-ID of 8,000 letters", get(b"/events", b"Last-Event-ID: " + b"9" * 8000), "400"
    ),
    Attack("bytes that are not ASCII in the path", get(b"/\xff\xfe"), "400"),
    Attack("a broken IPv6 host in the request line", get(b"http://[::1/livez"), "400"),
]

MANY = [
    Attack("10,000 requests in one packet", get(b"/livez") * 10_000, "200"),
    Attack(
        "10,000 requests, the last one broken", get(b"/livez") * 9_999 + b"\0\r\n\r\n", "200 400"
    ),
]

ATTACKS = [*NOT_HTTP, *HEADS, *SMUGGLING, *BODIES, *PATHS, *MANY]
