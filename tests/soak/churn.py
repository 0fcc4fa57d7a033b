"""Tasks of every kind, each carried through from its wish to its end.

What does not end as its kind should ends the soak: a hang is a failure. The kinds come in a deck
that is shuffled anew each time it is used up, so that every stretch of the run is alike.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from tests.e2e.machine import IGNORES_TERM, IMAGE, SLEEPS
from tests.soak.machine import SoakMachine

PATIENCE_SECONDS = 300.0
SERVES = ["httpd", "-f", "-p", "80", "-h", "/www"]
NOWHERE = "127.0.0.1:1/soak"  # a registry that refuses every connection
LINES = 2_000
RUNNING, COMPLETED, FAILED = 2, 3, 4


class WentWrong(Exception):
    """A task did not end as its kind should."""


class Churn:
    """Carries tasks through on one machine, at most `at_once` at a time."""

    def __init__(self, machine: SoakMachine, *, at_once: int, seed: int) -> None:
        self.machine = machine
        self.done = 0
        self.held_back = 0
        self._at_once = at_once
        self.alive = 0
        self._deck = deck(random.Random(seed))

    async def run(self, rate: float) -> None:
        """Begin `rate` tasks a second until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            due = loop.time()
            while True:
                if self.alive < self._at_once:
                    group.create_task(self._carry(next(self._deck)))
                else:
                    self.held_back += 1
                due = max(due + 1 / rate, loop.time())
                await asyncio.sleep(due - loop.time())

    async def _carry(self, kind: Kind) -> None:
        self.alive += 1
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await kind(self.machine)
        except (TimeoutError, AssertionError, KeyError) as error:
            raise WentWrong(f"a task that {kind.__name__}: {error!r}") from error
        finally:
            self.alive -= 1
        self.done += 1


Kind = Callable[[SoakMachine], Awaitable[None]]


def deck(chance: random.Random) -> Iterator[Kind]:
    """All kinds, each as often as it should come, in another order each time."""
    while True:
        cards = list(KINDS)
        chance.shuffle(cards)
        yield from cards


# -- what is asked of a task ---------------------------------------------------------------------


async def ended(machine: SoakMachine, task_id: str, state: int) -> dict[str, Any]:
    """The task once it has ended, which it must in this state."""
    task: dict[str, Any] = {"State": 0}
    while task["State"] < COMPLETED:
        task = await machine.task(task_id, wait="ended")
    assert task["State"] == state, task
    return task


async def running(machine: SoakMachine, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = {"State": 0}
    while task["State"] < RUNNING:
        task = await machine.task(task_id, wait="running")
    assert task["State"] == RUNNING, task
    return task


async def healthy(machine: SoakMachine, task_id: str) -> None:
    while (task := await machine.task(task_id))["Health"] != "healthy":
        assert task["State"] <= RUNNING, task
        await asyncio.sleep(0.5)


async def stop(machine: SoakMachine, task_id: str) -> None:
    await machine.stop(task_id)
    await ended(machine, task_id, COMPLETED)


# -- kinds ---------------------------------------------------------------------------------------


async def exits_well(machine: SoakMachine) -> None:
    await ended(machine, await machine.send(Command=["true"]), COMPLETED)


async def exits_with_3(machine: SoakMachine) -> None:
    task_id = await machine.send(Command=["sh", "-c", "echo bye; exit 3"])
    assert (await ended(machine, task_id, FAILED))["ExitCode"] == 3


async def restarts(machine: SoakMachine) -> None:
    task_id = await machine.send(Command=["false"], RestartPolicy="on-failure:2")
    assert (await ended(machine, task_id, FAILED))["RestartCount"] == 2


async def is_stopped(machine: SoakMachine) -> None:
    task_id = await machine.send(Command=SLEEPS, Init=True)
    await running(machine, task_id)
    await stop(machine, task_id)


async def is_stopped_at_once(machine: SoakMachine) -> None:
    await stop(machine, await machine.send(Command=SLEEPS, Init=True))


async def is_stubborn(machine: SoakMachine) -> None:
    task_id = await machine.send(Command=IGNORES_TERM, StopTimeout=1)
    await running(machine, task_id)
    await stop(machine, task_id)


async def serves(machine: SoakMachine) -> None:
    task_id = await machine.send(
        Command=SERVES,
        Init=True,
        ExposedPorts={"80/tcp": {}},
        HealthCheck={"Type": "http", "Path": "/index.html", "Interval": 1},
    )
    await healthy(machine, task_id)
    await stop(machine, task_id)


async def is_probed_inside(machine: SoakMachine) -> None:
    check = {"Type": "command", "Command": ["test", "-d", "/www"], "Interval": 1}
    task_id = await machine.send(Command=SLEEPS, Init=True, HealthCheck=check)
    await healthy(machine, task_id)
    await stop(machine, task_id)


async def is_unwell(machine: SoakMachine) -> None:
    task_id = await machine.send(
        Command=SLEEPS,
        Init=True,
        ExposedPorts={"80/tcp": {}},
        HealthCheck={"Type": "tcp", "Interval": 1, "Timeout": 1, "Retries": 1},
        RestartPolicy="on-failure:1",
    )
    assert (await ended(machine, task_id, FAILED))["Reason"] == "unhealthy"


async def has_no_image(machine: SoakMachine) -> None:
    """Each time another one, so that what is kept by image is seen."""
    task_id = await machine.send(Image=f"{NOWHERE}/{uuid.uuid4().hex}:1")
    assert (await ended(machine, task_id, FAILED))["Reason"] == "image_unavailable"


async def may_not_pull(machine: SoakMachine) -> None:
    task_id = await machine.send(Image=f"{NOWHERE}/absent:1", PullPolicy="never")
    assert (await ended(machine, task_id, FAILED))["Reason"] == "image_unavailable"


async def cannot_start(machine: SoakMachine) -> None:
    await ended(machine, await machine.send(Command=["/no/such/program"]), FAILED)


async def has_a_deadline(machine: SoakMachine) -> None:
    task_id = await machine.send(Command=SLEEPS, Init=True, Timeout=1, StopTimeout=1)
    assert (await ended(machine, task_id, FAILED))["Reason"] == "deadline"


async def is_removed_by_others(machine: SoakMachine) -> None:
    task_id = await machine.send(Command=SLEEPS, Init=True)
    await machine.docker_remove((await running(machine, task_id))["ContainerID"])
    await ended(machine, task_id, FAILED)


async def talks(machine: SoakMachine) -> None:
    """And is listened to, to its end."""
    says = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done"
    task_id = await machine.send(Command=["sh", "-c", says])
    await running_or_ended(machine, task_id)
    async with machine.session.get(f"/tasks/{task_id}/logs", params={"follow": "1"}) as answer:
        assert answer.status in (200, 410, 503), await answer.text()
        async for _ in answer.content.iter_any():
            pass
    await ended(machine, task_id, COMPLETED)


async def running_or_ended(machine: SoakMachine, task_id: str) -> None:
    while (await machine.task(task_id, wait="running"))["State"] < RUNNING:
        pass


async def is_asked_for_again(machine: SoakMachine) -> None:
    """The same event twice, and another one once it has failed."""
    task_id = str(uuid.uuid4())
    task = {"ID": task_id, "Image": IMAGE, "Command": ["false"], "Network": machine.network}
    event = {"ID": str(uuid.uuid4()), "State": 2, "Task": task}
    await post(machine, event, 201)
    await post(machine, event, 201)
    await ended(machine, task_id, FAILED)
    await post(machine, {**event, "ID": str(uuid.uuid4())}, 201)
    await ended(machine, task_id, FAILED)


async def is_refused(machine: SoakMachine) -> None:
    """In each way there is, and tried without being run."""
    task = {"ID": str(uuid.uuid4()), "Name": "refused", "Image": IMAGE}
    event = {"ID": str(uuid.uuid4()), "State": 2, "Task": task}
    await post(machine, {**event, "Task": {**task, "Colour": "red"}}, 400)
    mount = {"Source": "/etc", "Target": "/mnt"}
    await post(machine, {**event, "Task": {**task, "Mounts": [mount]}}, 403)
    await post(machine, {**event, "State": 3}, 404)
    await post(machine, event, 200, dry_run="1")


async def post(machine: SoakMachine, event: dict[str, Any], status: int, **query: str) -> None:
    async with machine.session.post("/tasks", json=event, params=query) as answer:
        assert answer.status == status, await answer.text()


KINDS: tuple[Kind, ...] = (
    *(exits_well, exits_well, exits_well, exits_with_3, exits_with_3),
    *(restarts, is_stopped, is_stopped, is_stopped_at_once, is_stubborn),
    *(serves, is_probed_inside, is_unwell, has_no_image, may_not_pull),
    *(cannot_start, has_a_deadline, is_removed_by_others),
    *(talks, is_asked_for_again, is_refused),
)
