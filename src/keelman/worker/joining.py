"""How a worker joins a manager by the link that was pasted, before it starts.

Once for each link: a worker that is started again with the same one goes by what it got. Its key is
made here and stays here.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

from keelman.answers import is_loopback, url
from keelman.door import Credentials
from keelman.errors import CannotStart, KeelmanError
from keelman.invitation import JoinIn, JoinReport, Link, digest_of
from keelman.worker.join_client import JoinClient, met
from keelman.worker.join_files import Asking, Joined, JoinFiles

log = structlog.get_logger(__name__)


def check(link: Link, port: int, given: Credentials) -> None:
    """Whether it can be meant. Raises: CannotStart."""
    if given.tls_cert or given.tls_key or given.tls_ca:
        words = "--tls-cert, --tls-key and --tls-ca are what it gets by joining"
        raise CannotStart(f"--join: leave the others out, {words}")
    if port == 0:
        raise CannotStart("--join needs a --port: the manager is told it, and keeps it")
    if not link.token.pin and not is_loopback(url(link.manager)):
        raise CannotStart("--join: a secret over plain HTTP is read by whoever is on the way")


async def joined(
    link: Link, name: str, port: int, directory: Path, given: Credentials
) -> Credentials:
    """What to start with: what was given, and what was got by joining, now or before.

    Raises: CannotStart.
    """
    files, invitation = JoinFiles(directory), digest_of(link.token.shown)
    known = files.joined()
    if known is not None and known.asking.invitation == invitation:
        _check_same(known, name, port)
        log.info("joined before", manager=known.manager, node=known.answer.name)
        return files.credentials(known, given)
    asking = files.asking()
    if asking is None or asking.invitation != invitation:
        asking = _asking(link, invitation)
        files.begin(asking)
    answer = await _join(link, _question(link, asking, name, port))
    done = Joined(asking=asking, manager=link.manager, answer=answer)
    files.end(done)
    log.info("joined", manager=link.manager, node=answer.name, url=answer.url)
    return files.credentials(done, given)


def _check_same(known: Joined, name: str, port: int) -> None:
    """The manager goes on asking where it was told. Raises: CannotStart."""
    if (name, port) != (known.answer.name, url(known.answer.url).port):
        words = f"it joined as {known.answer.name} at {known.answer.url}"
        raise CannotStart(f"{words}: start it so, or remove that node and join by another link")


def _asking(link: Link, invitation: str) -> Asking:
    if not link.token.pin:
        return Asking(invitation=invitation)
    from keelman import certs  # noqa: PLC0415  # 8 MB that a worker without TLS goes without

    pair = certs.new_request()
    return Asking(invitation=invitation, key=pair.key.decode(), request=pair.cert.decode())


def _question(link: Link, asking: Asking, name: str, port: int) -> JoinIn:
    return JoinIn(secret=link.token.shown, name=name, port=port, request=asking.request)


async def _join(link: Link, question: JoinIn) -> JoinReport:
    """Raises: CannotStart."""
    try:
        context = await met(link)
        async with JoinClient(link.manager, tls=context) as client:
            answer = await client.join(question)
    except CannotStart:
        raise
    except (KeelmanError, ssl.SSLError) as error:
        raise CannotStart(f"it cannot join at {link.manager}: {error}") from error
    if bool(answer.certificate) is not bool(link.token.pin):
        raise CannotStart(f"it cannot join at {link.manager}: the answer is not understood")
    return answer
