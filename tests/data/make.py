"""Makes `store_v<N>.sql` and `.json` here, with a real worker on a real engine.

    .venv/bin/python -m tests.data.make

Run once for every version of the schema, by the release that brings it, and never again: what a
worker of that release left on disk is what all later ones must be able to read. The JSON is what
that worker said of it over HTTP.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import uuid
from pathlib import Path
from typing import Any

from tests.e2e.machine import IGNORES_TERM, IMAGE, SLEEPS, EngineLink, Machine, until
from tests.unit.dumps import dump

HERE = Path(__file__).parent
NAME = "history"
NOWHERE = "127.0.0.1:1/keelman/nowhere:1"  # an image that no registry gives
RICH: dict[str, Any] = {
    "Env": {"SECRET": "it's a s3cret"},
    "Labels": {"app": "käse"},
    "Memory": 64 * 1024 * 1024,
    "StopTimeout": 1,
    "RestartPolicy": "always",
    "HealthCheck": {"Type": "command", "Command": ["true"], "Interval": 1},
}


class Told:
    """What the worker was told and answered."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.events: list[dict[str, Any]] = []

    async def send(self, task_id: str = "", *, generation: int = 0, **fields: Any) -> str:
        task_id = task_id or str(uuid.uuid4())
        task = {
            "ID": task_id,
            "Image": IMAGE,
            "Network": "none",
            "Generation": generation,
            **fields,
        }
        event = {"ID": str(uuid.uuid4()), "State": 2, "Task": task}
        async with self.machine.session.post("/tasks", json=event) as response:
            assert response.status == 201, await response.text()
            self.events.append({"Event": event, "Answer": await response.json()})
        return task_id

    async def everything(self) -> dict[str, Any]:
        """Tasks, their histories and the answers to events, as they are over HTTP."""
        tasks = await self.machine.tasks()
        histories = {}
        for task in tasks:
            path = f"/tasks/{task['ID']}/transitions"
            async with self.machine.session.get(path) as response:
                histories[task["ID"]] = await response.json()
        return {"Tasks": tasks, "Transitions": histories, "Events": self.events}


async def forgotten(told: Told) -> None:
    """A task of which a tombstone is left, and one that outlives its database."""
    machine = told.machine
    await machine.start()
    adopted = await told.send(Name="adopted", Command=SLEEPS)
    await machine.task(adopted, wait="running")
    await machine.kill()
    for path in machine.data_dir.glob("keelman.*"):
        path.unlink()
    told.events.clear()
    await machine.start("--keep-ended-tasks", "0")
    await machine.task(adopted, wait="running")
    await told.send(adopted, generation=1, Name="adopted", Command=SLEEPS)
    gone = await told.send(Name="buried", Command=["true"])

    async def is_buried() -> bool:
        return gone not in [task["ID"] for task in await machine.tasks()]

    await machine.task(gone, wait="ended")
    await until(is_buried)
    await machine.kill()
    told.events[-1]["Answer"] = None  # its task is over for good


async def every_state(told: Told, link: EngineLink) -> None:
    machine = told.machine
    machine.engine_url = link.url
    await machine.start()
    rich = await told.send(Name="rich", Command=SLEEPS, **RICH)
    stopping = await told.send(Name="stopping", Command=IGNORES_TERM, StopTimeout=1000)
    over = await told.send(Name="over", Command=["true"])
    stopped = await told.send(Name="stopped", Command=SLEEPS, StopTimeout=1)
    failed = await told.send(Name="failed", Command=["false"], RestartPolicy="on-failure:1")
    again = await told.send(Name="again", Command=["sh", "-c", "echo no luck; exit 3"])
    waits = await told.send(Name="waits", Image=NOWHERE, RestartPolicy="always")
    for one in (stopped, stopping):
        await machine.task(one, wait="running")
        await machine.stop(one)
    for one in (over, stopped, failed, again):
        await machine.task(one, wait="ended")
    await machine.until_task(rich, lambda task: bool(task["Health"] == "healthy"))
    await machine.until_task(waits, lambda task: bool(task["Message"]))
    await link.cut()
    await told.send(Name="not taken up", Command=SLEEPS)
    await told.send(again, Name="again", Command=["sh", "-c", "echo no luck; exit 3"])


async def make(folder: Path) -> None:
    machine, link = Machine(NAME, folder / "data"), EngineLink(folder / "engine.sock")
    told = Told(machine)
    await link.join()
    try:
        await forgotten(told)
        await every_state(told, link)
        said = await told.everything()
        await machine.kill()
        keep(machine.data_dir / "keelman.db", said)
    finally:
        await machine.clear()


def keep(path: Path, said: dict[str, Any]) -> None:
    with sqlite3.connect(path) as connection:
        ((version,),) = connection.execute("PRAGMA user_version")
    connection.close()
    text = json.dumps(said, indent=1, ensure_ascii=False)
    (HERE / f"store_v{version}.sql").write_text(dump(path), encoding="utf-8")
    (HERE / f"store_v{version}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(Path(folder)))
