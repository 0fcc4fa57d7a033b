"""Which nodes there are, and what they may be used for: what operators change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from keelman.answers import BadAddress, url
from keelman.errors import BadField, NodeInUse, NodeKnown, UnknownNode
from keelman.manager import nodes
from keelman.manager.follow import Follow
from keelman.manager.nodes import Node, Use
from keelman.manager.roster import Roster
from keelman.manager.state import State
from keelman.node_report import NodeIn, NodeReport


class Membership:
    """Changes the roster and what is kept of it; `changed(name)` is told of each."""

    def __init__(
        self, roster: Roster, state: State, follow: Follow, changed: Callable[[str], None]
    ) -> None:
        self._roster, self._state, self._follow = roster, state, follow
        self._changed = changed
        self._one_by_one = asyncio.Lock()  # who asks at once finds what the other has left

    def names(self) -> list[str]:
        """All nodes, in order."""
        return sorted(self._roster.nodes)

    def get(self, name: str) -> Node:
        """A node. Raises: UnknownNode."""
        if (node := self._roster.nodes.get(name)) is None:
            raise UnknownNode(f"there is no node {name[:80]}")
        return node

    async def add(self, asked: NodeIn) -> None:
        """A node joins; the same again changes nothing. Raises: BadField, NodeKnown."""
        node = Node(name=asked.name, url=self._checked(asked.url), labels=asked.labels)
        async with self._one_by_one:
            await self._add(node)

    async def _add(self, node: Node) -> None:
        for known in self._roster.nodes.values():
            _compare(known, node)
        if node.name not in self._roster.nodes:
            await self._state.put_node(node)
            self._roster.add(node)
            self._follow.begin(node.name)
            self._changed(node.name)

    def may_join(self, asked: NodeIn, *, again: bool) -> None:
        """Whether a worker may become this node; `again`: also if it is one, at the same URL.

        Raises: BadField, NodeKnown.
        """
        url = self._checked(asked.url)
        for known in self._roster.nodes.values():
            if known.name == asked.name and not (again and known.url == url):
                words = f"node {known.name} is known, at {known.url}"
                raise NodeKnown(f"{words}: take another --name, or remove that node first")
            if known.name != asked.name and known.url == url:
                raise NodeKnown(f"{url} is node {known.name} already")

    async def join(self, asked: NodeIn) -> None:
        """A worker that may is a node from here on; one that was stays as it is."""
        if asked.name not in self._roster.nodes:
            await self.add(asked)

    def _checked(self, address: str) -> str:
        try:
            checked = str(url(address)).rstrip("/")
            self._follow.connect(checked)  # it may not be shown a token in the open
        except BadAddress as error:
            raise BadField(f"URL: {error.message}") from error
        return checked

    async def use(self, name: str, use: Use) -> None:
        """What it may be used for from now on. Raises: UnknownNode."""
        async with self._one_by_one:
            node = msgspec.structs.replace(self.get(name), use=use)
            self._roster.add(node)
            await self._state.change_node(node)
            self._changed(name)

    async def remove(self, name: str, *, force: bool) -> None:
        """A node leaves. With `force` also with tasks on it, which are then placed elsewhere.

        Raises: UnknownNode, NodeInUse.
        """
        async with self._one_by_one:
            self._check_may_go(name, force=force)
            await self._state.drop_node(name)
            self._follow.end(name)
            self._roster.remove(name)
            self._changed(name)

    def _check_may_go(self, name: str, *, force: bool) -> None:
        self.get(name)
        if (count := len(list(self._roster.concerned(name)))) and not force:
            tasks = "1 task" if count == 1 else f"{count} tasks"
            raise NodeInUse(f"node {name} has {tasks}; drain it first, or force it")

    def report(self, name: str) -> NodeReport:
        """A node, as it is now. Raises: UnknownNode."""
        node, roster = self.get(name), self._roster
        heard, tenants = roster.heard[name], roster.tenants(name)
        return NodeReport(
            name=name,
            url=node.url,
            labels=node.labels,
            status=roster.status(name),
            use=node.use,
            trouble=nodes.unusable(node, heard, roster.patience, roster.now),
            worker=node.worker,
            version="" if heard.report is None else heard.report.version,
            heard=datetime.fromtimestamp(heard.at, UTC),
            tasks=tuple(sorted(one.task_id for one in tenants)),
            capacity=roster.capacity(name),
            left=roster.left(name, tenants),
        )


def _compare(known: Node, node: Node) -> None:
    """Raises: NodeKnown."""
    if known.name == node.name and (known.url, known.labels) != (node.url, node.labels):
        raise NodeKnown(f"node {node.name} is known, with another URL or other labels")
    if known.name != node.name and known.url == node.url:
        raise NodeKnown(f"{node.url} is node {known.name} already")
