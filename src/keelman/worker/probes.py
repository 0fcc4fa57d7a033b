"""Probes: one asyncio task for each running task that has a health check.

A slow or hanging probe delays nobody: its verdict only wakes the task's lane. A verdict lives in
memory; after a restart of the worker the recorded health holds until the next probe.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import aiohttp
import msgspec

from keelman.errors import ContainerGone, EngineAway, EngineError
from keelman.health import Health, HealthCheck, Probe, Pulse, port_of
from keelman.runtime import Runtime
from keelman.seen import Running
from keelman.task import Task

LOOK_AGAIN_SECONDS = 0.1
PROXY_SECONDS = 0.3
ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # asked, not bound


class Prober:
    """The probes of one container, and the pulse that they found."""

    def __init__(self, task: Task, body: Running, check: HealthCheck) -> None:
        self.container_id = body.container_id
        self.since = body.since
        self.check = check
        # None is on record yet when this is the look that finds it running.
        self.pulse = Pulse(health=task.health or Health.STARTING, words=task.message)
        self.address = _address(check, task, body)
        self.running: asyncio.Task[None] | None = None
        self.last_exec = ""


class Probes:
    """The probers at work. `wake(id)` is called when a task's health has changed."""

    def __init__(
        self, runtime: Runtime, clock: Callable[[], float], wake: Callable[[str], None]
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._wake = wake
        self._probers: dict[str, Prober] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as self._group, aiohttp.ClientSession() as self._session:
            await asyncio.Event().wait()

    def seen(self, task: Task, body: Running) -> Running:
        """What `known` says; from now on it is probed."""
        check = task.spec.probe
        if check is not None and self._of(task, body) is None:
            self.drop(task.id)
            prober = self._probers[task.id] = Prober(task, body, check)
            self._start(task.id, prober)
        return self.known(task, body)

    def known(self, task: Task, body: Running) -> Running:
        """What is seen of a running task, with its health: what is on record before a probe."""
        check = task.spec.probe
        if check is None:
            return body
        pulse = (self._of(task, body) or Prober(task, body, check)).pulse
        return msgspec.structs.replace(body, health=pulse.health, health_words=pulse.words)

    def _of(self, task: Task, body: Running) -> Prober | None:
        """The prober of this very run of this very container."""
        prober = self._probers.get(task.id)
        if prober is None or (prober.container_id, prober.since) != (body.container_id, body.since):
            return None
        return prober

    def drop(self, task_id: str) -> None:
        """The task does not run: it is probed no more."""
        prober = self._probers.pop(task_id, None)
        if prober is not None and prober.running is not None:
            prober.running.cancel()

    def _start(self, task_id: str, prober: Prober) -> None:
        if self._group is not None:
            probing = self._keep_probing(task_id, prober)
            prober.running = self._group.create_task(probing, name=f"probe {task_id}")

    async def _keep_probing(self, task_id: str, prober: Prober) -> None:
        while True:
            probe = await self._probe(prober)
            if probe is not None:
                before, prober.pulse = prober.pulse, prober.pulse.and_then(probe, prober.check)
                if prober.pulse.health is not before.health:
                    self._wake(task_id)
            await asyncio.sleep(prober.check.interval)

    async def _probe(self, prober: Prober) -> Probe | None:
        """One probe within its time; None when what the engine says is nothing of the task.

        That is its silence, and that it has no such container running: it has ended, which the
        lane sees, or another engine is behind the address.
        """
        check = prober.check
        try:
            async with asyncio.timeout(check.timeout):
                passed, words = await self._ask(prober)
        except TimeoutError:
            passed, words = False, f"no answer to {_named(prober)} within {check.timeout} s"
        except EngineAway:
            return None
        except ContainerGone:
            prober.last_exec = ""  # an engine that was started anew knows no command of before
            return None
        except (OSError, aiohttp.ClientError, EngineError) as error:
            passed, words = False, f"{_named(prober)} failed: {_why(error)}"
        after_seconds = self._clock() - prober.since
        return Probe(passed=passed, words=words, after_seconds=after_seconds)

    async def _ask(self, prober: Prober) -> tuple[bool, str]:
        match prober.check.kind:
            case "http":
                return await self._get(prober)
            case "tcp":
                return await _connect(prober)
            case "command":
                return await self._exec(prober)

    async def _get(self, prober: Prober) -> tuple[bool, str]:
        host, port = prober.address
        host = f"[{host}]" if ":" in host else host
        url = f"http://{host}:{port}{prober.check.path}"
        async with self._session.get(url, allow_redirects=False) as answer:
            return 200 <= answer.status < 400, f"{_named(prober)} answered {answer.status}"

    async def _exec(self, prober: Prober) -> tuple[bool, str]:
        """A command that outlived its time is not joined by a second one."""
        if prober.last_exec and await self._runtime.exec_code(prober.last_exec) is None:
            return False, f"{_named(prober)} still runs since an earlier probe"
        command = prober.check.command
        prober.last_exec = await self._runtime.exec_start(prober.container_id, command)
        while (code := await self._runtime.exec_code(prober.last_exec)) is None:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN_SECONDS)  # the engine tells of no end
        prober.last_exec = ""  # its end is known: the engine forgets it in a while
        return code == 0, f"{_named(prober)} ended with {code}"


async def _connect(prober: Prober) -> tuple[bool, str]:
    """The engine's proxy takes every connection, and ends it at once when nobody listens behind."""
    host, port = prober.address
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(PROXY_SECONDS):
            if not await reader.read(1):
                return False, f"{_named(prober)} ended the connection at once"
    except TimeoutError:
        pass
    finally:
        writer.close()
    return True, f"{_named(prober)} took a connection"


def _address(check: HealthCheck, task: Task, body: Running) -> tuple[str, int]:
    """Where the port is published on this machine; port 0 when it is not."""
    port = port_of(check, task.spec.ports)
    published = body.host_ports.get(f"{port}/tcp", ())
    if not published:
        return "127.0.0.1", 0
    first = published[0]
    return ANY_ADDRESS.get(first.host_ip, first.host_ip), int(first.host_port)


def _named(prober: Prober) -> str:
    match prober.check.kind:
        case "http":
            return f"GET {prober.check.path}"
        case "tcp":
            return f"port {prober.address[1]}"
        case "command":
            return " ".join(prober.check.command)


def _why(error: Exception) -> str:
    """The plain words: asyncio's own speak of its calls."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
