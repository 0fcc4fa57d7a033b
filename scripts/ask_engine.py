"""Asks the container engine whether it is there, and lends others the connection to it.

Run by itself: exit status 0 when an engine answers, else 1 and why not. Standard library only, for
it runs before anything is installed. It starts nothing.
"""

import http.client
import os
import socket
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

USUAL = "unix:///var/run/docker.sock"
SECONDS = 5.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def address() -> str:
    """Where the engine is: `DOCKER_HOST`, or the usual socket."""
    return os.environ.get("DOCKER_HOST") or USUAL


def connection(timeout: float = SECONDS) -> http.client.HTTPConnection:
    """A connection to the engine, not yet opened. ValueError for an address of another kind."""
    url = urlsplit(address())
    if url.scheme == "unix":
        return UnixConnection(url.path, timeout)
    if url.scheme not in ("tcp", "http", "https"):
        raise ValueError("this address is neither unix://, tcp://, http:// nor https://")
    if url.scheme == "https" or os.environ.get("DOCKER_TLS_VERIFY"):
        return http.client.HTTPSConnection(
            url.hostname or "localhost", url.port or 2376, timeout=timeout, context=tls()
        )
    return http.client.HTTPConnection(url.hostname or "localhost", url.port or 2375, timeout)


def tls() -> ssl.SSLContext:
    """The certificates of `DOCKER_CERT_PATH`, as the docker command has them."""
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def main() -> None:
    try:
        engine = connection()
        engine.request("GET", "/_ping")
        status = engine.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(f"{address()}: {error}")
    if status != http.HTTPStatus.OK:
        sys.exit(f"{address()}: it answers with status {status}")


if __name__ == "__main__":
    main()
