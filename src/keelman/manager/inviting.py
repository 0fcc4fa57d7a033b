"""Who may join by an invitation, and as what: all the rules. PURE.

An invitation is good for one worker: for one key, under one name. The same worker may ask again,
when the answer was lost; nobody else may. Where the node is is never the worker's word: it is where
it asked from, or what the operator said in the invitation.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

import msgspec

from keelman.cert_names import LOOPBACK, BadName, checked_host
from keelman.errors import BadField, NotInvited
from keelman.invitation import InvitationIn, JoinIn
from keelman.node_report import NodeIn
from keelman.values import Value

_ANOTHER = "ask for another one with `keelman node invite` at the manager"


class Invitation(Value, frozen=True, kw_only=True):
    """An invitation on record; `key` and `node` are of the worker that has used it."""

    name: str = ""
    host: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    until: float
    key: str = ""
    node: str = ""


def invited(asked: InvitationIn, now: float) -> Invitation:
    """An invitation, as it was asked for. Raises: BadField."""
    host = _host(asked.host) if asked.host else ""
    until = now + asked.seconds
    return Invitation(name=asked.name, host=host, labels=asked.labels, until=until)


def good(found: Invitation | None, asked: JoinIn, now: float) -> Invitation:
    """The invitation, if it is one for whoever asks. Raises: NotInvited."""
    if found is None:
        raise NotInvited(f"there is no such invitation: {_ANOTHER}")
    if now >= found.until:
        raise NotInvited(f"the invitation has expired: {_ANOTHER}")
    if found.name and found.name != asked.name:
        words = f"the invitation is for {found.name}, and this worker is {asked.name}"
        raise NotInvited(f"{words}: start it with --name {found.name}")
    return found


def used(found: Invitation | None, asked: JoinIn, key: str, now: float) -> Invitation:
    """The same, used by a worker with this key: no other may use it. Raises: NotInvited."""
    known = good(found, asked, now)
    if known.node and (known.key, known.node) != (key, asked.name):
        raise NotInvited(f"the invitation was used already, by {known.node}: {_ANOTHER}")
    return msgspec.structs.replace(known, key=key, node=asked.name)


def node(invitation: Invitation, asked: JoinIn, host: str, *, encrypted: bool) -> NodeIn:
    """The node that a worker becomes."""
    told = f"[{host}]" if ":" in host else host
    url = f"{'https' if encrypted else 'http'}://{told}:{asked.port}"
    return NodeIn(name=asked.name, url=url, labels=invitation.labels)


def host_of(invitation: Invitation, peer: str) -> str:
    """Where a worker is reached: the one host that its certificate is for. Raises: BadField."""
    return invitation.host or _host(peer)


def refuse_names(name: str, host: str, taken: Collection[str]) -> None:
    """Nobody is to pass for the manager, nor for a client of it. Raises: BadField."""
    known = {one.lower() for one in taken}
    if name.lower() in known | set(LOOPBACK):
        raise BadField(f"Name: {name} is the manager's own, or a client's: take another --name")
    if host.lower() in known - set(LOOPBACK):
        words = f"{host} is the manager's own address, or a client's name"
        raise BadField(f"{words}: on the manager's machine, join by a link with 127.0.0.1")


def _host(told: str) -> str:
    """An address or a name as it stands in a certificate."""
    try:
        host = checked_host(told)
    except BadName as error:
        raise BadField(f"Host: {error.message}") from error
    mapped = getattr(ip_address(host), "ipv4_mapped", None) if ":" in host else None
    return host if mapped is None else str(mapped)
