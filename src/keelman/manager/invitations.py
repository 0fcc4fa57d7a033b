"""Invitations: a worker that nobody knows yet becomes a node. The rules are `inviting`'s.

The secret is told once, to the operator who asked; what is kept is its digest. Nothing here logs
or keeps the secret.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog
from msgspec import Struct

from keelman.errors import NoAuthority, NotFound, NotInvited, TooMany
from keelman.invitation import (
    InvitationIn,
    InvitationReport,
    JoinIn,
    JoinReport,
    Token,
    digest_of,
)
from keelman.manager import inviting
from keelman.manager.guesses import Guesses
from keelman.manager.membership import Membership
from keelman.manager.state import State

log = structlog.get_logger(__name__)

HOW = (
    "this manager has no CA's key, and can make no certificates: start it with --node-ca ca.pem"
    " --node-ca-key ca.key, as `keelman certs init` makes them; or give each worker a certificate"
    " by hand, and `keelman node add` it"
)


class Authority(Protocol):
    """Who signs certificates (`authority`)."""

    @property
    def trusted(self) -> str:
        """All CAs that a worker is to trust, in PEM."""

    @property
    def names(self) -> frozenset[str]:
        """The manager's own."""

    @property
    def clients(self) -> tuple[str, ...]:
        """By which the manager is known to a worker."""

    @property
    def pin(self) -> bytes:
        """The sha256 of the CA's certificate."""

    @property
    def cert(self) -> str:
        """The CA's certificate, in PEM."""

    def key_of(self, request: str) -> str:
        """The digest of the key that a request is for. Raises: BadField."""

    def sign(self, request: str, name: str, host: str, now: float) -> str:
        """A certificate, its CA behind it. Raises: BadField."""


def _nobody() -> bytes:
    raise NoAuthority(HOW)


class Joining(Struct, frozen=True, kw_only=True):
    """How workers may join: with certificates of `authority`; without TLS, on loopback, with none.

    `taken` are names that no worker may have. `new_secret` gives random bytes.
    """

    new_secret: Callable[[], bytes] = _nobody
    encrypted: bool = False
    authority: Authority | None = None
    taken: frozenset[str] = frozenset()

    def signer(self) -> Authority | None:
        """None where no certificates are needed. Raises: NoAuthority."""
        if self.encrypted and self.authority is None:
            raise NoAuthority(HOW)
        return self.authority

    @property
    def names(self) -> frozenset[str]:
        """All that no worker may pass for."""
        return self.taken if self.authority is None else self.taken | self.authority.names


NOBODY_JOINS = Joining()


class Invitations:
    """Makes and takes invitations. `clock` gives seconds since the epoch."""

    def __init__(
        self, state: State, membership: Membership, clock: Callable[[], float], joining: Joining
    ) -> None:
        self._state, self._membership, self._clock = state, membership, clock
        self._joining, self._guesses = joining, Guesses()

    async def invite(self, asked: InvitationIn) -> InvitationReport:
        """An invitation, with its secret. Raises: BadField, NoAuthority, CannotRecord."""
        authority, now = self._joining.signer(), self._clock()
        invitation = inviting.invited(asked, now)
        pin = b"" if authority is None else authority.pin
        token = Token(self._joining.new_secret(), pin)
        await self._state.invite(digest_of(token.shown), invitation, now)
        return InvitationReport(
            token=token.text,
            name=invitation.name,
            host=invitation.host,
            labels=invitation.labels,
            until=datetime.fromtimestamp(invitation.until, UTC),
        )

    def ca(self) -> str:
        """The CA by whose digest who joins knows the manager, in PEM. Raises: NotFound."""
        if (authority := self._joining.authority) is None:
            raise NotFound("this manager has no CA for workers that join")
        return authority.cert

    def welcome(self, asked: JoinIn, peer: str) -> None:
        """Whether there is an invitation for whoever asks. Raises: NotInvited, TooMany."""
        now = self._clock()
        if self._guesses.too_many(peer, now):
            raise TooMany("too many wrong invitations from this address; wait a minute")
        try:
            inviting.good(self._state.invitation(digest_of(asked.secret)), asked, now)
        except NotInvited:
            self._guesses.wrong(peer, now)
            raise

    async def join(self, asked: JoinIn, peer: str) -> JoinReport:
        """Who is welcome becomes a node; the same again is answered the same.

        Raises: NotInvited, BadField, NodeKnown, NoAuthority, CannotRecord.
        """
        authority, digest, now = self._joining.signer(), digest_of(asked.secret), self._clock()
        key = "" if authority is None else authority.key_of(asked.request)
        found = self._state.invitation(digest)
        invitation = inviting.used(found, asked, key, now)
        host = inviting.host_of(invitation, peer)
        inviting.refuse_names(asked.name, host, self._joining.names)
        node = inviting.node(invitation, asked, host, encrypted=self._joining.encrypted)
        again = bool(invitation.name or (found is not None and found.node))
        self._membership.may_join(node, again=again)
        cert = "" if authority is None else authority.sign(asked.request, asked.name, host, now)
        await self._state.use_invitation(digest, lambda one: inviting.used(one, asked, key, now))
        await self._membership.join(node)
        log.info("node joined", node=node.name, url=node.url)
        if authority is None:
            return JoinReport(name=node.name, url=node.url)
        return JoinReport(
            name=node.name,
            url=node.url,
            certificate=cert,
            ca=authority.trusted,
            clients=authority.clients,
        )
