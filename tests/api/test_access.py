"""Who may speak, over real sockets: what a stranger is answered, and what TLS makes of him."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from keelman import Client, ClientError, NotTrusted, Unreachable, tls
from keelman.api import CALLER, Answering, Api
from keelman.cli.asking import Where
from keelman.cli.failures import NotLetIn
from keelman.door import Door
from keelman.runtime.fake import FakeEngine
from keelman.worker import Credentials
from keelman.worker.handlers import ROUTES
from keelman.worker.worker import Worker
from tests.api.conftest import Served, an_event, steady_clock
from tests.unit.given_credentials import NEW, NOW, OLD, OTHER, Folder, a_ca, secret

ID = "21b23589-5d2d-4731-b5c9-a97e9832d021"


class Guarded(Served):
    """A served worker with a door."""

    def __init__(self, directory: Path, engine: FakeEngine, given: Credentials) -> None:
        super().__init__(directory, engine)
        metrics = self.worker.metrics
        self.door = Door(given, steady_clock, metrics.expiring)
        self.callers: list[str] = []
        self.api: Api[Worker] = Api(
            *("127.0.0.1", 0, self.worker, ROUTES),
            around=(self._noting,),
            door=self.door,
            heard=self.worker.heard,
        )

    @web.middleware
    async def _noting(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        answer: web.StreamResponse = await self.worker.metrics.measure(request, handler)
        self.callers.append(f"{request[CALLER]} {answer.status}")
        return answer


@asynccontextmanager
async def guarded(tmp_path: Path, engine: FakeEngine, given: Credentials) -> AsyncIterator[Guarded]:
    served = Guarded(tmp_path / "data", engine, given)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "certs")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return secret(tmp_path / "tokens", f"manager-1 {OLD}\n")


@pytest.fixture
async def by_token(tmp_path: Path, engine: FakeEngine, tokens: Path) -> AsyncIterator[Guarded]:
    async with guarded(tmp_path, engine, Credentials(token_file=tokens)) as served:
        yield served


@pytest.fixture
async def by_name(tmp_path: Path, engine: FakeEngine, folder: Folder) -> AsyncIterator[Guarded]:
    cert, key = folder.issue("node-1")
    given = Credentials(
        tls_cert=cert, tls_key=key, tls_ca=folder.ca, allow_client=("manager-1", "manager-2")
    )
    async with guarded(tmp_path, engine, given) as served:
        yield served


# -- what a stranger learns ----------------------------------------------------------------------

BODY = b'{"ID":"%s"}' % ID.encode()
ASKED = [
    f"{method} {path}{slash}{query}"
    for method in ("GET", "POST", "DELETE", "PUT", "OPTIONS")
    for path in ("/", "/nowhere", "/tasks", f"/tasks/{ID}", "/tasks/x", f"/tasks/{ID}/logs")
    for slash, query in (("", ""), ("/", ""), ("", "?colour=red"))
] + [
    f"GET {route.path.replace('{taskID}', ID)}" for route in ROUTES if not route.open
]  # fmt: skip
SENT = {
    "nothing": b"\r\n",
    "a Task": b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "no JSON": b"Content-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
    "no JSON type": b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n{",
    "a body that does not come": b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n",
    "too much": b"Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n",
    "a compressed body": b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "another token": b"Authorization: Bearer %s\r\n\r\n" % OTHER.encode(),
    "a password": b"Authorization: Basic YTpi\r\n\r\n",
    "a token twice": b"Authorization: Bearer x\r\nAuthorization: Bearer %s\r\n\r\n" % OLD.encode(),
}


async def answered(served: Served, head: str, rest: bytes = b"\r\n") -> bytes:
    """What comes for a request, without its date, and without a word on a body that is cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.api.port)
    writer.write(f"{head} HTTP/1.1\r\nHost: x\r\n".encode() + rest)
    async with asyncio.timeout(20):
        answer = await reader.readuntil(b"\r\n\r\n")
        if answer.startswith(b"HTTP/1.1 100"):
            answer += await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", answer)
        answer += await reader.readexactly(int(length[1]) if length else 0)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return re.sub(rb"Date: [^\r]*", b"Date: -", answer.replace(b"Connection: close\r\n", b""))


async def test_a_refusal_is_the_same_byte_for_byte_whatever_was_asked(by_token: Guarded) -> None:
    """Routes that are and are not, tasks that are and are not, any method, any body."""
    token = {"Authorization": f"Bearer {OLD}"}
    event = an_event(ID=ID)
    assert (await by_token.ask("POST", "/tasks", json=event, headers=token)).status == 201
    answers = {await answered(by_token, asked) for asked in ASKED}
    answers |= {await answered(by_token, "POST /tasks", rest) for rest in SENT.values()}
    answers |= {await answered(by_token, "PUT /nowhere", rest) for rest in SENT.values()}
    (refusal,) = answers
    assert refusal.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"WWW-Authenticate: Bearer\r\n" in refusal
    assert b'"Code":"unauthorized"' in refusal


async def test_a_refusal_does_not_wait_for_a_body(by_token: Guarded) -> None:
    """Even one that the client asks leave for is not wanted."""
    rest = b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    answers = {await answered(by_token, asked, rest) for asked in ("POST /tasks", "POST /nowhere")}
    (answer,) = answers
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


async def test_nothing_comes_of_what_a_stranger_sends(by_token: Guarded) -> None:
    for headers in ({}, {"Authorization": f"Bearer {NEW}"}):
        answer = await by_token.ask("POST", "/tasks", json=an_event(ID=ID), headers=headers)
        assert answer.is_error(401, "unauthorized")
    token = {"Authorization": f"Bearer {OLD}"}
    assert (await by_token.ask("GET", "/tasks", headers=token)).json == []


async def test_everybody_is_told_that_it_lives_and_no_more(by_token: Guarded) -> None:
    for path in ("/livez", "/livez/", "/livez?x=1", "/%6civez"):
        assert (await by_token.get(path)).status == 200
    for path in ("/readyz", "/metrics", "/openapi.json", "//livez", "/livez/x", "/livez/../tasks"):
        assert b" 401 " in await answered(by_token, f"GET {path}"), path
    assert b" 401 " in await answered(by_token, "POST /livez")


async def test_who_asked_is_known_to_what_looks_on(by_token: Guarded) -> None:
    await by_token.ask("GET", "/stats", headers={"Authorization": f"Bearer {OLD}"})
    await by_token.ask("GET", "/stats")
    await by_token.ask("GET", "/livez")
    assert by_token.callers == ["token:manager-1 200", "nobody 401", "nobody 200"]


async def test_where_nobody_is_named_everybody_is_let_in(served: Served) -> None:
    assert (await served.get("/tasks")).status == 200


async def test_a_page_in_a_browser_is_nobody_on_this_machine(
    tmp_path: Path, engine: FakeEngine
) -> None:
    """One whose name leads to 127.0.0.1 starts nothing, whatever else it sends."""
    async with guarded(tmp_path, engine, Credentials()) as served:
        event, page = an_event(ID=ID), {"Origin": "http://evil.example"}
        answer = await served.ask("POST", "/tasks", json=event, headers=page)
        assert (answer.status, answer.json["Code"]) == (403, "forbidden_page")
        assert (await served.ask("DELETE", f"/tasks/{ID}", headers=page)).status == 403
        assert (await served.get("/tasks")).json == []


# -- tokens --------------------------------------------------------------------------------------


async def test_a_token_is_judged_at_each_request(by_token: Guarded, tokens: Path) -> None:
    """On one connection: old, both, new."""
    for text, good in (
        (f"manager-1 {OLD}", [OLD]),
        (f"manager-1 {OLD}\nmanager-1 {NEW}", [OLD, NEW]),
        (f"manager-1 {NEW}", [NEW]),
    ):
        secret(tokens, text)
        by_token.door.reload()
        for token in (OLD, NEW):
            answer = await by_token.ask(
                "GET", "/tasks", headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status == (200 if token in good else 401)


async def test_a_client_shows_its_token_in_every_call(by_token: Guarded) -> None:
    address = f"http://127.0.0.1:{by_token.api.port}"
    async with Client(address, token=OLD) as client:
        task = await client.run(ID, Image="nginx:1")
        assert [one.id for one in await client.tasks()] == [task.id]
        assert await client.ready()
    async with Client(address) as client:
        with pytest.raises(ClientError) as refused:
            await client.tasks()
        assert (refused.value.status, refused.value.code) == (401, "unauthorized")
        with pytest.raises(ClientError):
            await client.ready()


async def test_a_token_is_in_no_figure(by_token: Guarded) -> None:
    token = {"Authorization": f"Bearer {OLD}"}
    await by_token.ask("GET", "/tasks", headers=token)
    assert OLD.encode() not in (await by_token.ask("GET", "/metrics", headers=token)).body


# -- certificates --------------------------------------------------------------------------------


def shows(folder: Folder, name: str = "", trusts: Folder | None = None) -> ssl.SSLContext:
    """A client with a certificate of this name, or without one."""
    pair = folder.issue(name) if name else (None, None)
    return tls.caller((trusts or folder).ca, *pair)


@asynccontextmanager
async def client_of(served: Served, context: ssl.SSLContext) -> AsyncIterator[Client]:
    async with Client(f"https://127.0.0.1:{served.api.port}", tls=context) as client:
        yield client


async def test_a_certificate_with_a_name_that_is_let_in(by_name: Guarded, folder: Folder) -> None:
    for name in ("manager-1", "manager-2"):
        async with client_of(by_name, shows(folder, name)) as client:
            assert await client.tasks() == []
    assert by_name.callers == ["tls:manager-1 200", "tls:manager-2 200"]


async def test_who_shows_a_certificate_where_none_is_asked_for_is_told_so(
    tmp_path: Path, engine: FakeEngine, folder: Folder, tokens: Path
) -> None:
    """The command line knows what it has, and the worker did not look at it."""
    cert, key = folder.issue("node-1")
    given = Credentials(tls_cert=cert, tls_key=key, token_file=tokens)
    async with guarded(tmp_path, engine, given) as served:
        address = f"https://127.0.0.1:{served.api.port}"
        where = Where(addr=address, tls_ca=folder.ca, tls_cert=cert, tls_key=key)
        with pytest.raises(NotLetIn, match="it asks for no certificates"):
            async with where.client() as client:
                await client.tasks()


async def test_no_certificate_is_401_and_another_name_403(by_name: Guarded, folder: Folder) -> None:
    refusals = []
    for name in ("", "node-1"):
        async with client_of(by_name, shows(folder, name)) as client:
            with pytest.raises(ClientError) as refused:
                await client.tasks()
            refusals.append((refused.value.status, refused.value.code))
    assert refusals == [(401, "unauthorized"), (403, "forbidden_client")]
    assert by_name.callers == ["nobody 401", "tls:node-1 403"]


async def test_another_ca_is_refused_by_tls(
    by_name: Guarded, folder: Folder, tmp_path: Path
) -> None:
    """With the right name, for a CA says nothing of another's certificates."""
    stranger = Folder(tmp_path / "stranger")
    async with client_of(by_name, shows(stranger, "manager-1", trusts=folder)) as client:
        with pytest.raises(Unreachable, match="of a CA that it does not trust"):
            await client.tasks()
    assert "tls:manager-1 200" not in by_name.callers


async def test_an_expired_certificate_is_refused_by_tls(by_name: Guarded, folder: Folder) -> None:
    pair = folder.issue("manager-1", now=NOW - timedelta(days=5), days=3)
    async with client_of(by_name, tls.caller(folder.ca, *pair)) as client:
        with pytest.raises(Unreachable, match="or expired"):
            await client.tasks()


async def test_a_worker_of_another_ca_is_not_trusted(
    by_name: Guarded, folder: Folder, tmp_path: Path
) -> None:
    stranger = Folder(tmp_path / "stranger")
    async with client_of(by_name, shows(folder, "manager-1", trusts=stranger)) as client:
        with pytest.raises(NotTrusted, match="is not trusted"):
            await client.tasks()


async def test_older_tls_is_refused(by_name: Guarded, folder: Folder) -> None:
    context = shows(folder, "manager-1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with client_of(by_name, context) as client:
        with pytest.raises(Unreachable, match="hung up"):
            await client.tasks()


async def test_who_does_not_speak_tls_learns_nothing(by_name: Guarded) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", by_name.api.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(20):
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = await reader.read()
    assert b"HTTP" not in answer
    writer.close()


async def test_a_client_that_does_not_speak_tls_is_told_what_it_may_be(by_name: Guarded) -> None:
    async with Client(f"http://127.0.0.1:{by_name.api.port}") as client:
        with pytest.raises(Unreachable, match="its address begins with https://"):
            await client.tasks()


async def test_tls_with_one_who_does_not_speak_it_is_told(served: Served) -> None:
    async with client_of(served, ssl.create_default_context()) as client:
        with pytest.raises(NotTrusted, match="TLS do not come together"):
            await client.tasks()


# -- renewal -------------------------------------------------------------------------------------


async def serial(served: Served, context: ssl.SSLContext, *, name: str | None = None) -> str:
    """The serial number of the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", served.api.port, ssl=context, server_hostname=name or "127.0.0.1"
    )
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return str(found)


async def test_a_renewed_certificate_is_shown_to_new_connections(
    by_name: Guarded, folder: Folder
) -> None:
    """Also to those that name no host, as who goes to an IP address does."""
    context = shows(folder)
    before = {await serial(by_name, context, name=name) for name in ("localhost", None)}
    folder.issue("node-1")
    by_name.door.reload()
    after = {await serial(by_name, context, name=name) for name in ("localhost", None)}
    assert (len(before), len(after), before & after) == (1, 1, set())


async def test_a_ca_is_changed_while_connections_go_on(by_name: Guarded, folder: Folder) -> None:
    """Old alone, old and new, new alone; who was in with the old one stays in."""
    old_ca, new_ca = folder.pair, a_ca()
    old = shows(folder, "manager-1")
    old.load_verify_locations(cadata=new_ca.cert.decode())
    async with client_of(by_name, old) as stays:
        assert await stays.tasks() == []
        folder.trust(new_ca, old_ca)
        folder.issue("node-1")
        new = shows(folder, "manager-1")
        by_name.door.reload()
        assert await _speaks(by_name, old)
        assert await _speaks(by_name, new)
        folder.trust(new_ca)
        by_name.door.reload()
        assert not await _speaks(by_name, old)
        assert await _speaks(by_name, new)
        assert await stays.tasks() == []


async def _speaks(served: Served, context: ssl.SSLContext) -> bool:
    async with client_of(served, context) as client:
        try:
            await client.tasks()
        except Unreachable:
            return False
        return True


async def test_after_a_renewal_all_rules_stay(
    by_name: Guarded, folder: Folder, tmp_path: Path
) -> None:
    """A missing certificate is asked for, another name refused, TLS 1.2 not spoken."""
    by_name.door.reload()
    for name, status in (("", 401), ("node-1", 403)):
        async with client_of(by_name, shows(folder, name)) as client:
            with pytest.raises(ClientError) as refused:
                await client.tasks()
            assert refused.value.status == status
    await test_another_ca_is_refused_by_tls(by_name, folder, tmp_path)
    await test_older_tls_is_refused(by_name, folder)


async def test_no_session_outlives_a_ca(by_name: Guarded, folder: Folder) -> None:
    """A client is given nothing with which it could come back without its certificate."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", by_name.api.port, ssl=shows(folder, "manager-1")
    )
    writer.write(b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in await reader.readline()
    assert not writer.get_extra_info("ssl_object").session.has_ticket
    writer.close()


async def test_when_its_certificates_expire_is_a_figure(by_name: Guarded, folder: Folder) -> None:
    async with client_of(by_name, shows(folder, "manager-1")) as client:
        call = client._call("GET", "metrics")
        async with call as answer:
            text = await answer.text()
    assert re.findall(r'keelman_certificate_expires_seconds\{which="(\w+)"\} \d', text) == [
        "cert",
        "ca",
    ]
