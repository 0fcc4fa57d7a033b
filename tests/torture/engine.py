"""A container engine of the torture's own: a dockerd with its containerd, in a folder of its own.

The machine's engine is not asked, stopped or changed. What is ended here is ended by its process
id: those of the dockerd that was started, and of what lives in its own cgroup.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from tests.torture.waiting import until

IMAGES = Path(__file__).parents[2] / "scripts" / "images"
CGROUPS = Path("/sys/fs/cgroup")
TRIES = 5
# In a network of its own: a dockerd without a bridge takes the machine's docker0 away.
OWN_NETWORK = ("unshare", "--net", "--", "sh", "-c", 'busybox ip link set lo up; exec "$@"', "sh")


class EngineEnded(RuntimeError):
    """dockerd ended by itself; with its last words."""


class Engine:
    """One dockerd. `url` is where it listens while it runs."""

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._cgroup = f"keelman-{mark}"
        self._exec_root = folder / "exec"
        self._process: asyncio.subprocess.Process | None = None
        self._live_restore = False

    async def start(self, *, live_restore: bool = False) -> None:
        """Start it and wait until it answers; `live_restore` lets containers outlive it."""
        self._live_restore = live_restore
        self._prepare()
        log = os.open(self.folder / "dockerd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._process = await asyncio.create_subprocess_exec(
            *self._command(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        os.close(log)
        await until(self.answers, "the engine answers")

    async def restart(self) -> None:
        """Start it as it was started before, and again if it ends: as a service would be."""
        for _ in range(TRIES):
            with contextlib.suppress(EngineEnded):
                return await self.start(live_restore=self._live_restore)
        raise EngineEnded((self.folder / "dockerd.log").read_text()[-2000:])

    async def load_image(self) -> None:
        """The image of the demo and the tests, from this machine's busybox."""
        environ = {**os.environ, "DOCKER_HOST": self.url}
        made = await asyncio.create_subprocess_exec(
            sys.executable, str(IMAGES), env=environ, stdout=subprocess.DEVNULL
        )
        assert await made.wait() == 0

    async def end(self, number: signal.Signals) -> None:
        """Send it a signal and wait until it is gone; its containerd goes with it."""
        assert self._process is not None
        self._process.send_signal(number)
        await asyncio.wait_for(self._process.wait(), 120)

    async def cut_power(self) -> None:
        """dockerd, containerd, shims and containers killed at once, and what a boot clears."""
        await self.end(signal.SIGKILL)
        await asyncio.to_thread(self._kill_the_rest)

    async def close(self) -> None:
        """End it with all that it started; nothing of it is left but the folder."""
        if self._process is not None and self._process.returncode is None:
            await self.end(signal.SIGTERM)
        await asyncio.to_thread(self._kill_the_rest)
        await asyncio.to_thread(self._drop_cgroups)

    async def answers(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise EngineEnded((self.folder / "dockerd.log").read_text()[-2000:])
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket))) as session,
                session.get("http://engine/_ping") as response,
            ):
                return response.status == 200
        return False

    def _prepare(self) -> None:
        (self.folder / "docker.pid").unlink(missing_ok=True)
        own_id = {"deprecated-key-path": str(self.folder / "key.json")}
        (self.folder / "daemon.json").write_text(json.dumps(own_id))

    def _command(self) -> list[str]:
        options = [
            f"--config-file={self.folder / 'daemon.json'}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self._exec_root}",
            f"--pidfile={self.folder / 'docker.pid'}",
            f"--host={self.url}",
            f"--cgroup-parent=/{self._cgroup}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            *("--bridge=none", "--iptables=false", "--ip6tables=false"),
        ]
        dockerd = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if dockerd is None:
            raise RuntimeError("there is no dockerd: apt-get install docker.io")
        live_restore = ["--live-restore"] if self._live_restore else []
        return [*OWN_NETWORK, dockerd, *options, *live_restore]

    @property
    def own_network(self) -> list[str]:
        """What a command is put behind to run in this engine's network."""
        assert self._process is not None
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", "--"]

    def _kill_the_rest(self) -> None:
        """Shims first: they would tell of the containers' ends."""
        for pid in [*self._shims(), *self._contained()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for place in sorted(self._mounts(), reverse=True):
            subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self._exec_root, ignore_errors=True)

    def _shims(self) -> Iterator[int]:
        """Whatever was started with a path in this engine's own folder for its state."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if f"{self._exec_root}/".encode() in (entry / "cmdline").read_bytes():
                        yield int(entry.name)

    def _contained(self) -> set[int]:
        pids: set[int] = set()
        for folder in self._cgroups():
            with contextlib.suppress(OSError):
                pids |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        return pids

    def _cgroups(self) -> list[Path]:
        """Of every hierarchy, the deepest first."""
        tops = [*CGROUPS.glob(self._cgroup), *CGROUPS.glob(f"*/{self._cgroup}")]
        found = [folder for top in tops for folder, _, _ in os.walk(top)]
        return [Path(folder) for folder in sorted(found, reverse=True)]

    def _drop_cgroups(self) -> None:
        for folder in self._cgroups():
            with contextlib.suppress(OSError):  # the kernel is not done with it yet: it is empty
                folder.rmdir()

    def _mounts(self) -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        places = [line.split()[1] for line in lines]
        return [place for place in places if place.startswith(f"{self.folder}/")]
