"""Only those who are named get in: a real worker, real TLS, the real command line."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import uuid
from pathlib import Path

import aiohttp
import pytest

from keelman import tls
from tests.e2e.machine import IMAGE, SLEEPS, Machine, until
from tests.unit.given_credentials import NEW, OLD, OTHER, Folder, a_ca, secret

pytestmark = pytest.mark.engine

ID = str(uuid.uuid4())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "certs")


def served_with(folder: Folder) -> list[str]:
    """Options of a worker that other machines may reach."""
    cert, key = folder.issue("node-1")
    return [
        *("--host", "0.0.0.0", "--tls-cert", str(cert), "--tls-key", str(key)),
        *("--tls-ca", str(folder.ca), "--allow-client", "manager-1"),
    ]


async def started(machine: Machine, folder: Folder, *options: str) -> None:
    machine.url = f"https://127.0.0.1:{machine.port}"
    machine.tls = tls.caller(folder.ca, *folder.issue("manager-1"))
    await machine.start(*served_with(folder), *options)


async def keelman(*words: str, **environ: str) -> tuple[int, str, str]:
    """The command line as a process: its status, what it said and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keelman.cli", *words),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def environ_of(machine: Machine, folder: Folder, name: str = "") -> dict[str, str]:
    """What a manager of this name has in its environment."""
    where = {"KEELMAN_ADDR": machine.url, "KEELMAN_TLS_CA": str(folder.ca)}
    if not name:
        return where
    cert, key = folder.issue(name)
    return where | {"KEELMAN_TLS_CERT": str(cert), "KEELMAN_TLS_KEY": str(key)}


async def shown(machine: Machine, context: ssl.SSLContext) -> int:
    """The status of an answer on a new connection; 0 where there is none."""
    connector = aiohttp.TCPConnector(ssl=context)
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"{machine.url}/tasks") as answer,
        ):
            return answer.status
    except aiohttp.ClientConnectionError:
        return 0


# -- certificates --------------------------------------------------------------------------------


async def test_who_has_the_right_certificate_gets_in_with_every_command(
    machine: Machine, folder: Folder
) -> None:
    await started(machine, folder)
    env = environ_of(machine, folder, "manager-1")
    assert (await keelman("ps", **env))[::2] == (0, "")
    status, out, err = await keelman("run", "--wait", "--name", "one", IMAGE, "echo", "hi", **env)
    assert (status, err) == (0, "")
    assert (await keelman("logs", "one", **env))[:2] == (0, "hi\n")
    assert (await keelman("run", "--follow", IMAGE, "echo", "ho", **env))[:2] == (0, "ho\n")
    assert (await keelman("run", "--name", "two", "--init", IMAGE, *SLEEPS, **env))[0] == 0
    assert (await keelman("stop", "--wait", "two", **env))[0] == 0
    assert out.strip() in (await keelman("inspect", "one", **env))[1]
    assert out.strip() in (await keelman("inspect", "one", *options_of(env)))[1]


def options_of(env: dict[str, str]) -> list[str]:
    """The same as options."""
    told = {name.removeprefix("KEELMAN_"): value for name, value in env.items()}
    return [f"--{name.lower().replace('_', '-')}={value}" for name, value in told.items()]


async def test_events_are_followed_over_tls(machine: Machine, folder: Folder) -> None:
    await started(machine, folder)
    env = environ_of(machine, folder, "manager-1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keelman.cli", "events", "--since", "0"),
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
    )
    await machine.send(ID, Command=["true"])
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert ID[:8].encode() in await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("name", "status", "advice"),
    [("", 1, "KEELMAN_TOKEN_FILE"), ("node-1", 1, "--allow-client")],
)
async def test_who_has_none_or_another_name_is_told_so(
    machine: Machine, folder: Folder, name: str, status: int, advice: str
) -> None:
    await started(machine, folder)
    ended, _, complaint = await keelman("ps", **environ_of(machine, folder, name))
    assert ended == status
    assert advice in complaint
    assert complaint.count("\n") == 1


async def test_another_ca_and_older_tls_are_refused_by_tls(
    machine: Machine, folder: Folder, tmp_path: Path
) -> None:
    await started(machine, folder)
    stranger = Folder(tmp_path / "stranger")
    env = environ_of(machine, stranger, "manager-1") | {"KEELMAN_TLS_CA": str(folder.ca)}
    status, _, complaint = await keelman("ps", **env)
    assert (status, "of a CA that it does not trust" in complaint) == (4, True)
    status, _, complaint = await keelman("ps", **environ_of(machine, stranger))
    assert (status, "KEELMAN_TLS_CA" in complaint) == (1, True)
    older = tls.caller(folder.ca, *folder.issue("manager-1"))
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await shown(machine, older) == 0
    assert "Traceback" not in await machine.log()


async def test_certificate_and_ca_are_changed_without_a_restart(
    machine: Machine, folder: Folder
) -> None:
    """Connections that are open go on; the sleep is asked for on one and stopped on it."""
    await started(machine, folder)
    task = await machine.send(ID, Command=SLEEPS, Init=True)
    new_ca = a_ca()
    old = tls.caller(folder.ca, folder.cert("manager-1"), folder.key("manager-1"))
    old.load_verify_locations(cadata=new_ca.cert.decode())
    assert await shown(machine, old) == 200
    folder.trust(new_ca)
    folder.issue("node-1")
    new = tls.caller(folder.ca, *folder.issue("manager-1"))
    none = tls.caller(folder.ca, None, None)
    machine.hang_up()

    async def renewed() -> bool:
        return await shown(machine, new) == 200

    await until(renewed)
    assert (await shown(machine, old), await shown(machine, none)) == (0, 401)
    folder.key("node-1").write_text("rubbish")
    machine.hang_up()
    await machine.stop(task)
    assert (await machine.task(task, "ended"))["State"] == 3
    assert await shown(machine, new) == 200
    log = await machine.log()
    assert "credentials read anew" in log
    assert "credentials not read anew" in log


async def test_a_worker_tells_what_it_goes_by_and_what_its_file_does_not_decide(
    machine: Machine, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started from a shell that is set up for a client."""
    cert, key = folder.issue("node-1")
    file = tmp_path / "keelman.toml"
    file.write_text(f'[worker]\ntls-cert = "{cert}"\ntls-key = "{key}"\n')
    mine, own = folder.issue("manager-1")
    monkeypatch.setenv("KEELMAN_TLS_CERT", str(mine))
    monkeypatch.setenv("KEELMAN_TLS_KEY", str(own))
    machine.url = f"https://127.0.0.1:{machine.port}"
    machine.tls = tls.caller(folder.ca, None, None)
    await machine.start("--config", str(file))
    log = await machine.log()
    assert log.count("the environment wins over the file") == 2
    assert f"KEELMAN_TLS_CERT is set, and tls-cert of {file} does not count" in log
    (listening,) = [line for line in log.splitlines() if "listening" in line]
    assert (str(mine) in listening, str(cert) in listening) == (True, False)


# -- tokens --------------------------------------------------------------------------------------


async def test_tokens_are_changed_without_a_restart_and_told_to_nobody(
    machine: Machine, tmp_path: Path
) -> None:
    tokens = secret(tmp_path / "tokens", f"manager-1 {OLD}\n")
    await machine.start("--token-file", str(tokens))
    files = {
        token: secret(tmp_path / str(number), token)
        for number, token in enumerate((OLD, NEW, OTHER))
    }

    async def statuses() -> list[int]:
        return [
            (await keelman("ps", KEELMAN_ADDR=machine.url, KEELMAN_TOKEN_FILE=str(file)))[0]
            for file in files.values()
        ]

    assert (await keelman("ps", KEELMAN_ADDR=machine.url))[0] == 1
    for text, good in (
        (f"manager-1 {OLD}", [0, 1, 1]),
        (f"manager-1 {OLD}\nmanager-1 {NEW}", [0, 0, 1]),
        (f"manager-1 {NEW}", [1, 0, 1]),
    ):
        tokens.write_text(text)
        machine.hang_up()

        async def renewed(good: list[int] = good) -> bool:
            return await statuses() == good

        await until(renewed)
    bearer = {"Authorization": f"Bearer {NEW}"}
    async with machine.session.get("/metrics", headers=bearer) as answer:
        told = await answer.read()
    told += told_by_the_kernel(machine.pid)
    told += (await machine.log()).encode()
    assert [token for token in files if token.encode() in told] == []


def told_by_the_kernel(pid: int) -> bytes:
    """What `ps` shows of a process, and more."""
    return b"".join(Path(f"/proc/{pid}/{file}").read_bytes() for file in ("cmdline", "environ"))


async def test_a_token_is_not_sent_where_it_could_be_read(tmp_path: Path) -> None:
    """To an address for documentation, where nobody is; nothing is sent."""
    token = str(secret(tmp_path / "token", OLD))
    status, _, complaint = await keelman("ps", "--addr=192.0.2.1:5556", f"--token-file={token}")
    assert (status, "https only" in complaint, OLD in complaint) == (2, True, False)


# -- where a worker may stand --------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize("given", ["nothing", "a token", "a certificate"])
async def test_off_loopback_it_does_not_start_unless_somebody_is_named(
    machine: Machine, folder: Folder, tmp_path: Path, host: str, given: str
) -> None:
    cert, key = folder.issue("node-1")
    tokens = secret(tmp_path / "tokens", f"manager-1 {OLD}")
    options = {
        "nothing": [],
        "a token": ["--token-file", str(tokens)],
        "a certificate": ["--tls-cert", str(cert), "--tls-key", str(key)],
    }[given]
    await machine.spawn("--host", host, *options)
    status, log = await machine.ended()
    assert status == 1
    assert "as root" in log
    assert "keelman certs" in log
    assert "listening" not in log


async def test_on_loopback_it_starts_and_warns(machine: Machine) -> None:
    await machine.start()
    assert "every user of this machine can start containers as root" in await machine.log()
