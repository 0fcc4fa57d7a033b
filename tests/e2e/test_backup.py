"""`keelman backup` beside a worker at work, and `keelman restore` of what is old by then."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.machine import SLEEPS, Machine, until

pytestmark = pytest.mark.engine

PENDING, SCHEDULED, RUNNING, COMPLETED, FAILED = range(5)
QUIET: dict[str, Any] = {"Network": "none", "StopTimeout": 1}
COPIES = 5
LOAD = 8


class Said(NamedTuple):
    status: int
    out: str
    err: str


async def keelman(*words: object) -> Said:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "keelman.cli", *(str(word) for word in words))
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


async def backed_up(machine: Machine, copy: Path) -> Path:
    said = await keelman("backup", copy, "--data-dir", machine.data_dir)
    assert said.status == 0, said.err
    assert f"of worker {machine.name}, " in said.out
    return copy


async def run(machine: Machine, *command: str, **fields: Any) -> str:
    return await machine.send(Command=list(command), **{**QUIET, **fields})


async def run_again(machine: Machine, task_id: str, *command: str) -> None:
    await machine.send(task_id, Command=list(command), **QUIET)


async def short(machine: Machine, task_id: str) -> tuple[int, str, int]:
    """State, Reason and attempt."""
    task = await machine.task(task_id)
    return task["State"], task["Reason"], task["Attempt"]


# -- a backup ------------------------------------------------------------------------------------


async def test_backups_of_a_worker_under_load_are_whole_and_cost_it_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    """Every request is answered while they are made; every copy has all up to its last."""
    await machine.start()
    done = asyncio.Event()

    async def ask_on_and_on() -> int:
        count = 0
        while not done.is_set():
            task_id = await run(machine, "true", Image="nowhere:1", PullPolicy="never")
            await machine.task(task_id)
            count += 1
        return count

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask_on_and_on()) for _ in range(LOAD)]
        copies = [await backed_up(machine, tmp_path / f"copy-{n}") for n in range(COPIES)]
        done.set()
    assert sum(task.result() for task in asking) > COPIES * LOAD
    lengths = [checked(copy) for copy in copies]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]
    assert "cannot record" not in await machine.log()


def checked(copy: Path) -> int:
    """How many Transitions a copy has, after a look at whether they fit together."""
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ((count, last),) = database.execute("SELECT count(*), max(seq) FROM transitions")
        ((known,),) = database.execute("SELECT value FROM meta WHERE key = 'transition_seq'")
    assert count == last == known
    return int(count)


# -- restored ------------------------------------------------------------------------------------


class Yesterday(NamedTuple):
    """Tasks as the copy knows them."""

    runs: str
    over: str
    ended: str
    restarts: str
    stopped: str
    stopped_always: str
    again: str


async def before_the_copy(machine: Machine) -> Yesterday:
    tasks = Yesterday(
        runs=await run(machine, *SLEEPS),
        over=await run(machine, "true"),
        ended=await run(machine, *SLEEPS),
        restarts=await run(machine, "false", RestartPolicy="always"),
        stopped=await run(machine, *SLEEPS),
        stopped_always=await run(machine, *SLEEPS, RestartPolicy="always"),
        again=await run(machine, "false"),
    )
    for task_id in (tasks.runs, tasks.ended, tasks.stopped, tasks.stopped_always):
        await machine.task(task_id, wait="running")
    for task_id in (tasks.over, tasks.again):
        await machine.task(task_id, wait="ended")
    await machine.until_task(tasks.restarts, lambda task: bool(task["Attempt"] >= 2))
    return tasks


class Since(NamedTuple):
    """Tasks that it does not know, and what is true of all today."""

    runs: str
    ended: str
    attempt: int
    last_id: str


async def after_the_copy(machine: Machine, tasks: Yesterday) -> Since:
    ended = (await machine.task(tasks.ended))["ContainerID"]
    await machine.docker_kill(ended)
    for task_id in (tasks.stopped, tasks.stopped_always):
        await machine.stop(task_id)
        await machine.task(task_id, wait="ended")
    await machine.task(tasks.ended, wait="ended")
    new_runs = await run(machine, *SLEEPS, RestartPolicy="always", Env={"A": "b"})
    new_ended = await run(machine, "sh", "-c", "exit 7")
    await run_again(machine, tasks.again, "sleep", "1000")
    for task_id in (new_runs, tasks.again):
        await machine.task(task_id, wait="running")
    await machine.task(new_ended, wait="ended")
    restarts = await machine.until_task(tasks.restarts, lambda task: bool(task["Attempt"] >= 4))
    async with machine.session.get("/tasks") as response:
        last_id = response.headers["Last-Event-ID"]
    return Since(new_runs, new_ended, restarts["Attempt"], last_id)


async def alive(machine: Machine, task_id: str) -> list[str]:
    """The containers of a task that are alive."""
    shown = [await machine.docker_inspect(one) for one in await machine.containers(task_id)]
    return [one["Name"] for one in shown if one["State"]["Running"]]


@pytest.mark.slow
async def test_an_older_copy_finds_out_what_became_of_each_task(
    machine: Machine, tmp_path: Path
) -> None:
    await machine.start()
    tasks = await before_the_copy(machine)
    copy = await backed_up(machine, tmp_path / "copy")
    since = await after_the_copy(machine, tasks)
    kept = (await machine.task(tasks.runs))["ContainerID"]
    new = await machine.task(since.runs)

    refused = await keelman("restore", copy, "--data-dir", machine.data_dir)
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "stop it first" in refused.err
    await machine.kill()
    restored = await keelman("restore", copy, "--data-dir", machine.data_dir)
    assert restored.status == 0, restored.err
    await machine.start("--show-env")

    runs = await machine.task(tasks.runs, wait="running")
    assert (runs["State"], runs["ContainerID"]) == (RUNNING, kept)
    adopted = await machine.task(since.runs, wait="running")
    assert (adopted["ContainerID"], adopted["Env"]) == (new["ContainerID"], {"A": "b"})
    await found_out(machine, tasks, since)
    for task_id in (tasks.runs, since.runs, tasks.stopped_always):
        assert len(await alive(machine, task_id)) == 1
    await told_anew(machine, since.last_id)


async def found_out(machine: Machine, tasks: Yesterday, since: Since) -> None:
    """What ended is told so, what restarts goes on from its number, a stray is stopped."""
    for task_id in (tasks.ended, tasks.stopped, since.ended):
        await machine.task(task_id, wait="ended")
    assert await short(machine, tasks.over) == (COMPLETED, "exited", 1)
    assert await short(machine, tasks.ended) == (FAILED, "killed_by_other", 1)
    assert await short(machine, tasks.stopped) == (FAILED, "killed_by_other", 1)
    assert await short(machine, since.ended) == (FAILED, "exited", 1)
    await machine.until_task(tasks.stopped_always, lambda task: bool(task["Attempt"] == 2))
    await machine.until_task(tasks.restarts, lambda task: bool(task["Attempt"] > since.attempt))

    async def is_stopped() -> bool:
        return not await alive(machine, tasks.again)

    await until(is_stopped)
    assert await short(machine, tasks.again) == (FAILED, "exited", 2)


async def told_anew(machine: Machine, last_id: str) -> None:
    """Who had read on is sent to the list; the numbers have no gap."""
    async with machine.session.get("/events", headers={"Last-Event-ID": last_id}) as response:
        assert (response.status, (await response.json())["Code"]) == (410, "events_gone")
    log = await machine.log()
    assert '"event": "the log has a new id"' in log
    assert "a backup was restored" in log
    with closing(sqlite3.connect(machine.data_dir / "keelman.db")) as database:
        seqs = [seq for (seq,) in database.execute("SELECT seq FROM transitions ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_what_was_there_before_a_restore_can_be_put_back(
    machine: Machine, tmp_path: Path
) -> None:
    await machine.start()
    copy = await backed_up(machine, tmp_path / "copy")
    task_id = await run(machine, "true")
    await machine.task(task_id, wait="ended")
    history = await machine.moves(task_id)
    await machine.kill()  # the task may be in the -wal only
    await keelman("restore", copy, "--data-dir", machine.data_dir)
    (before,) = machine.data_dir.glob("keelman.db.replaced-*")
    assert (await keelman("restore", before, "--data-dir", machine.data_dir)).status == 0
    await machine.start()
    assert await machine.moves(task_id) == history


async def test_an_older_file_that_is_put_back_by_hand_is_noticed(
    machine: Machine, tmp_path: Path
) -> None:
    await machine.start()
    await machine.terminate()
    database = machine.data_dir / "keelman.db"
    older = database.read_bytes()
    await machine.start()
    await machine.task(await run(machine, "true"), wait="ended")
    async with machine.session.get("/tasks") as response:
        last_id = response.headers["Last-Event-ID"]
    await machine.terminate()
    database.write_bytes(older)
    await machine.start()
    async with machine.session.get(f"/events?since={last_id}") as response:
        assert response.status == 410
    log = await machine.log()
    assert "an older database was put in its place" in log
    await machine.start()
    assert "the log has a new id" not in await machine.log()
