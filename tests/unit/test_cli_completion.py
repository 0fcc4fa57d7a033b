"""Shell completion: the scripts are whole, and tasks are offered by name."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from keelman.cli import app
from tests.api.test_client import answering, free_port, worker_of
from tests.unit.test_cli_status import FAILED, RUNNING, Ended, Keelman, keelman

__all__ = ["keelman"]  # a fixture


def said(*words: str, stdin: str = "") -> str:
    """All that a program says."""
    both = subprocess.STDOUT
    read = subprocess.run(
        words, input=stdin, text=True, stdout=subprocess.PIPE, stderr=both, check=True
    )
    return read.stdout


COMMANDS = sorted(name for name in app if not name.startswith("-"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_script_knows_every_command(shell: str, keelman: Keelman) -> None:
    ended = await keelman("completion", shell)
    assert (ended.status, ended.err) == (0, "")
    assert all(name in ended.out for name in COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_script_is_read_by_its_shell(shell: str, keelman: Keelman) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = (await keelman("completion", shell)).out
    assert await asyncio.to_thread(said, shell, "-n", stdin=script) == ""


async def offered(keelman: Keelman, *words: str, address: str) -> list[str]:
    """What the script asks for, and is answered."""
    ended: Ended = await keelman("__complete", *words, KEELMAN_ADDR=address)
    assert ended.status == 0
    _, _, records = ended.out.partition("\x1fbegin\n")
    return [record for record in records.splitlines() if not record.startswith("\x1f")]


@pytest.mark.parametrize("words", [("inspect", ""), ("stop", "web", ""), ("logs", "-f", "")])
async def test_tasks_are_offered_live_ones_first(words: tuple[str, ...], keelman: Keelman) -> None:
    tasks = [{**FAILED, "Name": ""}, RUNNING]
    async with worker_of(GET_tasks=answering(tasks)) as address:
        found = await offered(keelman, *words, address=address)
    assert found == ["web\tRUNNING nginx:1", "bbb23589\tFAILED nginx:1"]


async def test_without_a_worker_nothing_is_offered(keelman: Keelman) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert await offered(keelman, "stop", "", address=address) == []


async def test_bash_completes_a_name(keelman: Keelman, tmp_path: Path) -> None:
    """The script in a bash, with a `keelman` that offers a name."""
    script = tmp_path / "script"
    script.write_text((await keelman("completion", "bash")).out)
    program = tmp_path / "keelman"
    program.write_text("#!/bin/sh\nprintf '\\037begin\\nweb\\tRUNNING\\njob\\n'\n")
    program.chmod(0o755)
    line = (
        f"PATH={tmp_path}:$PATH; . {script}; COMP_WORDS=(keelman stop w); COMP_CWORD=2; "
        'COMP_TYPE=9; _keelman; echo "${COMPREPLY[@]}"'
    )
    assert await asyncio.to_thread(said, "bash", "-c", line) == "web\n"


async def test_installed_it_is_where_the_shell_looks(tmp_path: Path, keelman: Keelman) -> None:
    ended = await keelman("completion", "bash", "--install", HOME=str(tmp_path))
    place = tmp_path / ".local/share/bash-completion/completions/keelman"
    assert ended.out == f"{place}\n"
    assert place.read_text() + "\n" == (await keelman("completion", "bash")).out
    assert str(place) in (tmp_path / ".bashrc").read_text()
