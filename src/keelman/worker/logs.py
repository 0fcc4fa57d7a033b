"""A task's output as text, followed across restarts until the task has ended.

The containers of past attempts are found by the log of Transitions. Whatever can be refused is
refused before the first byte; an engine that goes away in between cuts the answer visibly short.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Self

import msgspec
from aiohttp.web import Request, StreamResponse
from msgspec import Struct

from keelman import params
from keelman.api import send, streaming
from keelman.errors import BadField, ContainerGone, EngineAway, UnknownTask
from keelman.routes import Parameter
from keelman.runtime import LogOptions
from keelman.task import State, Task
from keelman.values import INT64_MAX
from keelman.worker.worker import Worker

FIRST_ANSWER_SECONDS = 10.0
TAIL_MOST = 1_000_000
SINCE_MOST = 1e11
PARAMETERS = (
    Parameter(
        "follow",
        "go on across restarts until the task has ended",
        {"enum": ["0", "1", "false", "true"]},
    ),
    Parameter(
        "tail", "only the last lines", {"type": "integer", "minimum": 0, "maximum": TAIL_MOST}
    ),
    Parameter(
        "since",
        "only what was written since then, seconds since the epoch",
        {"type": "number", "minimum": 0, "maximum": SINCE_MOST},
    ),
    Parameter("stream", "which of its streams", {"enum": ["stdout", "stderr", "both"]}),
    Parameter(
        "attempt",
        "which container of the task",
        {"type": "integer", "minimum": 1, "maximum": INT64_MAX},
    ),
)


class LogRequest(Struct, frozen=True, kw_only=True):
    """What part of a task's output is asked for; `attempt` None is the present one."""

    options: LogOptions
    attempt: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Self:
        """From a query. Raises: BadField."""
        stream = params.choice(asked, "stream", "stdout", "stderr", "both")
        attempt = params.integer(asked, "attempt", most=INT64_MAX)
        if attempt == 0:
            raise BadField("attempt: attempts are counted from 1")
        options = LogOptions(
            follow=params.flag(asked, "follow"),
            tail=params.integer(asked, "tail", most=TAIL_MOST),
            since=params.seconds(asked, "since", most=SINCE_MOST) or 0.0,
            stream=stream or "both",  # type: ignore[arg-type]  # one of the allowed words
        )
        return cls(options=options, attempt=attempt)


async def send_logs(
    request: Request, worker: Worker, task_id: str, asked: LogRequest
) -> StreamResponse:
    """Answer with a task's output. Raises: UnknownTask, TooMany, ContainerGone, EngineAway."""
    task = worker.get_task(task_id)
    with worker.seats.readers.one():
        await _check(worker, task, asked.attempt)
        return await _sent(request, worker, task_id, asked)


async def _sent(
    request: Request, worker: Worker, task_id: str, asked: LogRequest
) -> StreamResponse:
    response = StreamResponse()
    response.content_type, response.charset = "text/plain", "utf-8"
    async with streaming(request, response), aclosing(_chunks(worker, task_id, asked)) as chunks:
        async for chunk in chunks:
            await send(response, chunk)
    return response


async def _check(worker: Worker, task: Task, attempt: int | None) -> None:
    """Raises: ContainerGone, when nothing is left to read and nothing will come."""
    container_id = source(worker, task, attempt)
    if not container_id:
        return
    try:
        async with (
            asyncio.timeout(FIRST_ANSWER_SECONDS),
            aclosing(worker.runtime.logs(container_id, LogOptions(tail=0))) as chunks,
        ):
            await anext(chunks, None)
    except TimeoutError as error:
        raise EngineAway("the engine does not answer") from error
    except ContainerGone as error:
        if attempt is None and not task.state.ended:
            return  # the next one is about to be made
        which = "the task" if attempt is None else f"attempt {attempt}"
        raise ContainerGone(f"the output of {which} is gone with its container") from error


def source(worker: Worker, task: Task, attempt: int | None) -> str:
    """The id of the container to read; empty while there is none yet. Raises: ContainerGone."""
    present = attempt is None and task.state >= State.RUNNING
    container_id = (present and task.container_id) or _past(worker, task, attempt)
    if not container_id and (attempt is not None or task.state.ended):
        which = "the task" if attempt is None else f"attempt {attempt}"
        raise ContainerGone(f"{which} has no container")
    return container_id


def _past(worker: Worker, task: Task, attempt: int | None) -> str:
    for move in reversed(worker.db.history(task.id)):
        if move.container_id and attempt in (None, move.attempt):
            return move.container_id
    return ""


async def _chunks(worker: Worker, task_id: str, asked: LogRequest) -> AsyncGenerator[bytes, None]:
    """The output of one container; when following, then of those of the next attempts."""
    options, container_id = asked.options, source(worker, worker.get_task(task_id), asked.attempt)
    while True:
        async with aclosing(_of(worker, container_id, options)) as chunks:
            async for chunk in chunks:
                yield chunk
        if not options.follow or asked.attempt is not None:
            return
        if not (container_id := await _next(worker, task_id, container_id)):
            return
        options = msgspec.structs.replace(options, tail=None)


async def _of(
    worker: Worker, container_id: str, options: LogOptions
) -> AsyncGenerator[bytes, None]:
    if not container_id:
        return
    try:
        async with aclosing(worker.runtime.logs(container_id, options)) as chunks:
            async for chunk in chunks:
                yield chunk
    except ContainerGone:  # its successor is about to be made
        return


async def _next(worker: Worker, task_id: str, shown: str) -> str:
    """The id of the container after `shown`, once it ran; empty when the task has ended."""
    seq = worker.events.last_seq
    while not worker.events.closed:
        try:
            task = worker.get_task(task_id)
        except UnknownTask:
            return ""
        if task.state >= State.RUNNING and task.container_id not in ("", shown):
            return task.container_id
        if task.state.ended:
            return ""
        seq = await worker.events.after_move_of(task_id, seq)
    return ""
