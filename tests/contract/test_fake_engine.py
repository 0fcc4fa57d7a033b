"""What tests may do to the engine in memory: let it fail, go down, be slow and lose answers."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from keelman.errors import EngineAway, EngineError, EngineFailed, ImageNotFound
from keelman.runtime import LogOptions, Runtime
from keelman.runtime.docker import DockerRuntime
from keelman.runtime.fake import FakeEngine, FakeRuntime, Program
from keelman.seen import (
    Absent,
    Action,
    Create,
    Created,
    Exited,
    Kill,
    Remove,
    Running,
    Signal,
    Start,
)
from tests.contract.programs import SLEEP, TALK
from tests.contract.worlds import IMAGE, FakeWorld, a_task

TASK = a_task(("serve",))


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld("w")


def test_both_are_runtimes() -> None:
    """For the type checker: no line of this can fail when it is run."""
    kinds: list[type[Runtime]] = [FakeRuntime, DockerRuntime]
    assert len(kinds) == 2


async def _do(world: FakeWorld, verb: str, container_id: str) -> None:
    actions: dict[str, Action] = {
        "create": Create(attempt=2),
        "start": Start(container_id=container_id, attempt=1),
        "signal": Signal(container_id=container_id, signal="SIGTERM"),
        "kill": Kill(container_id=container_id),
        "remove": Remove(container_id=container_id),
    }
    match verb:
        case "look":
            await world.runtime.look(TASK)
        case "rows":
            await world.runtime.rows()
        case "pull":
            await world.runtime.pull(IMAGE)
        case _:
            await world.runtime.do(TASK, actions[verb])


VERBS = ["look", "rows", "create", "start", "signal", "kill", "remove", "pull"]


@pytest.mark.parametrize("verb", VERBS)
async def test_the_next_call_fails_as_it_was_told_and_does_nothing(
    world: FakeWorld, verb: str
) -> None:
    container_id = await world.created(TASK)
    world.engine.registry.add(IMAGE)
    before = await world.runtime.look(TASK)
    world.engine.fail_next(verb, EngineFailed("first"))
    world.engine.fail_next(verb, EngineAway("second"))
    kinds: list[type[EngineError]] = [EngineFailed, EngineAway]
    for kind in kinds:
        with pytest.raises(kind):
            await _do(world, verb, container_id)
    assert await world.runtime.look(TASK) == before
    await _do(world, verb, container_id)


@pytest.mark.parametrize(
    ("verb", "kind"), [("start", Running), ("remove", Absent)], ids=["start", "remove"]
)
async def test_a_lost_answer_is_of_a_call_that_was_carried_out(
    world: FakeWorld, verb: str, kind: type
) -> None:
    container_id = await world.created(TASK)
    world.engine.lose_next(verb)
    with pytest.raises(EngineAway):
        await _do(world, verb, container_id)
    assert isinstance((await world.runtime.look(TASK)).body, kind)


@pytest.mark.parametrize(("seconds", "kind"), [(0.01, Created), (0.05, Running)])
async def test_a_call_broken_off_late_was_carried_out(
    world: FakeWorld, seconds: float, kind: type
) -> None:
    container_id = await world.created(TASK)
    world.engine.latency["start"] = 0.06
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await _do(world, "start", container_id)
    assert isinstance((await world.runtime.look(TASK)).body, kind)


async def test_what_runs_goes_on_while_the_engine_is_down(world: FakeWorld) -> None:
    container_id = await world.started(TASK)
    world.engine.down()
    with pytest.raises(EngineAway):
        await world.runtime.look(TASK)
    world.engine.exit(container_id, 4)
    world.engine.up()
    body = (await world.runtime.look(TASK)).body
    assert isinstance(body, Exited)
    assert body.code == 4


async def test_streams_end_with_the_engine(world: FakeWorld) -> None:
    container_id = await world.started(TASK)
    async with world.runtime.changes() as moved:
        asyncio.get_running_loop().call_soon(world.engine.down)
        with pytest.raises(EngineAway):
            await anext(moved)
    world.engine.up()
    logs = world.runtime.logs(container_id, LogOptions(follow=True))
    asyncio.get_running_loop().call_later(0.01, world.engine.down)
    with pytest.raises(EngineAway):
        await anext(logs)


async def test_an_outage_between_two_reads_is_not_missed(world: FakeWorld) -> None:
    async with world.runtime.changes() as moved:
        world.engine.down()
        world.engine.up()
        with pytest.raises(EngineAway):
            await anext(moved)


async def test_output_that_comes_later_is_followed(world: FakeWorld) -> None:
    container_id = await world.started(TASK)
    logs = world.runtime.logs(container_id, LogOptions(follow=True))
    asyncio.get_running_loop().call_later(0.01, world.engine.write, container_id, "stdout", b"a\n")
    assert await anext(logs) == b"a\n"
    world.engine.exit(container_id, 0)
    assert [piece async for piece in logs] == []


async def test_what_somebody_removes_is_absent(world: FakeWorld) -> None:
    world.engine.vanish(await world.started(TASK))
    assert isinstance((await world.runtime.look(TASK)).body, Absent)


async def test_an_unknown_command_runs_until_a_signal_ends_it(world: FakeWorld) -> None:
    container_id = await world.started(TASK)
    await _do(world, "signal", container_id)
    body = (await world.runtime.look(TASK)).body
    assert isinstance(body, Exited)
    assert body.code == 143


async def test_what_is_stuck_outlives_kill_and_removal(world: FakeWorld) -> None:
    world.engine.programs["serve",] = Program(ignores=frozenset({"KILL"}))
    container_id = await world.started(TASK)
    await _do(world, "kill", container_id)
    with pytest.raises(EngineFailed):
        await _do(world, "remove", container_id)
    assert isinstance((await world.runtime.look(TASK)).body, Running)


async def test_a_program_takes_the_loops_time(world: FakeWorld) -> None:
    world.engine.programs["serve",] = Program(seconds=0.02, exit_code=9)
    await world.started(TASK)
    assert isinstance((await world.runtime.look(TASK)).body, Running)
    assert (await world.seen(TASK, Exited)).code == 9


async def test_a_killed_programs_timer_does_not_end_its_next_run(world: FakeWorld) -> None:
    world.engine.programs["serve",] = Program(seconds=0.02, exit_code=9)
    container_id = await world.started(TASK)
    await _do(world, "kill", container_id)
    await _do(world, "remove", container_id)
    assert world.engine._timers == {}


async def test_no_two_runs_of_a_test_differ() -> None:
    """Same calls, same ids, same ports, same log."""

    async def run() -> list[object]:
        world = FakeWorld("w")
        world.engine.clock = lambda: 1000.0
        task = a_task(TALK, exposed_ports={}).but(id=str(UUID(int=1)))
        told: list[object] = [await world.started(task), await world.started(task, 2)]
        told += [(await world.runtime.look(task)), await world.runtime.rows()]
        return told

    assert await run() == await run()


async def test_times_are_the_clocks() -> None:
    engine = FakeEngine(lambda: 1000.25, images=[IMAGE])
    runtime = FakeRuntime(engine, "w")
    task = a_task(SLEEP)
    await runtime.do(task, Create(attempt=1))
    (row,) = await runtime.rows()
    await runtime.do(task, Start(container_id=row.container_id, attempt=row.attempt))
    body = (await runtime.look(task)).body
    assert isinstance(body, Running)
    assert body.since == 1000.25


async def test_an_engine_without_a_registry_finds_no_image(world: FakeWorld) -> None:
    with pytest.raises(ImageNotFound):
        await world.runtime.pull("busybox")
