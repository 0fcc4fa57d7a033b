"""A task's output as text, followed across restarts until the task has ended.

The containers of past attempts are found by the log of Transitions. Whatever can be refused is
refused before the first byte; an engine that goes away in between cuts the answer visibly short.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from aiohttp.web import Request, StreamResponse

from keelman.api import send, streaming
from keelman.errors import ContainerGone, EngineAway, UnknownTask
from keelman.output import LogRequest
from keelman.runtime import LogOptions
from keelman.task import State, Task
from keelman.worker.worker import Worker

FIRST_ANSWER_SECONDS = 10.0


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
