"""The operator of the cluster: says what nodes are for, again and again until that is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from keelman.errors import KeelmanError, Unavailable
from keelman.manager.manager import Manager
from keelman.manager.nodes import Use
from keelman.node_report import NodeIn
from tests.cluster.machine import Node
from tests.cluster.manager import ManagerProcess
from tests.simulation.client import AGAIN_SECONDS, present
from tests.simulation.loop import the_loop
from tests.simulation.process import Died

Change = Callable[[Manager], Coroutine[Any, Any, None]]


class Operator:
    """`uses` is what was acknowledged last, and nothing while something is under way.

    `left` are the nodes that were removed once: what ran there then was nobody's. `joined` is when
    one was let in last.
    """

    def __init__(
        self,
        now: Callable[[], ManagerProcess | None],
        nodes: Sequence[Node],
        said: Callable[[str], None],
    ) -> None:
        self.uses: dict[str, Use] = {}
        self.left: set[str] = set()
        self.joined: dict[str, float] = {}
        self.acknowledged = 0
        self._now, self._nodes, self._said = now, nodes, said

    async def join_and_open(self, number: int) -> None:
        """A machine is to be a node that may be used."""
        await self.join(number)
        await self.use(number, Use.OPEN)

    async def use(self, number: int, use: Use) -> None:
        """What a node is for."""
        name = self._nodes[number - 1].name
        if await self._ask(name, lambda manager: manager.membership.use(name, use)):
            self.uses[name] = use
            self._said(f"operator: {name} is {use}")

    async def remove(self, number: int) -> None:
        """A node leaves."""
        name = self._nodes[number - 1].name
        self.left.add(name)
        await self._ask(name, lambda manager: manager.membership.remove(name, force=True))

    async def join(self, number: int) -> None:
        """A node joins."""
        node = self._nodes[number - 1]
        asked = NodeIn(name=node.name, url=node.url, labels={"zone": f"z{number}"})
        await self._ask(node.name, lambda manager: manager.membership.add(asked))
        self.joined[node.name] = the_loop().time()

    async def _ask(self, name: str, change: Change) -> bool:
        """Whether it was done; a refusal is an answer, too."""
        self.uses.pop(name, None)
        while True:
            try:
                await present(self._now()).ask(change)
            except (Died, Unavailable):
                await asyncio.sleep(AGAIN_SECONDS)
            except KeelmanError as error:
                self._said(f"operator: {name}: {error.code}")
                return False
            else:
                self.acknowledged += 1
                return True
