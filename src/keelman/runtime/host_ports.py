"""Which host ports somebody holds, by trying: the engine says it only in words.

To be asked on the engine's own machine. A port is let go again at once.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def taken(asked: Iterable[tuple[str, int, str]]) -> list[str]:
    """Those of the asked ports (address, number, protocol) that are held, as `8080/tcp`."""
    return [
        f"{number}/{protocol}"
        for address, number, protocol in asked
        if protocol in KINDS and _is_held(address, number, KINDS[protocol])
    ]


def _is_held(address: str, number: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:  # as the engine does: old connections hold nothing
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
