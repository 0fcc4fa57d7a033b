"""What a certificate may be for."""

from __future__ import annotations

import pytest

from keelman.cert_names import BadName, alternative_names, checked_host, checked_name, is_for


@pytest.mark.parametrize("name", ["node-1", "a", "7", "x" * 63, "a--b"])
def test_a_name_is_a_label(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("Manager_1", "'manager-1'"),
        ("node.1", "'node-1'"),
        ("-node-", "'node'"),
        ("../ca", "'node-1'"),
        ("", "'node-1'"),
        ("é", "'node-1'"),
        ("a/b", "'a-b'"),
        ("node-1\n", "'node-1'"),
        ("x" * 70, f"'{'x' * 63}'"),
        ("*", "'node-1'"),
    ],
)
def test_what_is_no_name_is_told_what_would_be_right(name: str, right: str) -> None:
    with pytest.raises(BadName, match="is no name such as") as refused:
        checked_name(name)
    assert f"such as {right}:" in refused.value.message


@pytest.mark.parametrize("name", ["ca", "localhost"])
def test_a_name_with_another_meaning_is_refused(name: str) -> None:
    """ca.key is the CA's, and everybody's certificate is for localhost."""
    with pytest.raises(BadName, match="another meaning"):
        checked_name(name)


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("node-1.example.com", "node-1.example.com"),
        ("NODE-1", "node-1"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("4.example", "4.example"),
    ],
)
def test_a_host_is_a_name_or_an_address(host: str, written: str) -> None:
    assert checked_host(host) == written


@pytest.mark.parametrize(
    "host",
    [
        *("", "*.example.com", "a b", "a_b", "192.0.2.256", "192.0.2", "192.0.2.7:5556"),
        *("https://node-1", "node-1.", "[::1]", "é.example", "a" * 64, ".".join(["a" * 62] * 5)),
        "fe80::1%eth0",
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(BadName):
        checked_host(host)


def test_names_are_own_first_then_hosts_then_loopback_each_once() -> None:
    hosts = ["192.0.2.7", "node-1", "127.0.0.1", "192.0.2.7"]
    assert alternative_names("node-1", hosts) == (
        *("node-1", "192.0.2.7", "127.0.0.1", "localhost", "::1"),
    )


@pytest.mark.parametrize(
    ("names", "address", "good"),
    [
        ("node-1 10.99.5.1", "10.99.5.1", True),
        ("node-1 10.99.5.1", "10.99.5.2", False),
        ("node-1 10.99.5.1", "node-1", True),
        ("node-1 10.99.5.1", "Node-1", True),
        ("2001:db8::7", "2001:DB8:0:0::7", True),
        ("node-1 localhost 127.0.0.1 ::1", "127.0.0.1", True),
        ("node-1.example.com", "127.0.0.1", False),
        ("*.example.com", "node-1.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("*.99.5.1", "a.99.5.2", False),
        ("node-1 localhost", "0.0.0.0", True),
        ("localhost 127.0.0.1 ::1", "0.0.0.0", False),
        ("localhost 127.0.0.1 ::1", "::", False),
        ("", "0.0.0.0", False),
        ("", "node-1", False),
    ],
)
def test_whom_a_certificate_is_for(names: str, address: str, good: bool) -> None:
    """By the address where it listens; where that is every one, by any that is not loopback's."""
    assert is_for(names.split(), address) is good
