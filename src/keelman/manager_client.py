"""ManagerClient: what may be asked of a manager: all that a worker may be asked, and its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from keelman.answers import decoded
from keelman.client import JSON, Client
from keelman.invitation import USUAL_SECONDS, InvitationIn, InvitationReport
from keelman.node_report import NodeReport


class ManagerClient(Client):
    """A manager's HTTP API. Tasks are asked for as of a worker."""

    async def nodes(self) -> list[NodeReport]:
        """All nodes, by name."""
        async with self._call("GET", "nodes") as response:
            return decoded(await response.read(), list[NodeReport])

    async def node(self, name: str) -> NodeReport:
        """One node."""
        async with self._call("GET", "nodes", name) as response:
            return decoded(await response.read(), NodeReport)

    async def add_node(
        self, name: str, url: str, *, labels: Mapping[str, str] | None = None
    ) -> NodeReport:
        """Lets the worker at `url` join as a node; the same again changes nothing."""
        body = msgspec.json.encode({"Name": name, "URL": url, "Labels": dict(labels or {})})
        async with self._call("POST", "nodes", data=body, headers=JSON) as response:
            return decoded(await response.read(), NodeReport)

    async def invite_node(
        self,
        name: str = "",
        *,
        host: str = "",
        labels: Mapping[str, str] | None = None,
        seconds: int = USUAL_SECONDS,
    ) -> InvitationReport:
        """Invites a worker to join: under this name, or any; where it asks from, or at this host.

        The answer's `token` is good once, until `until`, and shown to nobody again.
        """
        asked = InvitationIn(name=name, host=host, labels=dict(labels or {}), seconds=seconds)
        body = msgspec.json.encode(asked)
        async with self._call("POST", "invitations", data=body, headers=JSON) as response:
            return decoded(await response.read(), InvitationReport)

    async def use_node(self, name: str, use: Literal["cordon", "uncordon", "drain"]) -> NodeReport:
        """Changes what a node may be used for."""
        async with self._call("POST", "nodes", name, use) as response:
            return decoded(await response.read(), NodeReport)

    async def remove_node(self, name: str, *, force: bool = False) -> None:
        """Lets a node go; with `force` also one that has tasks."""
        params = {"force": "1"} if force else {}
        async with self._call("DELETE", "nodes", name, params=params):
            pass
