"""Whether somebody holds a host port, by trying."""

from __future__ import annotations

import socket

import pytest

from keelman.runtime.host_ports import taken

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@pytest.mark.parametrize("protocol", KINDS)
@pytest.mark.parametrize("address", ["", "127.0.0.1"])
def test_a_held_port_is_taken_until_it_is_let_go(protocol: str, address: str) -> None:
    with socket.socket(socket.AF_INET, KINDS[protocol]) as held:
        held.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            held.listen()
        number = held.getsockname()[1]
        assert taken([(address, number, protocol)]) == [f"{number}/{protocol}"]
    assert taken([(address, number, protocol)]) == []


def test_a_port_of_a_connection_that_was_closed_is_free() -> None:
    """It lingers in TIME_WAIT; the engine takes it all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    assert taken([("", number, "tcp")]) == []


@pytest.mark.parametrize(
    "asked",
    [("192.0.2.1", 80, "tcp"), ("", 132, "sctp")],
    ids=["an address that is not ours", "a protocol that cannot be tried"],
)
def test_what_cannot_be_tried_is_not_said_to_be_taken(asked: tuple[str, int, str]) -> None:
    assert taken([asked]) == []
