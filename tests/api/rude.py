"""A rude client: it sends what it likes, and notes what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import re

PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PATIENCE_SECONDS = 60.0  # a hang is a failure; nothing is measured
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


async def answered(port: int, sent: bytes, *, hang_up: bool) -> list[int]:
    """The statuses that come for these bytes, on a connection of their own.

    Once something came, it is asked whether the connection lives: what was smuggled in is answered
    before that. `hang_up`: the client says that it has nothing more to send.
    """
    answer = await _answer(port, sent, hang_up=hang_up)
    *before, last = answer.split(b"HTTP/1.")
    if b"Connection: close" in last and last.endswith(b'{"Status":"ok"}'):
        answer = b"HTTP/1.".join(before)
    return [int(status) for status in STATUS.findall(answer)]


async def _answer(port: int, sent: bytes, *, hang_up: bool) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer, asked = b"", hang_up
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            writer.write(sent)
            if hang_up:
                writer.write_eof()
            while chunk := await reader.read(1 << 20):
                answer += chunk
                if b"text/event-stream" in answer:  # which has no end
                    break
                if not asked:
                    writer.write(PROBE)
                    asked = True
    except ConnectionError:  # closed with bytes of ours unread: its answer may be lost, too
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer
