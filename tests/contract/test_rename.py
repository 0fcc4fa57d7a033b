"""A start whose fate is unknown is shut out: its container gets the name of the next attempt."""

from __future__ import annotations

import pytest

from keelman.errors import EngineBusy, EngineRefused, NameTaken
from keelman.runtime.marks import container_name
from keelman.seen import Absent, Body, Create, Created, Exited, Remove, Rename, Running, Start
from keelman.task import Task
from tests.contract.programs import SLEEP, TRUE
from tests.contract.worlds import World, a_task

GONE = "f" * 64


async def body_of(world: World, task: Task) -> Body:
    return (await world.runtime.look(task)).body


async def test_one_with_a_new_name_is_the_same_container_in_the_next_attempt(world: World) -> None:
    task = a_task(TRUE)
    container_id = await world.created(task)
    before = await body_of(world, task)
    assert isinstance(before, Created)
    await world.runtime.do(task, Rename(container_id=container_id, attempt=2))
    seen = await world.runtime.look(task)
    assert isinstance(seen.body, Created)
    assert (seen.body.container_id, seen.body.attempt, seen.others) == (container_id, 2, ())
    assert seen.body.spec_hash == before.spec_hash
    (row,) = [row for row in await world.runtime.rows() if row.worker == world.worker]
    assert (row.container_id, row.attempt, row.live) == (container_id, 2, False)
    rebuilt = await world.runtime.rebuild(container_id)
    assert rebuilt is not None
    assert (rebuilt.attempt, rebuilt.renames, rebuilt.spec) == (2, 1, task.spec)


@pytest.mark.parametrize("ran", [False, True], ids=["made", "has run"])
async def test_a_start_by_the_old_name_starts_nothing(world: World, ran: bool) -> None:
    """It may come when the process has ended: by the new name it would run again."""
    task = a_task(TRUE)
    container_id = await world.created(task)
    await world.runtime.do(task, Rename(container_id=container_id, attempt=2))
    if ran:
        await world.runtime.do(task, Start(container_id=container_id, attempt=2))
        await world.seen(task, Exited)
    before = await body_of(world, task)
    with pytest.raises(EngineRefused):
        await world.runtime.do(task, Start(container_id=container_id, attempt=1))
    assert await body_of(world, task) == before


async def test_a_start_by_the_new_name_starts_it(world: World) -> None:
    task = a_task(SLEEP)
    container_id = await world.created(task)
    await world.runtime.do(task, Rename(container_id=container_id, attempt=2))
    await world.runtime.do(task, Start(container_id=container_id, attempt=2))
    body = await world.seen(task, Running)
    assert (body.container_id, body.attempt) == (container_id, 2)


@pytest.mark.parametrize("asked", [2, 3], ids=["twice", "late, when it has a later name"])
async def test_a_rename_asked_again_changes_nothing(world: World, asked: int) -> None:
    task = a_task(TRUE)
    container_id = await world.created(task)
    for attempt in (asked, 2):
        await world.runtime.do(task, Rename(container_id=container_id, attempt=attempt))
    body = await body_of(world, task)
    assert isinstance(body, Created)
    assert body.attempt == asked


async def test_one_that_runs_or_has_run_can_have_a_new_name_and_is_left_as_it_is(
    world: World,
) -> None:
    """The start got through between the look and the rename."""
    for command, kind in ((SLEEP, Running), (TRUE, Exited)):
        task = a_task(command)
        container_id = await world.started(task)
        await world.seen(task, kind)
        await world.runtime.do(task, Rename(container_id=container_id, attempt=2))
        body = await body_of(world, task)
        assert isinstance(body, kind)
        assert (body.container_id, body.attempt) == (container_id, 2)


async def test_a_rename_of_what_is_gone_is_nothing(world: World) -> None:
    task = a_task(TRUE)
    await world.runtime.do(task, Rename(container_id=GONE, attempt=2))
    assert isinstance(await body_of(world, task), Absent)


async def test_a_stranger_who_has_the_new_name_is_never_touched(world: World) -> None:
    task = a_task(TRUE)
    container_id = await world.created(task)
    stranger = await world.stranger(container_name(world.worker, task.id, 2))
    with pytest.raises(NameTaken):
        await world.runtime.do(task, Rename(container_id=container_id, attempt=2))
    assert await world.exists(stranger)
    body = await body_of(world, task)
    assert isinstance(body, Created)
    assert (body.container_id, body.attempt) == (container_id, 1)


async def test_a_name_that_another_container_of_the_task_has_is_for_the_next_look(
    world: World,
) -> None:
    task = a_task(TRUE)
    container_id = await world.created(task)
    await world.runtime.do(task, Create(attempt=2))
    with pytest.raises(EngineBusy):
        await world.runtime.do(task, Rename(container_id=container_id, attempt=2))
    seen = await world.runtime.look(task)
    assert isinstance(seen.body, Created)
    assert (seen.body.attempt, seen.others) == (2, (container_id,))


async def test_one_that_somebody_renamed_gets_a_name_of_ours_again(world: World) -> None:
    """Its start found nothing by the name on record."""
    task = a_task(SLEEP)
    container_id = await world.created(task)
    await world.rename(container_id, f"renamed-{world.worker}")
    known = task.but(container_id=container_id, attempt=3, started=3)
    body = await body_of(world, known)
    assert isinstance(body, Created)
    assert body.attempt == 3
    with pytest.raises(EngineRefused):
        await world.runtime.do(known, Start(container_id=container_id, attempt=3))
    await world.runtime.do(known, Rename(container_id=container_id, attempt=4))
    await world.runtime.do(known, Start(container_id=container_id, attempt=4))
    assert (await world.seen(task, Running)).attempt == 4


async def test_a_name_that_was_taken_away_is_free_and_its_container_older(world: World) -> None:
    """A create of the old attempt that comes late makes an older container, which is removed."""
    task = a_task(TRUE)
    container_id = await world.created(task)
    await world.runtime.do(task, Rename(container_id=container_id, attempt=2))
    await world.runtime.do(task, Create(attempt=1))
    seen = await world.runtime.look(task)
    assert isinstance(seen.body, Created)
    assert (seen.body.container_id, len(seen.others)) == (container_id, 1)
    await world.runtime.do(task, Remove(container_id=seen.others[0]))
    assert (await world.runtime.look(task)).others == ()
