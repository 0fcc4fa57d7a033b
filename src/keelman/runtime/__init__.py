"""The engine as the worker sees it. PURE: the protocol, and the values that cross it.

`docker` speaks to a Docker-compatible engine, `fake` is an engine in memory that keeps the same
rules; tests/contract holds both to them. Every method raises EngineAway when the engine does not
answer; nothing else is ever made of silence.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

from msgspec import Struct

from keelman.progress import Progress
from keelman.seen import Action, Missing, Present, Seen
from keelman.task import Spec, Task


class Row(Struct, frozen=True, kw_only=True):
    """One container with our label, as a list shows it: a hint, never a ground for a decision."""

    container_id: str
    worker: str
    task_id: str
    attempt: int
    live: bool


class Container(Struct, frozen=True, kw_only=True):
    """One container whose labels say that it is a worker's, by inspect.

    Labels alone prove nothing (`marks`): whoever asks compares the name. `exit_code` is None
    unless it ran and ended; `restart_policy` is the engine's own, which is to be `no`.
    """

    container_id: str
    name: str
    worker: str
    task_id: str
    attempt: int
    generation: int = 0
    live: bool = False
    exit_code: int | None = None
    restart_policy: str = "no"
    auto_remove: bool = False


class Outlook(Struct, frozen=True, kw_only=True):
    """What the machine has for a container: its image, and those host ports that are taken."""

    image: Missing | Present
    taken: tuple[str, ...] = ()


class LogOptions(Struct, frozen=True, kw_only=True):
    """`tail` lines from the end (None: all), `since` seconds since the epoch."""

    follow: bool = False
    tail: int | None = None
    since: float = 0.0
    stream: Literal["stdout", "stderr", "both"] = "both"


Tell = Callable[[Progress], None]


def to_nobody(_progress: Progress) -> None:
    """For whoever does not ask how far a pull is."""


class Runtime(Protocol):
    """A Docker-compatible engine, for the containers of one worker."""

    async def identity(self) -> str:
        """The engine's own ID, which a restart does not change."""

    async def version(self) -> str:
        """The engine's version, in its own words."""

    async def look(self, task: Task) -> Seen:
        """The task's newest container by inspect (Absent: with its image), and its older ones."""

    async def rows(self) -> list[Row]:
        """Every container with a Keelman label, of this worker and of others."""

    async def containers(self) -> list[Container]:
        """Every container that this worker's labels are on, copies too: for an audit."""

    async def rebuild(self, container_id: str) -> Task | None:
        """The Task that a container was made from; None when it is gone or not ours."""

    async def outlook(self, spec: Spec) -> Outlook:
        """What a container of this spec would meet; somebody else may be faster."""

    def create_body(self, task: Task, attempt: int) -> dict[str, Any]:
        """What `do` sends to have the container of an attempt made."""

    async def do(self, task: Task, action: Action) -> None:
        """Carry out one action (not a Pull). What is already so is success.

        Raises: EngineBusy, EngineFailed, EngineRefused (NameTaken, ImageNotFound).
        """

    async def exec_start(self, container_id: str, command: tuple[str, ...]) -> str:
        """Run a command in a running container, detached; its ID.

        Raises: ContainerGone when it is not there or does not run, EngineRefused.
        """

    async def exec_code(self, exec_id: str) -> int | None:
        """The code that such a command ended with; None while it runs. Raises: ContainerGone."""

    async def pull(self, image: str, tell: Tell = to_nobody) -> None:
        """Pull an image, telling how far it is, and return when it is here.

        Raises: ImageNotFound when the registry has none or denies it, EngineFailed otherwise.
        """

    def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        """Its output, as it was written. Raises: ContainerGone."""

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Ids of tasks whose container moved. The stream is open once the context is entered."""

    async def close(self) -> None:
        """Let go of the engine; containers are left alone."""
