"""The client to a Docker-compatible engine, and what becomes of its errors."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

import aiohttp
from aiodocker import Docker, DockerError
from aiohttp import ClientResponse, ClientTimeout, TCPConnector, UnixConnector

from keelman.errors import CannotStart, EngineAway
from keelman.runtime import statuses
from keelman.runtime.statuses import USUAL, Meanings
from keelman.runtime.told import words_of

NO_HEADERS: Mapping[str, str] = {}


@contextmanager
def translated(meanings: Meanings = USUAL) -> Iterator[None]:
    """The one place where foreign errors become ours: by status or type, never by their text."""
    try:
        yield
    except DockerError as error:
        ours = statuses.meaning(error.status, meanings)
        if ours is not None:
            raise ours(_told(error)) from error
    except (OSError, aiohttp.ClientError) as error:
        raise EngineAway(f"no answer from the engine: {_words(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EngineAway(f"an answer of the engine cannot be read: {error!r}") from error


def _told(error: DockerError) -> str:
    """The engine's own words, or why there are none."""
    cause = error.__context__
    if isinstance(cause, OSError | aiohttp.ClientError):
        return f"no answer from the engine: {_words(cause)}"
    return str(error.message)


def _words(error: OSError | aiohttp.ClientError) -> str:
    """The plain words: a connector's own show its insides."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, aiohttp.ClientPayloadError):
        return "it broke off in the middle of an answer"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    return str(cause) or type(cause).__name__


def client(
    url: str, tls: ssl.SSLContext | None, timeout: ClientTimeout, connections: int
) -> Docker:
    """A client with a connector of our own, so that aiodocker looks at no environment.

    Raises: CannotStart.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        unix = UnixConnector(rest, limit=connections)
        return Docker("unix://localhost", connector=unix, timeout=timeout)
    if scheme in ("tcp", "http", "https"):
        tcp = TCPConnector(limit=connections, ssl=tls or True)
        return Docker(url, connector=tcp, timeout=timeout)
    raise CannotStart(f"{url}: an engine is at unix://, tcp://, http:// or https://")


def as_path(name: str) -> str:
    """A name as part of a path: nothing in it may lead elsewhere."""
    return quote(name, safe="/:@")


async def opened(
    docker: Docker,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str] = NO_HEADERS,
) -> ClientResponse:
    """An answer of which only the head was read. Without a version: the engine's own.

    aiodocker's own streams take a cut for an end, and leave what they broke off open.
    """
    url = f"{docker.docker_host}/{path}"
    response = await docker.session.request(method, url, params=query, headers=headers)
    if response.status < 400:
        return response
    async with response:
        raise DockerError(response.status, words_of(await response.read()))
