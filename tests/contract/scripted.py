"""An engine that answers by a script, at its own socket: for what a real one does too rarely."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = web.StreamResponse | tuple[int, object] | Handler
Script = Mapping[tuple[str, str], Answer]
VERSION = "1.41"


@asynccontextmanager
async def scripted_engine(folder: Path, script: Script) -> AsyncIterator[str]:
    """While it is entered, an engine answers (method, path without version) so; its url."""

    async def answer(request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(f"/v{VERSION}")
        if path == "/version":
            return web.json_response({"ApiVersion": VERSION})
        told = script[request.method, path]
        if isinstance(told, tuple):
            status, body = told
            text = body if isinstance(body, str) else json.dumps(body)
            headers = {"Content-Type": "application/json"}  # without a charset, as engines do
            return web.Response(status=status, body=text.encode(), headers=headers)
        return told if isinstance(told, web.StreamResponse) else await told(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    socket = folder / "engine.sock"
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield f"unix://{socket}"
    finally:
        await runner.cleanup()
