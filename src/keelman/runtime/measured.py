"""A Runtime round a Runtime that tells what was asked of the engine, and what came of it.

It changes nothing: what the inner one answers or raises goes through as it is. `told` is called
after each call and must not raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from typing import Any, TypeVar

from msgspec import Struct

from keelman.errors import ContainerGone, EngineAway, EngineBusy, EngineFailed, EngineRefused
from keelman.runtime import Container, LogOptions, Outlook, Row, Runtime, Tell, to_nobody
from keelman.seen import Action, Seen
from keelman.task import Spec, Task

T = TypeVar("T")

DONE = "done"


class Call(Struct, frozen=True, kw_only=True):
    """One call: `outcome` is a word of `outcome_of`, or "done"; a stream's length says nothing."""

    name: str
    outcome: str
    seconds: float | None
    task_id: str = ""


class MeasuredRuntime:
    """The `Runtime` of another, measured by `clock`, which gives steady seconds."""

    def __init__(
        self, runtime: Runtime, clock: Callable[[], float], told: Callable[[Call], None]
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._told = told

    async def identity(self) -> str:
        return await self._answer("identity", self._runtime.identity())

    async def version(self) -> str:
        return await self._answer("version", self._runtime.version())

    async def look(self, task: Task) -> Seen:
        return await self._answer("look", self._runtime.look(task))

    async def rows(self) -> list[Row]:
        return await self._answer("rows", self._runtime.rows())

    async def containers(self) -> list[Container]:
        return await self._answer("containers", self._runtime.containers())

    async def rebuild(self, container_id: str) -> Task | None:
        return await self._answer("rebuild", self._runtime.rebuild(container_id))

    async def outlook(self, spec: Spec) -> Outlook:
        return await self._answer("outlook", self._runtime.outlook(spec))

    def create_body(self, task: Task, attempt: int) -> dict[str, Any]:
        return self._runtime.create_body(task, attempt)

    async def do(self, task: Task, action: Action) -> None:
        name = type(action).__name__.lower()
        await self._answer(name, self._runtime.do(task, action), task.id)

    async def exec_start(self, container_id: str, command: tuple[str, ...]) -> str:
        return await self._answer("exec_start", self._runtime.exec_start(container_id, command))

    async def exec_code(self, exec_id: str) -> int | None:
        return await self._answer("exec_code", self._runtime.exec_code(exec_id))

    async def pull(self, image: str, tell: Tell = to_nobody) -> None:
        await self._answer("pull", self._runtime.pull(image, tell))

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        with self._telling("logs", lambda: None):
            async with aclosing(self._runtime.logs(container_id, options)) as chunks:
                async for chunk in chunks:
                    yield chunk

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[str]]:
        """Counted when it is open, or is not to be opened."""
        async with AsyncExitStack() as stack:
            with self._telling("changes", lambda: None):
                ids = await stack.enter_async_context(self._runtime.changes())
            yield ids

    async def close(self) -> None:
        await self._runtime.close()

    async def _answer(self, name: str, call: Awaitable[T], task_id: str = "") -> T:
        began = self._clock()
        with self._telling(name, lambda: self._clock() - began, task_id):
            return await call

    @contextmanager
    def _telling(
        self, name: str, seconds: Callable[[], float | None], task_id: str = ""
    ) -> Iterator[None]:
        outcome = DONE
        try:
            yield
        except BaseException as error:  # whatever it is, it goes on
            outcome = outcome_of(error)
            raise
        finally:
            call = Call(name=name, outcome=outcome, seconds=seconds(), task_id=task_id)
            self._told(call)


def outcome_of(error: BaseException) -> str:
    """What came of a call that raised, in a word of a closed list."""
    match error:
        case EngineAway():
            return "away"
        case EngineBusy():
            return "busy"
        case EngineFailed():
            return "failed"
        case EngineRefused():
            return "refused"
        case ContainerGone():
            return "gone"
        case GeneratorExit():  # whoever read has had enough
            return DONE
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "broken"
