"""A client below HTTP: it sends bytes, and reads what comes."""

from __future__ import annotations

import asyncio
import contextlib

from tests.api.conftest import Served

HEAD = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def raw(served: Served, data: bytes, *, until: bytes | None = None) -> bytes:
    """Send these bytes and no more, and read until it is closed, or `until` these have come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.api.port)
    answer = b""
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        if until is None:
            writer.write_eof()
        while chunk := await reader.read(65_536):
            answer += chunk
            if until is not None and until in answer:
                break
    writer.close()
    return answer
