"""A task's output over HTTP, as its node tells it, followed to the next node if it is moved."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

import msgspec
from aiohttp.web import Request, StreamResponse

from keelman.answers import ClientError, NotTrusted, Unreachable
from keelman.api import send, streaming
from keelman.errors import ContainerGone, NodeUnavailable, UnknownTask
from keelman.manager.manager import Manager
from keelman.output import LogRequest
from keelman.task import Task


async def send_logs(
    request: Request, manager: Manager, task_id: str, asked: LogRequest
) -> StreamResponse:
    """Answer with a task's output. Raises: UnknownTask, TooMany, ContainerGone, NodeUnavailable."""
    task = manager.get_task(task_id)
    with manager.seats.readers.one():
        return await _sent(request, manager, task, asked)


async def _sent(
    request: Request, manager: Manager, task: Task, asked: LogRequest
) -> StreamResponse:
    async with aclosing(_all(manager, task, asked)) as chunks:
        first = await anext(chunks, b"")  # what can be refused is refused before the first byte
        response = StreamResponse()
        response.content_type, response.charset = "text/plain", "utf-8"
        async with streaming(request, response):
            await send(response, first)
            async for chunk in chunks:
                await send(response, chunk)
    return response


async def _all(manager: Manager, task: Task, asked: LogRequest) -> AsyncGenerator[bytes]:
    """From where it is now, and when following from where it is next."""
    seq = manager.events.last_seq
    while True:
        yielding = _of(manager, task, asked)
        async with aclosing(yielding) as chunks:
            async for chunk in chunks:
                yield chunk
        if not asked.options.follow or asked.attempt is not None or manager.events.closed:
            return
        try:
            task, before = manager.get_task(task.id), task
        except UnknownTask:
            return
        if task.state.ended and task.node == before.node:
            return
        if task.node == before.node:
            seq = await manager.events.after_move_of(task.id, seq)
            task = manager.get_task(task.id)
        options = msgspec.structs.replace(asked.options, tail=None)
        asked = LogRequest(options=options)


async def _of(manager: Manager, task: Task, asked: LogRequest) -> AsyncGenerator[bytes]:
    """What one node tells; before there is one, nothing. Raises: ContainerGone, NodeUnavailable."""
    if not task.node and asked.options.follow:
        return
    try:
        async with aclosing(_source(manager, task, asked)) as chunks:
            async for chunk in chunks:
                yield chunk
    except ClientError as error:
        if error.status in (HTTPStatus.GONE, HTTPStatus.NOT_FOUND):
            raise ContainerGone(error.message) from error
        raise NodeUnavailable(error.message) from error
    except (Unreachable, NotTrusted) as error:
        raise NodeUnavailable(error.message) from error


def _source(manager: Manager, task: Task, asked: LogRequest) -> AsyncGenerator[bytes]:
    """The node's own stream. Raises: ContainerGone, NodeUnavailable."""
    if not task.node:
        raise ContainerGone("the task has no container")
    attempt = asked.attempt and asked.attempt - (manager.state.placement(task.id).base or 0)
    if attempt is not None and attempt < 1:
        raise ContainerGone(f"attempt {asked.attempt} was on another node")
    if (client := manager.follow.clients.get(task.node)) is None:
        raise NodeUnavailable(f"node {task.node} is not connected")
    options = asked.options
    return client.logs(
        task.id,
        follow=options.follow,
        tail=options.tail,
        since=options.since or None,
        stream=None if options.stream == "both" else options.stream,
        attempt=attempt,
    )
