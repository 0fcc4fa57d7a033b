"""A worker joins a manager over real sockets and real TLS; and who must not, does not."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import ClientSession, TCPConnector, web
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from keelman import Client, ClientError, ManagerClient, State, certs, tls
from keelman.api import Api
from keelman.auditor import FILE_NAME, REFUSED_NAME, Auditor
from keelman.door import Credentials, Door
from keelman.errors import CannotStart
from keelman.invitation import InvitationReport, JoinIn, JoinReport, Link, read_link, read_token
from keelman.manager import ManagerOptions, NodeCredentials, follow
from keelman.manager.guesses import GUESSES_MOST
from keelman.manager.handlers import ROUTES
from keelman.manager.limits import Limits
from keelman.manager.manager import Manager
from keelman.manager.serve import connector, how_to_join
from keelman.metrics import Metrics
from keelman.runtime.fake import FakeEngine
from keelman.store import Store
from keelman.worker import joining
from keelman.worker.handlers import ROUTES as WORKER_ROUTES
from keelman.worker.join_client import JoinClient
from tests.api.conftest import Served, an_event, steady_clock
from tests.unit.given_credentials import Folder, a_ca
from tests.unit.test_cert_requests import request_of

PATIENCE_SECONDS = 20.0
SECRETS = iter(bytes([number]) * 16 for number in range(1, 250))


class Managed:
    """A manager with a door, on a port of its own; with the CA's key, unless that is left out."""

    def __init__(self, directory: Path, folder: Folder | None, *, key: bool = True) -> None:
        self.folder = folder
        served, nodes = Credentials(), NodeCredentials()
        if folder is not None:
            cert, own = folder.issue("manager-1")
            served = Credentials(
                tls_cert=cert, tls_key=own, tls_ca=folder.ca, allow_client=("admin",)
            )
            ca_key = folder.path / "ca.key"
            ca_key.touch(mode=0o600)
            ca_key.write_bytes(folder.pair.key)
            nodes = NodeCredentials(
                ca=folder.ca, cert=cert, key=own, ca_key=ca_key if key else None
            )
        options = ManagerOptions(data_dir=directory, credentials=served, node_credentials=nodes)
        metrics = Metrics(steady_clock)
        self.store = Store(directory, lambda: str(uuid4()), metrics.committed)
        self.manager = Manager(
            store=self.store,
            connect=connector(nodes),
            clock=self.clock,
            limits=Limits(),
            metrics=metrics,
            joining=how_to_join(options, lambda: next(SECRETS)),
        )
        self.late = 0.0
        self.auditor = Auditor(directory, "m", steady_clock, metrics.unaudited, reads=True)
        door = Door(served, steady_clock, metrics.expiring)
        around = (metrics.measure, self.auditor.audit)
        self.api = Api("127.0.0.1", 0, self.manager, ROUTES, around=around, door=door)

    def clock(self) -> float:
        return steady_clock() + self.late

    async def start(self, stack: AsyncExitStack) -> None:
        await self.manager.open()
        self._loops = asyncio.create_task(self.manager.run_tasks())
        self.api.bind()
        await self.api.start()
        self._taking = asyncio.create_task(self.api.take())
        context = None
        if self.folder is not None:
            context = tls.caller(self.folder.ca, *self.folder.issue("admin"))
        self.client = await stack.enter_async_context(ManagerClient(self.url, tls=context))

    @property
    def url(self) -> str:
        return self.api.url

    async def stop(self) -> None:
        self.manager.events.close()
        await self.api.stop()
        self._loops.cancel()
        self._taking.cancel()
        await asyncio.gather(self._loops, self._taking, return_exceptions=True)
        self.auditor.close()
        self.store.close()

    async def link(self, name: str = "", **how: Any) -> Link:
        told = await self.client.invite_node(name, **how)
        return read_link(f"{self.url}/#{told.token}")

    def audited(self, file: str = FILE_NAME) -> list[tuple[Any, ...]]:
        path = self.store.directory / file
        lines = path.read_bytes().splitlines() if path.exists() else []
        fields = ("Caller", "Path", "Name", "Status", "Code")
        return [tuple(json.loads(line)[field] for field in fields) for line in lines]


@asynccontextmanager
async def managing(directory: Path, folder: Folder | None, **how: Any) -> AsyncIterator[Managed]:
    async with AsyncExitStack() as stack:
        one = Managed(directory, folder, **how)
        await one.start(stack)
        stack.push_async_callback(one.stop)
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "certs")


@pytest.fixture
async def managed(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Managed]:
    monkeypatch.setattr(follow, "RECONNECT_SECONDS", 0.02)
    async with managing(tmp_path / "manager", folder) as one:
        yield one


def place(tmp_path: Path, name: str = "w") -> Path:
    directory = tmp_path / name
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


async def join(link: Link, directory: Path, name: str = "node-4", port: int = 5556) -> Credentials:
    """As a worker does at its start."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await joining.joined(link, name, port, directory, Credentials())


# -- joining ---------------------------------------------------------------------------------------


async def test_a_worker_that_joined_runs_a_task(
    managed: Managed, tmp_path: Path, engine: FakeEngine
) -> None:
    """From the link to the end of a task, in mutual TLS with what it got."""
    worker = Served(tmp_path / "data", engine)
    worker.api.bind()
    port = worker.api.port
    assert worker.api._socket is not None
    worker.api._socket.close()
    got = await join(await managed.link("w", labels={"zone": "eu"}), place(tmp_path), "w", port)
    assert got.allow_client == ("manager-1",)
    door = Door(got, steady_clock, worker.worker.metrics.expiring)
    worker.api = Api("127.0.0.1", port, worker.worker, WORKER_ROUTES, door=door)
    await worker.start()
    try:
        event = an_event(Command=["true"], Constraints=["node.labels.zone==eu"])
        await managed.client.send(event)
        async with asyncio.timeout(PATIENCE_SECONDS):
            task = await managed.client.task(event["Task"]["ID"], wait="ended")
        assert (task.state, task.node) == (State.COMPLETED, "w")
        await see_strangers_refused(got, port, managed)
    finally:
        await worker.stop()


async def see_strangers_refused(got: Credentials, port: int, managed: Managed) -> None:
    """Of the same CA, and not the manager."""
    assert managed.folder is not None
    context = tls.caller(managed.folder.ca, *managed.folder.issue("admin"))
    async with Client(f"https://127.0.0.1:{port}", tls=context) as client:
        with pytest.raises(ClientError) as refused:
            await client.tasks()
    assert refused.value.code == "forbidden_client"


async def test_a_worker_that_is_started_again_goes_by_what_it_got(
    managed: Managed, tmp_path: Path
) -> None:
    """The same command line; nobody is asked, and it says so."""
    link = await managed.link()
    first = await join(link, place(tmp_path))
    before = {path.name: path.read_bytes() for path in place(tmp_path).iterdir()}
    managed.late = 10**6  # long after the invitation has ended
    await managed.api.stop()
    with capture_logs() as logged:
        assert await join(link, place(tmp_path)) == first
    assert [line["event"] for line in logged] == ["joined before"]
    assert {path.name: path.read_bytes() for path in place(tmp_path).iterdir()} == before


async def test_the_answer_may_be_lost(
    managed: Managed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the manager recorded it: asked again, it is the same node with the same key."""
    link, real = await managed.link(), JoinClient.join

    async def killed(client: JoinClient, asked: JoinIn) -> JoinReport:
        await real(client, asked)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(JoinClient, "join", killed)
        with pytest.raises(RuntimeError):
            await join(link, place(tmp_path))
    got = await join(link, place(tmp_path))
    assert got.tls_cert is not None
    assert [node.name for node in await managed.client.nodes()] == ["node-4"]


async def test_a_node_is_invited_again_for_another_certificate(
    managed: Managed, tmp_path: Path
) -> None:
    """By its name, at its place; the node stays as it is."""
    first = await join(await managed.link("node-4", labels={"zone": "eu"}), place(tmp_path))
    assert first.tls_key is not None
    key = first.tls_key.read_bytes()
    second = await join(await managed.link("node-4"), place(tmp_path))
    assert second.tls_key is not None
    assert second.tls_key.read_bytes() != key
    (node,) = await managed.client.nodes()
    assert (node.name, node.labels) == ("node-4", {"zone": "eu"})


async def test_a_node_that_is_invited_again_is_where_it_was(
    managed: Managed, tmp_path: Path
) -> None:
    """Whoever comes from elsewhere under its name gets no certificate."""
    await join(await managed.link("node-4"), place(tmp_path))
    for link, port in [
        (await managed.link("node-4"), 5557),
        (await managed.link("node-4", host="node-4.example"), 5556),
    ]:
        with pytest.raises(CannotStart, match=r"node-4 is known, at https://127\.0\.0\.1:5556"):
            await join(link, place(tmp_path, "other"), "node-4", port)


async def test_on_loopback_without_tls_it_joins_without_certificates(
    tmp_path: Path,
) -> None:
    """Where nobody has to show who he is, either."""
    async with managing(tmp_path / "manager", None) as managed:
        link = await managed.link()
        assert link.token.pin == b""
        assert await join(link, place(tmp_path)) == Credentials()
        (node,) = await managed.client.nodes()
        assert node.url == "http://127.0.0.1:5556"
        with pytest.raises(CannotStart, match="used already"):
            await join(link, place(tmp_path, "other"), "node-5", 5557)


async def test_without_the_cas_key_nobody_is_invited(tmp_path: Path, folder: Folder) -> None:
    """And it is said how to run it."""
    async with managing(tmp_path / "manager", folder, key=False) as managed:
        with pytest.raises(ClientError, match="--node-ca-key") as refused:
            await managed.link()
        assert (refused.value.status, refused.value.code) == (409, "no_authority")


# -- who must not ----------------------------------------------------------------------------------


async def test_an_invitation_is_no_good_on_another_machine(
    managed: Managed, tmp_path: Path
) -> None:
    """Whoever read it over somebody's shoulder, after it was used."""
    link = await managed.link()
    await join(link, place(tmp_path))
    with pytest.raises(CannotStart, match="used already, by node-4: ask for another"):
        await join(link, place(tmp_path, "thief"))
    with pytest.raises(CannotStart, match="used already, by node-4"):
        await join(link, place(tmp_path, "thief"), "node-5", 5557)
    assert len(await managed.client.nodes()) == 1


async def test_of_two_at_once_one_joins(managed: Managed, tmp_path: Path) -> None:
    """Whichever it is."""
    link = await managed.link()
    came = await asyncio.gather(
        join(link, place(tmp_path, "a"), "node-4", 5556),
        join(link, place(tmp_path, "b"), "node-5", 5557),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in came) == ["CannotStart", "Credentials"]
    assert len(await managed.client.nodes()) == 1


async def test_an_invitation_ends(managed: Managed, tmp_path: Path) -> None:
    link = await managed.link(seconds=60)
    managed.late = 60.0
    with pytest.raises(CannotStart, match="has expired"):
        await join(link, place(tmp_path))


async def test_a_name_is_one_nodes_and_the_invitation_is_not_lost_by_that(
    managed: Managed, tmp_path: Path
) -> None:
    """Also not that of the manager, nor of one who is let in."""
    await join(await managed.link(), place(tmp_path))
    link = await managed.link()
    for name, words in [
        ("node-4", "is known"),
        ("manager-1", "the manager's own, or a client's"),
        ("Admin", "the manager's own, or a client's"),
    ]:
        with pytest.raises(CannotStart, match=words):
            await join(link, place(tmp_path, "other"), name, 5557)
    await join(link, place(tmp_path, "other"), "node-5", 5557)
    assert [node.name for node in await managed.client.nodes()] == ["node-4", "node-5"]


async def test_another_address_than_its_own_is_only_the_operators_to_say(
    managed: Managed, tmp_path: Path
) -> None:
    """The manager's own is nobody's."""
    await join(await managed.link(host="node-4.example"), place(tmp_path))
    (node,) = await managed.client.nodes()
    assert node.url == "https://node-4.example:5556"
    link = await managed.link(host="manager-1")
    with pytest.raises(CannotStart, match="the manager's own address"):
        await join(link, place(tmp_path, "other"), "node-5")


async def test_a_request_for_other_names_gets_none_of_them(managed: Managed) -> None:
    """What it asks for beside its key does not count; what is no request is refused, and costs
    nothing.
    """
    secret = (await managed.link("node-4")).token.shown
    asked = {"Secret": secret, "Name": "node-4", "Port": 5556, "Request": "nothing"}
    status, body = await post(managed, asked)
    assert (status, body["Code"]) == (400, "bad_field")
    request = request_of(ec.generate_private_key(ec.SECP256R1()), "manager-1", "admin")
    status, body = await post(managed, {**asked, "Request": request.decode()})
    assert status == 201
    assert certs.names_of(body["Certificate"].encode()) == ("127.0.0.1",)


async def post(managed: Managed, asked: dict[str, Any]) -> tuple[int, Any]:
    """What a stranger is answered, who shows no certificate."""
    assert managed.folder is not None
    context = tls.caller(managed.folder.ca, None, None)
    async with (
        ClientSession(connector=TCPConnector(ssl=context)) as session,
        session.post(f"{managed.url}/join", json=asked) as response,
    ):
        return response.status, await response.json()


async def test_guessing_has_an_end(managed: Managed) -> None:
    """In the file of those who were turned away; from elsewhere one may still join."""
    asked = {"Secret": "0" * 32, "Name": "node-4", "Port": 5556}
    answers = [await post(managed, asked) for _ in range(GUESSES_MOST + 1)]
    assert [status for status, _ in answers] == [403] * GUESSES_MOST + [503]
    assert {body["Code"] for _, body in answers[:-1]} == {"not_invited"}
    refused = ("nobody", "/join", "node-4", 403, "not_invited")
    assert managed.audited(REFUSED_NAME) == [refused] * GUESSES_MOST
    managed.late = 60.0
    assert (await post(managed, asked))[0] == 403


async def test_the_rest_of_the_door_stays_shut(managed: Managed) -> None:
    """Open are the CA, which is no secret, and the request to join."""
    assert managed.folder is not None
    context = tls.caller(managed.folder.ca, None, None)
    connector = TCPConnector(ssl=context)
    async with ClientSession(managed.url, connector=connector) as session:
        open_to_all = set()
        for route in ROUTES:
            path = route.path.replace("{taskID}", str(uuid4())).replace("{node}", "node-4")
            async with session.request(route.method, path, json={}) as response:
                if response.status != 401:
                    open_to_all.add(f"{route.method} {route.path}")
        async with session.get("/join/ca") as response:
            assert await response.read() == managed.folder.pair.cert
    assert open_to_all == {"GET /livez", "GET /join/ca", "POST /join"}


# -- who is in the middle --------------------------------------------------------------------------


class Impostor:
    """Somebody who answers at the manager's address, with a CA of his own."""

    def __init__(self, folder: Folder, shown: bytes) -> None:
        self.heard: list[str] = []
        self._folder, self._shown = folder, shown

    @asynccontextmanager
    async def up(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._folder.issue("manager-1"))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        try:
            yield f"https://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.heard.append(f"{request.method} {request.path} {await request.text()}".strip())
        return web.Response(body=self._shown)


async def test_who_is_in_the_middle_with_another_ca_is_told_nothing(
    managed: Managed, tmp_path: Path
) -> None:
    """The worker fetches his CA, sees that it is another, and hangs up."""
    other = Folder(tmp_path / "other", a_ca())
    impostor = Impostor(other, other.pair.cert)
    link = await managed.link()
    async with impostor.up() as url:
        with pytest.raises(CannotStart, match="another CA than the one of the invitation"):
            await join(Link(url, link.token), place(tmp_path))
    assert impostor.heard == ["GET /join/ca"]
    await join(link, place(tmp_path))  # which is still good


@pytest.mark.parametrize("more", [b"", b"his own, too"])
async def test_who_passes_the_true_ca_on_is_told_nothing_either(
    managed: Managed, tmp_path: Path, more: bytes
) -> None:
    """His certificate is not of it; nor does it help to put his own CA beside it."""
    assert managed.folder is not None
    other = Folder(tmp_path / "other", a_ca())
    shown = managed.folder.pair.cert + (other.pair.cert if more else b"")
    impostor = Impostor(other, shown)
    link = await managed.link()
    async with impostor.up() as url:
        with pytest.raises(CannotStart, match=r"certificate|another CA"):
            await join(Link(url, link.token), place(tmp_path))
    assert impostor.heard == ["GET /join/ca"]


# -- what is told ----------------------------------------------------------------------------------


async def test_the_secret_is_told_to_who_asked_for_it_and_to_nobody_else(
    managed: Managed, tmp_path: Path
) -> None:
    """In no file of the manager, nor of the worker; in no log line, nor in a figure."""
    with capture_logs() as logged:
        link = await managed.link("node-4")
        with pytest.raises(CannotStart):
            await join(link, place(tmp_path, "other"), "node-5")
        await join(link, place(tmp_path))
        with pytest.raises(CannotStart):
            await join(link, place(tmp_path, "thief"))
    managed.store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    told = [*contents(tmp_path), repr(logged).encode()]
    secrets = (link.token.secret, link.token.shown.encode(), link.token.text[:20].encode())
    assert len(told) > 10
    assert not [secret for secret in secrets for one in told if secret in one]


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def test_who_invited_and_who_came_is_in_the_audit_log(
    managed: Managed, tmp_path: Path
) -> None:
    link = await managed.link("node-4")
    await join(link, place(tmp_path))
    with pytest.raises(CannotStart):
        await join(link, place(tmp_path, "thief"))
    assert managed.audited() == [
        ("tls:admin", "/invitations", "node-4", 201, ""),
        ("invitation:node-4", "/join", "node-4", 201, ""),
        ("invitation:node-4", "/join", "node-4", 403, "not_invited"),
    ]


async def test_a_key_stays_on_its_machine(managed: Managed, tmp_path: Path) -> None:
    """What goes to the manager has the public one only."""
    sent: list[JoinIn] = []
    real = JoinClient.join

    async def watching(client: JoinClient, asked: JoinIn) -> JoinReport:
        sent.append(asked)
        return await real(client, asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(JoinClient, "join", watching)
        got = await join(await managed.link(), place(tmp_path))
    assert got.tls_key is not None
    assert got.tls_key.stat().st_mode & 0o777 == 0o600
    (asked,) = sent
    assert "PRIVATE" not in str(msgspec.json.encode(asked))
    assert re.findall(r"BEGIN [A-Z ]+", asked.request) == ["BEGIN CERTIFICATE REQUEST"]


async def test_an_invitation_is_answered_with_what_was_asked(managed: Managed) -> None:
    """And with a token, of which the digest of the CA is the end."""
    told: InvitationReport = await managed.client.invite_node(
        "node-4", host="192.0.2.7", labels={"zone": "eu"}, seconds=60
    )
    assert (told.name, told.host, told.labels) == ("node-4", "192.0.2.7", {"zone": "eu"})
    assert 0 < told.until.timestamp() - steady_clock() <= 60
    assert len(read_token(told.token).pin) == 32
