"""What a worker that joins may be told beside the link, and what it is when it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelman.door import Credentials
from keelman.errors import CannotStart
from keelman.invitation import JoinReport, Link, Token, digest_of
from keelman.worker import joining
from keelman.worker.join_files import Asking, Joined, JoinFiles

TLS = Link("https://manager-1:5555", Token(bytes(16), bytes(32)))
PLAIN = Link("http://127.0.0.1:5555", Token(bytes(16)))
FILE = Path("/x")


@pytest.mark.parametrize("link", [TLS, PLAIN])
def test_tokens_and_names_of_clients_may_be_given_as_well(link: Link) -> None:
    joining.check(link, 5556, Credentials(token_file=FILE, allow_client=("admin",)))


@pytest.mark.parametrize("name", ["tls_cert", "tls_key", "tls_ca"])
def test_what_it_gets_by_joining_is_not_given(name: str) -> None:
    with pytest.raises(CannotStart, match="what it gets by joining"):
        joining.check(TLS, 5556, Credentials(**{name: FILE}))  # type: ignore[arg-type]


def test_any_free_port_is_none_to_be_told_of() -> None:
    with pytest.raises(CannotStart, match="--port"):
        joining.check(TLS, 0, Credentials())


@pytest.mark.parametrize("manager", ["http://192.0.2.1:5555", "http://manager-1:5555"])
def test_no_secret_is_sent_where_it_could_be_read(manager: str) -> None:
    with pytest.raises(CannotStart, match="plain HTTP"):
        joining.check(Link(manager, PLAIN.token), 5556, Credentials())


@pytest.mark.parametrize(("name", "port"), [("node-5", 5556), ("node-4", 5557)])
async def test_it_is_what_it_joined_as(tmp_path: Path, name: str, port: int) -> None:
    """The manager goes on asking there, for that one."""
    answer = JoinReport(name="node-4", url="https://192.0.2.7:5556", certificate="c", ca="c")
    asking = Asking(invitation=digest_of(TLS.token.shown), key="k")
    JoinFiles(tmp_path).end(Joined(asking=asking, manager=TLS.manager, answer=answer))
    with pytest.raises(CannotStart, match=r"it joined as node-4 at https://192\.0\.2\.7:5556"):
        await joining.joined(TLS, name, port, tmp_path, Credentials())


async def test_a_manager_that_does_not_answer_is_told_of(tmp_path: Path) -> None:
    """And the key that was made is kept for the next time."""
    link = Link("https://127.0.0.1:1", TLS.token)
    for _ in range(2):
        with pytest.raises(CannotStart, match=r"it cannot join at .*: no worker"):
            await joining.joined(link, "node-4", 5556, tmp_path, Credentials())
    first = JoinFiles(tmp_path).asking()
    assert first is not None
    other = Link(link.manager, Token(bytes(15) + b"1", bytes(32)))
    with pytest.raises(CannotStart):
        await joining.joined(other, "node-4", 5556, tmp_path, Credentials())
    second = JoinFiles(tmp_path).asking()
    assert second is not None
    assert second.key != first.key
