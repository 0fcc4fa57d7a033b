"""Server-Sent Events, taken out of the bytes of a stream. PURE.

Only the fields that a resumable log needs, `id` and `data`; what connects, and again, is `client`.
"""

from __future__ import annotations

from collections.abc import Iterator


class Frames:
    """Server-Sent Events out of bytes that arrive in any pieces.

    `last_id` is the id to resume from: a frame may carry one without any data.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._rest = b""
        self._lines: list[bytes] = []
        self._id = last_id
        self._after_return = False

    def feed(self, piece: bytes) -> Iterator[tuple[str, bytes]]:
        """The frames that `piece` completes, as (id, data)."""
        if self._after_return and piece.startswith(b"\n"):
            piece, self._after_return = piece[1:], False  # the rest of a CR LF cut in two
        if not piece:
            return
        self._after_return = piece.endswith(b"\r")
        lines = (self._rest + piece).splitlines(keepends=True)
        self._rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        for line in lines:
            yield from self._line(line.rstrip(b"\r\n"))

    def _line(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        if not line:
            yield from self._dispatch()
        field, _, text = line.partition(b":")
        text = text.removeprefix(b" ")
        if field == b"data":
            self._lines.append(text)
        elif field == b"id" and b"\0" not in text:
            self._id = text.decode("utf-8", "replace")

    def _dispatch(self) -> Iterator[tuple[str, bytes]]:
        self.last_id = self._id
        if self._lines:
            text, self._lines = b"\n".join(self._lines), []
            yield self.last_id, text
