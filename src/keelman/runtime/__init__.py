"""The engine as the worker sees it. PURE: the protocol, and the values that cross it.

`docker` speaks to a Docker-compatible engine, `fake` is an engine in memory that keeps the same
rules; tests/contract holds both to them. Every method raises EngineAway when the engine does not
answer; nothing else is ever made of silence.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from msgspec import Struct

from keelman.seen import Action, Seen
from keelman.task import Task


class Row(Struct, frozen=True, kw_only=True):
    """One container with our label, as a list shows it: a hint, never a ground for a decision."""

    container_id: str
    worker: str
    task_id: str
    attempt: int
    live: bool


class LogOptions(Struct, frozen=True, kw_only=True):
    """`tail` lines from the end (None: all), `since` seconds since the epoch."""

    follow: bool = False
    tail: int | None = None
    since: float = 0.0
    stream: Literal["stdout", "stderr", "both"] = "both"


class Runtime(Protocol):
    """A Docker-compatible engine, for the containers of one worker."""

    async def identity(self) -> str:
        """The engine's own ID, which a restart does not change."""

    async def look(self, task: Task) -> Seen:
        """The task's newest container by inspect (Absent: with its image), and its older ones."""

    async def rows(self) -> list[Row]:
        """Every container with a Keelman label, of this worker and of others."""

    async def rebuild(self, container_id: str) -> Task | None:
        """The Task that a container was made from; None when it is gone or not ours."""

    async def do(self, task: Task, action: Action) -> None:
        """Carry out one action (not a Pull). What is already so is success.

        Raises: EngineBusy, EngineFailed, EngineRefused (NameTaken, ImageNotFound).
        """

    async def pull(self, image: str) -> None:
        """Pull an image and return when it is here.

        Raises: ImageNotFound when the registry has none or denies it, EngineFailed otherwise.
        """

    def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        """Its output, as it was written. Raises: ContainerGone."""

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Ids of tasks whose container moved. The stream is open once the context is entered."""

    async def close(self) -> None:
        """Let go of the engine; containers are left alone."""
