"""Probes over real sockets on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from keelman.health import Health, HealthCheck
from keelman.runtime.fake import FakeEngine, FakeRuntime
from keelman.seen import Running
from keelman.task import HostPort, Task
from keelman.worker.probes import Probes
from tests.unit.given import a_task


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A service with a page for each answer, and one that never answers."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]))

    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/500"})

    app = web.Application()
    app.router.add_get("/elsewhere", elsewhere)
    app.router.add_get("/hang", hang)
    app.router.add_get("/{status}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def verdict(check: HealthCheck, port: int) -> Running:
    """What one probe that fails at once, or passes, makes of a task published at that port."""
    woken = asyncio.Event()
    probes = Probes(FakeRuntime(FakeEngine(lambda: 0.0), "w"), lambda: 0.0, lambda _: woken.set())
    task: Task = a_task(asked={"health_check": check, "exposed_ports": {"80/tcp": {}}})
    at = HostPort(host_ip="0.0.0.0", host_port=str(port))
    body = Running(container_id="c", attempt=1, since=0.0, host_ports={"80/tcp": (at,)})
    working = asyncio.ensure_future(probes.run())
    await asyncio.sleep(0)
    probes.seen(task, body)
    await woken.wait()
    seen = probes.seen(task, body)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return seen


@pytest.mark.parametrize(
    ("path", "health", "words"),
    [
        ("/200", Health.HEALTHY, "GET /200 answered 200"),
        ("/302", Health.HEALTHY, "GET /302 answered 302"),
        ("/404", Health.UNHEALTHY, "GET /404 answered 404"),
        ("/500", Health.UNHEALTHY, "GET /500 answered 500"),
        ("/hang", Health.UNHEALTHY, "no answer to GET /hang within 1 s"),
    ],
)
async def test_an_http_probe_asks_the_published_port(
    port: int, path: str, health: Health, words: str
) -> None:
    seen = await verdict(HealthCheck(path=path, timeout=1, retries=1), port)
    assert seen.health is health
    assert seen.health_words.startswith(words)


async def test_a_redirect_is_not_followed(port: int) -> None:
    """A container may not send the worker to where only the machine may go."""
    seen = await verdict(HealthCheck(path="/elsewhere", timeout=1, retries=1), port)
    assert seen.health_words.startswith("GET /elsewhere answered 302")
    assert seen.health is Health.HEALTHY


async def test_a_tcp_probe_needs_a_connection_only(port: int) -> None:
    assert (await verdict(HealthCheck(kind="tcp"), port)).health is Health.HEALTHY


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_a_port_where_nobody_listens_is_unhealthy(kind: str) -> None:
    check = HealthCheck(kind=kind, retries=1)  # type: ignore[arg-type]  # both are kinds
    seen = await verdict(check, 1)
    assert seen.health is Health.UNHEALTHY
    assert "refused" in seen.health_words


def test_who_only_wants_to_know_is_told_what_is_on_record_and_starts_no_prober() -> None:
    probes = Probes(FakeRuntime(FakeEngine(lambda: 0.0), "w"), lambda: 0.0, lambda _: None)
    check = HealthCheck(path="/200")
    task = a_task(asked={"health_check": check, "exposed_ports": {"80/tcp": {}}})
    body = Running(container_id="c", attempt=1, since=0.0)
    known = probes.known(task.but(health=Health.HEALTHY, message="well"), body)
    assert (known.health, known.health_words) == (Health.HEALTHY, "well")
    assert probes.known(task, body).health is Health.STARTING
    assert probes._probers == {}
