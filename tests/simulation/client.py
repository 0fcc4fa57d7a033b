"""The manager of the simulation: sends until it is answered, and follows the events.

What it was told is all that it may rely on; the verdict compares that with what became of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from keelman.errors import EventsGone, KeelmanError, Unavailable
from keelman.events import Entry
from keelman.keeper import Keeper
from keelman.listing import Listing
from keelman.task import State, TaskEvent, Transition
from tests.simulation.engine import short
from tests.simulation.ops import Asked
from tests.simulation.process import Died, Life

AGAIN_SECONDS = 0.5
CHECK = {"Type": "command", "Command": ["check"], "Interval": 2, "Timeout": 1, "Retries": 2}


def id_of(number: int) -> str:
    """The UUID of the task of a number."""
    return f"00000000-0000-4000-8000-{number:012x}"


def body_of(number: int, event_id: str, asked: Asked, *, generation: int, tag: str = "") -> bytes:
    """What is posted to have a task run."""
    task = {
        "ID": id_of(number),
        "Name": f"t{number}{tag}",
        "Image": asked.image,
        "Command": [asked.program],
        "RestartPolicy": asked.policy,
        "PullPolicy": asked.pull,
        "Timeout": asked.timeout,
        "StopTimeout": asked.grace,
        "Generation": generation,
        "Env": {"TOKEN": "hush"},
        "HealthCheck": CHECK | {"Command": [f"check {number}"]} if asked.probed else "",
        "PortBindings": {"80/tcp": str(8000 + number)} if asked.ports else {},
    }
    return json.dumps({"ID": event_id, "State": 2, "Task": task}).encode()


class Answer(Struct, kw_only=True):
    """What the manager was told, and when; `void` once the Db that knew of it is lost.

    It had asked first at `since`: of answers that were lost nobody knows.
    """

    at: float
    since: float
    event: TaskEvent
    refusal: KeelmanError | None = None
    void: bool = False

    @property
    def accepted(self) -> bool:
        return self.refusal is None and not self.void

    @property
    def stops(self) -> bool:
        return self.event.state is State.COMPLETED


class Manager:
    """`now` is the present process, None while there is none."""

    def __init__(
        self,
        clock: Callable[[], float],
        now: Callable[[], Life[Any] | None],
        said: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        self.answers: list[Answer] = []
        self.losses: list[float] = []  # when a Db was lost
        self.heard: dict[str, list[Transition]] = {}  # by log
        self._clock = clock
        self._now = now
        self._said = said
        self._failed = failed

    async def send(self, event: TaskEvent) -> None:
        """Send, and send again, until there is an answer."""
        since = self._clock()
        while True:
            process, losses = self._now(), len(self.losses)
            try:
                await present(process).ask(lambda keeper: keeper.add_task(event))
            except (Died, Unavailable):
                await asyncio.sleep(AGAIN_SECONDS)
            except KeelmanError as error:
                return self._answered(event, error, losses, since)
            else:
                self._answered(event, None, losses, since)
                return await self._reads_its_own(process, event)

    def lost(self, since: float) -> None:
        """A Db is lost, and with it what was acknowledged since then."""
        self.losses.append(self._clock())
        for answer in self.answers:
            answer.void = answer.void or answer.at >= since

    def _answered(
        self, event: TaskEvent, error: KeelmanError | None, losses: int, since: float
    ) -> None:
        void = losses != len(self.losses)
        answer = Answer(at=self._clock(), since=since, event=event, refusal=error, void=void)
        self.answers.append(answer)
        what = "stop" if event.state is State.COMPLETED else f"run g{event.generation}"
        self._said(f"manager: {what} {short(event.task_id)}: {error.code if error else 'yes'}")

    async def _reads_its_own(self, process: Life[Any] | None, event: TaskEvent) -> None:
        """What was acknowledged is in the list at once."""
        if process is None or process.dead:
            return

        async def read(keeper: Keeper) -> bool:
            listed = json.loads(keeper.get_tasks(Listing()).body)
            there = event.task_id in [one["ID"] for one in listed]
            return there or keeper.db.buried(event.task_id)

        try:
            if not await process.ask(read):
                self._failed(f"I2: {short(event.task_id)} was acknowledged and is not listed")
        except Died:
            pass

    async def follow(self) -> None:
        """Follow the events from the last number heard, without end."""
        while True:
            try:
                await self._listen(present(self._now()))
            except EventsGone as error:
                self._failed(f"I4: the log has a hole: {error}")
                return
            except (Died, Unavailable):
                await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, process: Life[Any]) -> None:
        """What comes next."""
        heard = self.heard.setdefault(process.keeper.db.log_id, [])
        entries = await process.ask(lambda keeper: keeper.events.after(len(heard)))
        self._hear(process, heard, entries)

    def _hear(self, process: Life[Any], heard: list[Transition], entries: list[Entry]) -> None:
        for move in (entry.move for entry in entries):
            if move.seq != len(heard) + 1:
                self._failed(f"I4: after Transition {len(heard)} came {move.seq}")
            if not process.dead and process.keeper.db.transitions(move.seq - 1, most=1) != [move]:
                self._failed(f"told before recorded: Transition {move.seq} is not on disk")
            heard.append(move)
            self._said(
                f"heard {move.seq}: {short(move.task_id)} {move.from_.name} to {move.to.name}"
                f" #{move.attempt} {move.reason} {move.message[:60]}"
            )


def present(process: Life[Any] | None) -> Life[Any]:
    """Raises: Died, when there is none."""
    if process is None:
        raise Died
    return process
