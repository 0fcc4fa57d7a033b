"""A network of the torture's own, whose links are cut: a bridge, and behind it each node by itself.

The machine's own network is neither asked nor changed: whoever enters `own_network` is in a new
one, and each node in another that a process of its own keeps. When they end, all of it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from pathlib import Path

from tests.torture.waiting import until

CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"
BRIDGE, INNER = "bridge0", "eth0"
HERE = "10.77.0.1"


class Way(StrEnum):
    """Which way nothing comes through."""

    BOTH = "both ways"
    THERE = "to the node"
    BACK = "from the node"


class Link:
    """The link of one node. `behind` is what a command is put behind to run at its other end."""

    def __init__(self, number: int) -> None:
        self.address = f"10.77.0.{10 + number}"
        self.behind: tuple[str, ...] = ()
        self._here = f"node{number}"

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[None]:
        """It is there while this is entered."""
        keeper = await asyncio.create_subprocess_exec("unshare", "--net", "--", "sleep", "infinity")
        try:
            await until(lambda: _is_apart(keeper.pid), "the node has a network of its own")
            self.behind = ("nsenter", f"--net=/proc/{keeper.pid}/ns/net", "--")
            await self._lay(keeper.pid)
            yield
        finally:
            keeper.kill()
            await keeper.wait()

    async def _lay(self, keeper: int) -> None:
        peer = ("peer", "name", INNER, "netns", str(keeper))
        await _ip("link", "add", "name", self._here, "type", "veth", *peer)
        await _ip("link", "set", self._here, "master", BRIDGE, "up")
        await _ip("link", "set", "lo", "up", behind=self.behind)
        await _ip("address", "add", f"{self.address}/24", "dev", INNER, behind=self.behind)
        await _ip("link", "set", INNER, "up", behind=self.behind)

    async def cut(self, way: Way) -> None:
        """From now on nothing comes through; both ends are told only of a cut of both ways."""
        match way:
            case Way.BOTH:
                await _ip("link", "set", self._here, "down")
            case Way.THERE:
                await _nft(_drop(self._here, f"iifname {INNER}"), behind=self.behind)
            case Way.BACK:
                await _nft(_drop(self._here, f"ip saddr {self.address}"))

    async def mend(self, way: Way) -> None:
        """The same comes through again."""
        match way:
            case Way.BOTH:
                await _ip("link", "set", self._here, "up")
            case Way.THERE:
                await _nft(f"delete table inet {self._here}", behind=self.behind)
            case Way.BACK:
                await _nft(f"delete table inet {self._here}")


def _drop(name: str, what: str) -> str:
    """Dropped where it arrives: nobody is told."""
    chain = f"chain arriving {{ type filter hook input priority 0; {what} drop; }}"
    return f"table inet {name} {{ {chain}; }}"


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and what it starts, are in a new network while this is entered."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _done(libc.unshare(CLONE_NEWNET))
        try:
            yield
        finally:
            _done(libc.setns(before, CLONE_NEWNET))
    finally:
        os.close(before)


@asynccontextmanager
async def links(count: int) -> AsyncIterator[list[Link]]:
    """A bridge here, which is no network but `own_network`'s, with so many links to it."""
    laid = [Link(number) for number in range(1, count + 1)]
    await _ip("link", "set", "lo", "up")
    await _ip("link", "add", BRIDGE, "type", "bridge")
    await _ip("address", "add", f"{HERE}/24", "dev", BRIDGE)
    await _ip("link", "set", BRIDGE, "up")
    async with contextlib.AsyncExitStack() as undo:
        for link in laid:
            await undo.enter_async_context(link.laid())
        yield laid


def _done(status: int) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


async def _is_apart(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return _network(f"/proc/{pid}/ns/net") != _network(OWN)
    return False


def _network(path: str) -> Path:
    return Path(path).readlink()


async def _ip(*words: str, behind: tuple[str, ...] = ()) -> None:
    await _run(*behind, "ip", *words)


async def _nft(rules: str, behind: tuple[str, ...] = ()) -> None:
    await _run(*behind, "nft", rules)


async def _run(*words: str) -> None:
    environ = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    process = await asyncio.create_subprocess_exec(*words, env=environ)
    if await process.wait() != 0:
        raise RuntimeError(f"{' '.join(words)}: apt-get install iproute2 nftables")
