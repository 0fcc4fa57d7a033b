"""Who may join by an invitation, and as what."""

from __future__ import annotations

import pytest

from keelman.errors import BadField, NotInvited
from keelman.invitation import InvitationIn, JoinIn
from keelman.manager import inviting
from keelman.manager.guesses import GUESS_SECONDS, GUESSERS_MOST, GUESSES_MOST, Guesses
from keelman.manager.inviting import Invitation

NOW = 1000.0
ANY = inviting.invited(InvitationIn(seconds=60), NOW)
BOUND = inviting.invited(InvitationIn(name="node-4", labels={"zone": "eu"}, seconds=60), NOW)


def asks(name: str = "node-4", port: int = 5556) -> JoinIn:
    return JoinIn(secret="s", name=name, port=port)


# -- which invitation ------------------------------------------------------------------------------


def test_an_invitation_is_good_until_its_end_and_not_at_it() -> None:
    assert inviting.good(ANY, asks(), NOW + 59.9) == ANY
    with pytest.raises(NotInvited, match="expired: ask for another"):
        inviting.good(ANY, asks(), NOW + 60)


def test_a_secret_that_nobody_gave_is_good_for_nothing() -> None:
    with pytest.raises(NotInvited, match="no such invitation"):
        inviting.good(None, asks(), NOW)


def test_an_invitation_for_a_name_is_for_no_other() -> None:
    """It says what to do."""
    assert inviting.good(BOUND, asks("node-4"), NOW) == BOUND
    with pytest.raises(NotInvited, match="start it with --name node-4"):
        inviting.good(BOUND, asks("node-5"), NOW)


@pytest.mark.parametrize("invitation", [ANY, BOUND])
def test_an_invitation_is_good_for_one_worker(invitation: Invitation) -> None:
    """Who has the key may ask again, when the answer was lost."""
    once = inviting.used(invitation, asks(), "key", NOW)
    assert (once.key, once.node) == ("key", "node-4")
    assert inviting.used(once, asks(), "key", NOW + 1) == once
    with pytest.raises(NotInvited, match="used already, by node-4"):
        inviting.used(once, asks(), "another", NOW + 1)
    with pytest.raises(NotInvited, match="expired"):
        inviting.used(once, asks(), "key", NOW + 60)


def test_a_key_is_good_for_one_name() -> None:
    once = inviting.used(ANY, asks("node-4"), "key", NOW)
    with pytest.raises(NotInvited, match="used already, by node-4"):
        inviting.used(once, asks("node-5"), "key", NOW)


# -- as what ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "url"),
    [
        ("192.0.2.7", "https://192.0.2.7:5556"),
        ("2001:DB8::7", "https://[2001:db8::7]:5556"),
        ("::ffff:192.0.2.7", "https://192.0.2.7:5556"),
    ],
)
def test_a_node_is_where_it_asked_from(peer: str, url: str) -> None:
    host = inviting.host_of(BOUND, peer)
    node = inviting.node(BOUND, asks(), host, encrypted=True)
    assert (node.name, node.url, node.labels) == ("node-4", url, {"zone": "eu"})


def test_or_where_the_operator_said() -> None:
    """Whatever address it asks from."""
    invitation = inviting.invited(InvitationIn(host="Node-4.Example.COM"), NOW)
    host = inviting.host_of(invitation, "10.0.0.1")
    assert inviting.node(invitation, asks(), host, encrypted=False).url == (
        "http://node-4.example.com:5556"
    )


@pytest.mark.parametrize("host", ["a b", "*.example.com", "https://x", "fe80::1%eth0", "1.2.3"])
def test_an_operator_cannot_name_what_is_no_host(host: str) -> None:
    with pytest.raises(BadField, match="Host"):
        inviting.invited(InvitationIn(host=host), NOW)


@pytest.mark.parametrize("peer", ["", "fe80::1%eth0"])
def test_where_the_way_back_is_not_known_nobody_joins(peer: str) -> None:
    with pytest.raises(BadField, match="Host"):
        inviting.host_of(ANY, peer)


TAKEN = frozenset({"manager-1", "192.0.2.1", "Admin"})


@pytest.mark.parametrize("name", ["manager-1", "MANAGER-1", "admin", "localhost", "127.0.0.1"])
def test_nobody_has_the_name_of_the_manager_or_of_a_client(name: str) -> None:
    with pytest.raises(BadField, match="Name"):
        inviting.refuse_names(name, "192.0.2.7", TAKEN)


@pytest.mark.parametrize("host", ["manager-1", "Manager-1", "192.0.2.1", "admin"])
def test_nobody_serves_under_an_address_of_the_manager_or_a_clients_name(host: str) -> None:
    with pytest.raises(BadField, match="127"):
        inviting.refuse_names("node-4", host, TAKEN)


def test_others_may_and_loopback_is_nobodys_own() -> None:
    """A worker may be on the manager's machine."""
    inviting.refuse_names("node-4", "192.0.2.7", TAKEN)
    inviting.refuse_names("node-4", "127.0.0.1", TAKEN | {"127.0.0.1"})


# -- who guesses -----------------------------------------------------------------------------------


def test_who_was_wrong_too_often_waits_a_minute() -> None:
    """And nobody else does."""
    guesses = Guesses()
    for _ in range(GUESSES_MOST):
        assert not guesses.too_many("192.0.2.66", NOW)
        guesses.wrong("192.0.2.66", NOW)
    assert guesses.too_many("192.0.2.66", NOW + GUESS_SECONDS - 1)
    assert not guesses.too_many("192.0.2.7", NOW)
    assert not guesses.too_many("192.0.2.66", NOW + GUESS_SECONDS)


def test_what_is_known_of_guessers_has_an_end() -> None:
    """Whoever has many addresses fills no memory."""
    guesses = Guesses()
    for number in range(2 * GUESSERS_MOST):
        guesses.wrong(str(number), NOW)
    assert len(guesses._wrong) == GUESSERS_MOST
    assert str(2 * GUESSERS_MOST - 1) in guesses._wrong
