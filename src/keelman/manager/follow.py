"""Following the nodes: a heartbeat for each, and its events from the last one that was taken.

What is heard is kept before anything follows from it. After a gap the whole list is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus

import msgspec
import structlog

from keelman.answers import BadAddress, ClientError
from keelman.description import WorkerReport
from keelman.errors import CannotRecord, KeelmanError
from keelman.manager import alone
from keelman.manager.news import Listed, Missing, Moved, News
from keelman.manager.node_client import Connect, NodeClient
from keelman.manager.nodes import Node, Status
from keelman.manager.roster import Roster
from keelman.manager.state import State
from keelman.wire import TaskReport

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
LATE = 1.5  # heartbeats: a node that heard none for longer has missed one


class Follow:
    """One loop for each node. `heard(task_id)` is told of news, `changed(name)` of nodes.

    `ours(task_id)` says whether a task is on record here; of others nothing is kept.
    """

    def __init__(
        self,
        roster: Roster,
        state: State,
        connect: Connect,
        ours: Callable[[str], bool],
        heard: Callable[[str], None],
        changed: Callable[[str], None],
    ) -> None:
        self._roster, self._state, self.connect = roster, state, connect
        self._ours, self._heard, self._changed = ours, heard, changed
        self.clients: dict[str, NodeClient] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._status: dict[str, Status] = {}
        self._hurries: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def run(self) -> None:
        """Follow all nodes, those to come included, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in list(self._roster.nodes):
                self.begin(name)
            await asyncio.Event().wait()

    def begin(self, name: str) -> None:
        """A node is there from now on."""
        if self._group is not None and name not in self._loops:
            loop = self._follow(self._roster.nodes[name])
            self._loops[name] = self._group.create_task(loop, name=f"node {name}")

    def end(self, name: str) -> None:
        """A node is no longer there."""
        if (loop := self._loops.pop(name, None)) is not None:
            loop.cancel()
        self._status.pop(name, None)

    async def _follow(self, node: Node) -> None:
        try:
            connecting = self.connect(node.url)
        except BadAddress as error:  # it was one for the credentials of before
            log.error("node not connected", node=node.name, error=error.message)  # noqa: TRY400
            return
        async with connecting as client:
            self.clients[node.name] = client
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._beat(node.name, client), name=f"beat {node.name}")
                    group.create_task(self._events(node.name, client), name=f"events {node.name}")
            finally:
                if self.clients.get(node.name) is client:  # it may have left, and joined again
                    del self.clients[node.name]

    # -- the heartbeat ---------------------------------------------------------------------------

    async def _beat(self, name: str, client: NodeClient) -> None:
        while True:
            self._hurries[name].clear()
            every = alone.beat_seconds(self._usual_seconds, self._roster.bears(name))
            try:
                await self.beat(name, client, LATE * every)
            except CannotRecord as error:
                log.warning("cannot record", error=error.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._hurries[name].wait()

    @property
    def _usual_seconds(self) -> float:
        return min(HEARTBEAT_SECONDS, self._roster.patience.suspect_seconds / 3)

    async def meet(self, name: str) -> None:
        """Have a node hear the manager now, before it is sent what may not wait for a heartbeat."""
        if (client := self.clients.get(name)) is not None:
            await self.beat(name, client, 0.0)
            self._hurries[name].set()

    async def beat(self, name: str, client: NodeClient, seconds: float) -> None:
        """One heartbeat, and one more at once to a node that heard nothing for so many seconds."""
        try:
            async with asyncio.timeout(self._usual_seconds):
                report = await self._ask(name, client)
                if report.silence is None or report.silence > seconds:
                    await self._ask(name, client)
        except TimeoutError:
            pass  # silence is what its status is made of
        except ClientError as error:  # it answers, if only to refuse
            self._roster.hear(name, None, error.message)
        except CannotRecord:
            raise
        except KeelmanError:
            pass
        self._note_status(name)

    async def _ask(self, name: str, client: NodeClient) -> WorkerReport:
        """What a node says of itself, on record as heard before its moment is told it again."""
        report = await client.worker(moment=self._roster.moment(name))
        await self._met(name, report)
        return report

    async def _met(self, name: str, report: WorkerReport) -> None:
        if (node := self._roster.nodes.get(name)) is None:  # it was removed meanwhile
            return
        if node.worker not in ("", report.name):
            log.warning("another worker answers", node=name, worker=report.name)
            return
        if not node.worker:
            node = msgspec.structs.replace(node, worker=report.name)
            self._roster.add(node)
            await self._state.change_node(node)
        self._roster.hear(name, report)

    def _note_status(self, name: str) -> None:
        """Who is concerned is told of what has changed."""
        if name not in self._roster.nodes:
            return  # it was removed meanwhile
        status = self._roster.status(name)
        if self._status.get(name) is status:
            return
        before, self._status[name] = self._status.get(name), status
        if before is not None or status is not Status.NOT_READY:
            log.info("node", node=name, status=str(status))
        self._changed(name)

    # -- events ----------------------------------------------------------------------------------

    async def _events(self, name: str, client: NodeClient) -> None:
        while True:
            try:
                await self._take(name, client)
            except ClientError as error:
                if error.status == HTTPStatus.GONE:
                    await self._take_all_safely(name, client)
            except CannotRecord as error:
                log.warning("cannot record", error=error.message)
            except KeelmanError:
                pass  # away: its status tells
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _take(self, name: str, client: NodeClient) -> None:
        if not (seen := self._state.seen(name)):
            seen = await self.take_all(name, client)
        async for event_id, move in client.events(seen):
            news: list[tuple[str, News]] = []
            if self._ours(move.task_id):
                news.append((move.task_id, Moved(node=name, move=move)))
            await self._state.hear(name, news, event_id)
            self._heard(move.task_id)

    async def _take_all_safely(self, name: str, client: NodeClient) -> None:
        try:
            await self.take_all(name, client)
        except CannotRecord as error:
            log.warning("cannot record", error=error.message)
        except KeelmanError:
            pass  # away: its status tells

    async def take_all(self, name: str, client: NodeClient) -> str:
        """The whole list, after a gap; answers the id of the event to follow from."""
        taken = {one.task_id: one.number for one in self._roster.tenants(name) if one.taken}
        reports, seen = await client.listed()
        news = self._news(name, reports, taken)
        await self._state.hear(name, news, seen)
        strange = [one for one in reports if not one.state.ended and not self._ours(one.id)]
        log.info("node listed", node=name, tasks=len(reports), unknown=len(strange))
        for task_id in {*dict(news), *self._roster.concerned(name)}:
            self._heard(task_id)
        return seen

    def _news(
        self, name: str, reports: list[TaskReport], taken: dict[str, int]
    ) -> list[tuple[str, News]]:
        here = {one.task_id for one in self._roster.tenants(name)}
        listed: list[tuple[str, News]] = [
            (one.id, Listed(node=name, report=one))
            for one in reports
            if one.id in here or (not one.state.ended and self._ours(one.id))
        ]
        there = {one.id for one in reports}
        gone: list[tuple[str, News]] = [
            (task_id, Missing(node=name, number=number))
            for task_id, number in taken.items()
            if task_id not in there
        ]
        return [*listed, *gone]
