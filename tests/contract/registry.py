"""A registry for one test: two tiny images over HTTP, one of them spoilt. The engine pulls from it.

An engine speaks plain HTTP with registries on 127.0.0.0/8.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("hello"))
    return whole.getvalue()


CONTENT = layer()
PACKED = gzip.compress(CONTENT, mtime=0)
IMAGE = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(CONTENT)]},
    }
).encode()


def manifest() -> bytes:
    parts = {"config": (CONFIG, IMAGE), "layer": (LAYER, PACKED)}
    told = {
        name: {"mediaType": kind, "size": len(content), "digest": digest(content)}
        for name, (kind, content) in parts.items()
    }
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": told["config"],
            "layers": [told["layer"]],
        }
    ).encode()


MANIFEST_CONTENT = manifest()


async def version(request: web.Request) -> web.Response:
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})


async def manifests(request: web.Request) -> web.Response:
    known = request.match_info["reference"] in ("1", "latest", digest(MANIFEST_CONTENT))
    if request.match_info["name"] not in ("good", "spoilt") or not known:
        # Without a detail, Docker 20.10 makes a 500 of this.
        error = {"code": "MANIFEST_UNKNOWN", "detail": {"Tag": request.match_info["reference"]}}
        return web.json_response({"errors": [error]}, status=404)
    headers = {"Docker-Content-Digest": digest(MANIFEST_CONTENT)}
    return web.Response(body=MANIFEST_CONTENT, content_type=MANIFEST, headers=headers)


async def blobs(request: web.Request) -> web.Response:
    blob = {digest(one): one for one in (IMAGE, PACKED)}[request.match_info["digest"]]
    spoilt = request.match_info["name"] == "spoilt"
    return web.Response(body=bytes(len(blob)) if spoilt else blob)


@asynccontextmanager
async def registry() -> AsyncIterator[str]:
    """A registry that is up while this is entered; its address."""
    app = web.Application()
    app.router.add_get("/v2/", version)
    app.router.add_get("/v2/{name}/manifests/{reference}", manifests)
    app.router.add_get("/v2/{name}/blobs/{digest}", blobs)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name.removeprefix("http://")
    finally:
        await runner.cleanup()
